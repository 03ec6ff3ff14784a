"""``dump``: features of a test set by a trained model, in a file that ``evaluate`` scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fed_plugin.files import OutputFile

UNTRAINED = "untrained"
INTERRUPTED = "no dump was written"


def add_model_arguments(parser: argparse.ArgumentParser, *, untrained: bool = False) -> None:
    """Declare ``--config-file`` and ``--weights``.

    Args:
        parser: parser of the command.
        untrained: whether ``--weights untrained`` takes random weights.
    """
    words = "checkpoint of that config"
    if untrained:
        words += f"; {UNTRAINED!r} takes random weights, drawn from SEED"
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    parser.add_argument("--weights", required=True, metavar="FILE.pth", help=words)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Declare the last words: keys of the config and their values."""
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config overrides, such as TEST.FLIP.ENABLED True",
    )


def check_weights(args: argparse.Namespace, *, untrained: bool = False) -> None:
    """Refuse a checkpoint that does not exist.

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
        args: words with ``config_file``, ``weights`` and ``overrides``.
        words: keys and values that replace the overrides.

    Returns:
        The config's file, and the config.

    Raises:
        FileNotFoundError: no such config.
        KeyError: an override that no config declares.
        ValueError: a wrong override.
    """
    from fed_plugin.fastreid_adapter.config_files import find_config, read_config

    config_file = find_config(args.config_file)
    weights = "" if args.weights == UNTRAINED else args.weights
    return config_file, read_config(
        config_file, [*args.overrides, "MODEL.WEIGHTS", weights, *words]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Describe the query and gallery images of a data set with a model of any fast-reid config, "
        "through fast-reid's own test loader, and write a feature dump (docs/dumps.md). FED's also "
        "holds the features and the visibility of its parts."
    )
    add_model_arguments(parser, untrained=True)
    parser.add_argument(
        "--dataset", metavar="NAME", help="registered name; default: the one in DATASETS.TESTS"
    )
    parser.add_argument(
        "-o", "--out", type=OutputFile, required=True, metavar="FILE.npz", help="file to write"
    )
    parser.add_argument("--method", metavar="NAME", help="in tables; default: the config's name")
    parser.add_argument("--force", action="store_true", help="write over an existing FILE.npz")
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Describe the test set and write FILE.npz atomically.

    Raises:
        FileExistsError: FILE.npz exists, without ``--force``.
        FileNotFoundError: no such config, checkpoint, or folder to write in.
        ValueError: the checkpoint is of another model, or the data set's name is missing.
    """
    from fed_plugin.console import ProgressLine

    target = Path(args.out)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    check_weights(args, untrained=True)
    config_file, cfg = read_chosen_config(args)

    from fed_plugin.fastreid_adapter.extract import dump_test_set, only_test_set

    name = args.dataset or only_test_set(cfg.DATASETS.TESTS)
    method = Path(config_file).stem + (f", {UNTRAINED}" if args.weights == UNTRAINED else "")
    about = {
        "method": args.method or method,
        "config": Path(config_file).name,
        "overrides": [str(word) for word in args.overrides],
    }
    with ProgressLine(f"describing {name}") as progress:
        dump = dump_test_set(cfg, name, about, progress)
    dump.save(target)
    parts = "" if dump.visibility is None else f", {dump.visibility.shape[1]} parts"
    print(
        f"{target}: {len(dump.query)} query and {len(dump.gallery)} gallery images of {name}, "
        f"{dump.features.shape[1]} numbers each{parts}, {target.stat().st_size / 1e6:.1f} MB"
    )
