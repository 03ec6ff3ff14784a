"""``data build-occluded-duke``: Occluded-Duke out of somebody's own copy of DukeMTMC-reID."""

from __future__ import annotations

import argparse
import sys
import textwrap

INTERRUPTED = "the same command goes on from here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.datasets.occluded_duke_builder import WITHDRAWN

    parser.description = (
        "Build Occluded_Duke from a copy of DukeMTMC-reID that you have, by the published lists. "
        "Every list and every copied image is verified. A second call goes on where a first was "
        "interrupted; a folder that holds something else is never touched. Nothing is downloaded."
    )
    parser.epilog = WITHDRAWN
    parser.add_argument(
        "--duke", required=True, metavar="ZIP_OR_DIR", help="DukeMTMC-reID, packed or unpacked"
    )
    parser.add_argument(
        "--lists",
        required=True,
        metavar="DIR",
        help="holds train.list, query.list and gallery.list of lightas/Occluded-DukeMTMC-Dataset",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR/Occluded_Duke",
        help="DIR is what FASTREID_DATASETS names",
    )


def run(args: argparse.Namespace) -> None:
    """Say what the withdrawal means, then build."""
    from fed_plugin.cli.progress import ProgressLine
    from fed_plugin.datasets.occluded_duke_builder import WITHDRAWN, build_occluded_duke

    print(textwrap.fill(WITHDRAWN, 79), file=sys.stderr, flush=True)
    with ProgressLine("building Occluded_Duke") as progress:
        built = build_occluded_duke(args.duke, args.lists, args.out, progress=progress)
    print(
        f"Occluded_Duke: {built.folder}: {built.images} images, {built.copied} copied now, all "
        f"verified; sha256 of names and contents {built.sha256}\n"
        f"try: python -m fed_plugin data check {built.folder}"
    )
