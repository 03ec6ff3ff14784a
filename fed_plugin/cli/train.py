"""``train``: fast-reid's ``tools/train_net.py``, with config names and short errors."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from fed_plugin.arguments import WEIGHTS, add_overrides, add_weights, check_model_words
from fed_plugin.console import WithoutTraceback

INTERRUPTED = "`train --resume` goes on from the last checkpoint"


def run(words: list[str]) -> None:
    """Parse fast-reid's flags and run its trainer, or its evaluator with ``--eval-only``."""
    checked = None if {"-h", "--help"} & set(words) else _checked(words)

    from fed_plugin.fastreid_adapter.training import launch_ranks, parse_flags

    args = parse_flags(words, prog="fed-plugin train")
    if checked is not None:
        args.config_file, args.opts = checked
    launch_ranks(main, args)


def _checked(words: list[str]) -> tuple[str, list[Any]]:
    """Return config file and overrides, before fast-reid and its own parser are imported."""
    parser = argparse.ArgumentParser(prog="fed-plugin train", add_help=False)
    parser.add_argument("--config-file", default="")
    add_weights(parser)
    for flag in ("--num-gpus", "--num-machines", "--machine-rank", "--dist-url"):
        parser.add_argument(flag)  # their values are no overrides
    for flag in ("--resume", "--eval-only"):
        parser.add_argument(flag, action="store_true")
    add_overrides(parser)
    args, _ = parser.parse_known_args(words)
    check_model_words(args, untrained=True, needed=False)
    weights = [] if args.weights is None else [WEIGHTS, args.weights]
    return args.config_file, [*args.overrides, *weights]


def main(args: argparse.Namespace) -> Any:
    """Train or evaluate in one rank."""
    from fed_plugin.fastreid_adapter.training import train_or_evaluate

    logging.getLogger("fastreid.engine.train_loop").addFilter(WithoutTraceback())
    return train_or_evaluate(args)
