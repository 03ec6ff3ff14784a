"""``train``: what fast-reid's ``tools/train_net.py`` does, with its classes and flags alone.

The PyPI package of fast-reid ships no script; this one stands in.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any

from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.cli.configs import find_config
from fed_plugin.cli.mistakes import WithoutTraceback


def train(words: list[str]) -> None:
    """Parse fast-reid's flags and run its trainer, or its evaluator with ``--eval-only``."""
    parser = default_argument_parser()
    parser.prog = "python -m fed_plugin train"
    args = parser.parse_args(words)
    args.config_file = find_config(args.config_file)
    launch(
        main,
        args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )


def main(args: Namespace) -> Any:
    """Train or evaluate in one rank."""
    logging.getLogger("fastreid.engine.train_loop").addFilter(WithoutTraceback())
    cfg = _configure(args)
    if args.eval_only:
        return _evaluate(cfg)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def _configure(args: Namespace) -> Any:
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def _evaluate(cfg: Any) -> Any:
    cfg.defrost()
    cfg.MODEL.BACKBONE.PRETRAIN = False
    model = DefaultTrainer.build_model(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    return DefaultTrainer.test(cfg, model)
