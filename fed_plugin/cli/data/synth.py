"""``data synth``: the drawn data set."""

from __future__ import annotations

import argparse

from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.synthocc import SIZES, build_synthocc

INTERRUPTED = "the same command goes on from here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--size", choices=sorted(SIZES), default="small", help="default: small")
    parser.add_argument(
        "--out", required=True, metavar="DIR/SynthOcc", help="DIR is what FASTREID_DATASETS names"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other people")
    parser.add_argument("--workers", type=int, default=None, help="processes; default: all cores")


def run(args: argparse.Namespace) -> None:
    """Draw the data set; a finished one of the same size and seed is left as it is."""
    with ProgressLine(f"drawing SynthOcc {args.size}") as progress:
        folder = build_synthocc(
            args.out, args.size, args.seed, workers=args.workers, progress=progress
        )
    print(f"SynthOcc {args.size}, seed {args.seed}: {folder}")
