"""``train``: fast-reid's ``tools/train_net.py``, with config names and short errors."""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Any

from fed_plugin.console import WithoutTraceback
from fed_plugin.fastreid_adapter.config_files import find_config
from fed_plugin.fastreid_adapter.training import launch_ranks, parse_flags, train_or_evaluate

INTERRUPTED = "`train --resume` goes on from the last checkpoint"


def train(words: list[str]) -> None:
    """Parse fast-reid's flags and run its trainer, or its evaluator with ``--eval-only``."""
    args = parse_flags(words, prog="fed-plugin train")
    args.config_file = find_config(args.config_file)
    launch_ranks(main, args)


def main(args: Namespace) -> Any:
    """Train or evaluate in one rank."""
    logging.getLogger("fastreid.engine.train_loop").addFilter(WithoutTraceback())
    return train_or_evaluate(args)
