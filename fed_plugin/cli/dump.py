"""``dump``: what a trained model says of a test set, in a file that ``evaluate`` scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from fed_plugin.cli.chosen_model import (
    UNTRAINED,
    add_model_arguments,
    add_overrides,
    check_weights,
    read_chosen_config,
)

INTERRUPTED = "no dump was written"


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
    parser.add_argument("-o", "--out", required=True, metavar="FILE.npz", help="file to write")
    parser.add_argument("--method", metavar="NAME", help="in tables; default: the config's name")
    parser.add_argument("--force", action="store_true", help="write over an existing FILE.npz")
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Describe and write; FILE.npz is there whole or not at all.

    Raises:
        FileExistsError: FILE.npz is there and ``--force`` is not.
        FileNotFoundError: no such config, checkpoint, or folder to write in.
        ValueError: the checkpoint is of another model, or the data set's name is missing.
    """
    from fed_plugin.cli.progress import ProgressLine
    from fed_plugin.retrieval.whole_files import check_writable

    target = Path(args.out)
    check_writable(target)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    check_weights(args, untrained=True)
    config_file, cfg = read_chosen_config(args)

    from fed_plugin.fastreid_adapter.dumping import dump_test_set

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


def only_test_set(names: tuple[str, ...]) -> str:
    """Return the name in ``DATASETS.TESTS``.

    Raises:
        ValueError: there are several, or none.
    """
    if len(names) != 1:
        raise ValueError(
            f"--dataset: expected a name, as DATASETS.TESTS has {len(names)}: {', '.join(names)}"
        )
    return names[0]
