"""``data``: data sets that are drawn."""

from __future__ import annotations

import argparse

from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.synthocc import SIZES, build_synthocc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    synth = actions.add_parser("synth", help="draw SynthOcc: people, whole and occluded")
    synth.add_argument("--size", choices=sorted(SIZES), default="small", help="default: small")
    synth.add_argument(
        "--out", required=True, metavar="DIR/SynthOcc", help="DIR is what FASTREID_DATASETS names"
    )
    synth.add_argument("--seed", type=int, default=0, help="another seed draws other people")
    synth.add_argument("--workers", type=int, default=None, help="processes; default: all cores")


def run(args: argparse.Namespace) -> None:
    """Draw the data set; a finished one of the same size and seed is left as it is."""
    with ProgressLine(f"drawing SynthOcc {args.size}") as progress:
        folder = build_synthocc(
            args.out, args.size, args.seed, workers=args.workers, progress=progress
        )
    print(f"SynthOcc {args.size}, seed {args.seed}: {folder}")
