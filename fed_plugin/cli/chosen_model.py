"""A command's words for a config and its checkpoint, and what they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

UNTRAINED = "untrained"


def add_model_arguments(parser: argparse.ArgumentParser, *, untrained: bool = False) -> None:
    """Declare ``--config-file`` and ``--weights``.

    Args:
        parser: of the command.
        untrained: whether ``--weights untrained`` takes random weights.
    """
    words = "checkpoint of that config"
    if untrained:
        words += f"; {UNTRAINED!r} takes random weights, drawn from SEED"
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    parser.add_argument("--weights", required=True, metavar="FILE.pth", help=words)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Declare the words behind all others: keys of the config and their values."""
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config overrides, such as TEST.FLIP.ENABLED True",
    )


def check_weights(args: argparse.Namespace, *, untrained: bool = False) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        FileNotFoundError: no such file.
    """
    if (untrained and args.weights == UNTRAINED) or Path(args.weights).is_file():
        return
    raise FileNotFoundError(
        f"--weights {args.weights}: no such file; expected a checkpoint"
        + (f", or {UNTRAINED}" if untrained else "")
    )


def read_chosen_config(args: argparse.Namespace, *words: str) -> tuple[str, Any]:
    """Read the config with ``MODEL.WEIGHTS`` set.

    Args:
        args: with ``config_file``, ``weights`` and ``overrides``.
        words: keys and values that count more than the overrides.

    Returns:
        The config's file, and the config.

    Raises:
        FileNotFoundError: no such config.
        KeyError: an override that no config declares.
        ValueError: an override that cannot be.
    """
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.installed_configs import find_config

    config_file = find_config(args.config_file)
    weights = "" if args.weights == UNTRAINED else args.weights
    return config_file, read_config(
        config_file, [*args.overrides, "MODEL.WEIGHTS", weights, *words]
    )
