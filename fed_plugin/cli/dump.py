"""``dump``: features of a test set by a trained model, in a file that ``evaluate`` scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from fed_plugin import arguments
from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFile

INTERRUPTED = "no dump was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Describe the query and gallery images of a data set with a model of any fast-reid config, "
        "through fast-reid's own test loader, and write a feature dump (docs/dumps.md). FED's also "
        "holds the features and the visibility of its parts."
    )
    add = parser.add_argument
    add("--dataset", metavar="NAME", help="registered name; default: the one in DATASETS.TESTS")
    add("-o", "--out", type=OutputFile, required=True, metavar="FILE.npz", help="file to write")
    words = "name in tables; default: that of the OUTPUT_DIR, else of the config"
    add("--method", metavar="NAME", help=words)
    add("--force", action="store_true", help="write over an existing FILE.npz")
    arguments.add_model_arguments(parser, untrained=True)


def run(args: argparse.Namespace) -> None:
    """Describe the test set and write FILE.npz atomically."""
    target = Path(args.out)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    arguments.check_model_words(args, untrained=True)

    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.extract import dump_test_set, only_test_set

    cfg = read_config(args.config_file, arguments.model_overrides(args))
    name = args.dataset or only_test_set(cfg.DATASETS.TESTS)
    method = arguments.name_of_method(args.config_file, args.weights)
    if args.weights == arguments.UNTRAINED:
        method += f", {arguments.UNTRAINED}"
    about = {
        "method": args.method or method,
        "config": Path(args.config_file).name,
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
