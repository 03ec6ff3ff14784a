"""``data occluders``: build, check and preview the sets of obstacles that NPO pastes."""

from __future__ import annotations

import argparse
from importlib import import_module

INTERRUPTED = "no half-written set is left"

_PACKAGE = "fed_plugin.cli.data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the three commands."""
    parser.description = (
        "Occluder sets for INPUT.NPO.OCCLUDERS: folders of obstacle crops with a manifest."
    )
    commands = parser.add_subparsers(metavar="build|check|preview", required=True)
    _add_build(commands)
    _add_check(commands)
    preview = commands.add_parser("preview", help="draw a contact sheet of a set")
    preview.set_defaults(work="occluder_preview")
    preview.add_argument("folder", metavar="DIR")
    preview.add_argument("--out", default="occluders.png", metavar="FILE", help=".png or .html")
    preview.add_argument(
        "--most", type=int, default=200, metavar="N", help="crops shown; default: %(default)s"
    )
    preview.add_argument("--seed", type=int, default=0, help="of the pasted examples")


def run(args: argparse.Namespace) -> int | None:
    """Do what was asked; importing waits until here."""
    status: int | None = import_module(f"{_PACKAGE}.{args.work}").run(args)
    return status


def _add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = commands.add_parser(
        "build",
        help="write a set: from crops, mined from a training set, or drawn",
        description="Write an occluder set: PNG crops without duplicates, and manifest.json with "
        "source, licence, sha256, size and h/w ratio. The same words give the same bytes.",
    )
    build.set_defaults(work="occluder_build")
    source = build.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-crops", metavar="DIR", help="image files of any kind; transparency is kept"
    )
    source.add_argument(
        "--mine",
        metavar="NAME|PATH",
        help="cut background beside the people of a data set's TRAINING images; the data set's "
        "licence and withdrawal bind the crops",
    )
    source.add_argument("--drawn", type=int, metavar="N", help="draw N obstacles; no download")
    build.add_argument("--out", required=True, metavar="DIR", help="empty, or not there yet")
    build.add_argument("--licence", metavar="TEXT", help="what binds the crops, for the manifest")
    build.add_argument("--source", metavar="TEXT", help="where they are from, for the manifest")
    build.add_argument(
        "--count", type=int, metavar="N", help="crops at most; default: all, 200 if mined"
    )
    build.add_argument("--seed", type=int, default=0, help="of mining, drawing and the report")
    _add_report(build, "leave out crops that occur in")


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        help="compare a set with its manifest, and with test images",
        description="Check an occluder set, or any folder of crops. Exit status 1 if files are "
        "missing, changed, unlisted, unreadable or there twice, or if a crop leaks.",
    )
    check.set_defaults(work="occluder_check")
    check.add_argument("folder", metavar="DIR")
    check.add_argument("--seed", type=int, default=0, help="of the report")
    _add_report(check, "also search the crops in")


def _add_report(parser: argparse.ArgumentParser, leaks: str) -> None:
    parser.add_argument(
        "--leaks-in", metavar="NAME|PATH", help=f"{leaks} the query images of this data set"
    )
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"), help="256 128"
    )
    parser.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="placements of the report; 2000"
    )
