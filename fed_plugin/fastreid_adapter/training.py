"""What fast-reid's ``tools/train_net.py`` does, with its classes and flags alone.

The PyPI package of fast-reid ships no script; ``python -m fed_plugin train`` calls this instead.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.fastreid_adapter.config_checks import check_config
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.dataset_checks import check_datasets
from fed_plugin.fastreid_adapter.training_checks import check_training


def parse_flags(words: list[str], prog: str) -> Namespace:
    """Parse the stock script's flags; ``prog`` is the name in its help."""
    parser = default_argument_parser()
    parser.prog = prog
    return parser.parse_args(words)


def launch_ranks(main: Callable[[Namespace], Any], args: Namespace) -> None:
    """Call ``main(args)`` in as many processes as the flags say; one is this process."""
    launch(
        main,
        args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )


def train_or_evaluate(args: Namespace) -> Any:
    """Train in one rank, or evaluate with ``--eval-only``; return the results."""
    cfg = _configure(args)
    (check_config if args.eval_only else check_training)(cfg)
    default_setup(cfg, args)
    if args.eval_only:
        return _evaluate(cfg)
    check_datasets(cfg)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def _configure(args: Namespace) -> Any:
    cfg = read_config(args.config_file, args.opts)
    cfg.freeze()
    return cfg


def _evaluate(cfg: Any) -> Any:
    cfg.defrost()
    cfg.MODEL.BACKBONE.PRETRAIN = False
    model = DefaultTrainer.build_model(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    return DefaultTrainer.test(cfg, model)
