"""``data check``: what is there of a data set, what is missing, broken, or there twice."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fed_plugin.console import ProgressLine
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.posetrack import cut_crops
from fed_plugin.synthocc import SIZES, build_synthocc

if TYPE_CHECKING:
    from fed_plugin.datasets.check import Report
    from fed_plugin.datasets.image_facts import FactsCache

CHECK_INTERRUPTED = "what was read is remembered for the next check, but for --no-cache"

_SHOWN = 3  # files of a finding
_HASH = 12  # characters of a hash that a table has room for


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Check a data set: counts against the published ones, hashes of the file lists, images "
        "that cannot be read or are unlike the others, pictures that are there twice, queries "
        "without a right answer. Exit status 1 if there is an error. Nothing is written into the "
        "data set's folder."
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="NAME|PATH",
        help="a registered name such as Occluded_Duke; or the folder of a data set, one that holds "
        "data sets, or own images; default: all below FASTREID_DATASETS (datasets, if it is unset)",
    )
    parser.add_argument("--all", action="store_true", help="name every file, not the first few")
    parser.add_argument("--json", metavar="FILE", help="write everything, with every file, as JSON")
    parser.add_argument(
        "--fast", action="store_true", help="believe headers: decode nothing, seek no look-alikes"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: all cores")
    parser.add_argument(
        "--cache", metavar="FILE", help="what is known of files; default: in XDG_CACHE_HOME"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="read every file again, keep nothing"
    )


def run_check(args: argparse.Namespace) -> int:
    """Check and print; status 1 after an error in any of the data sets."""
    from fed_plugin.console import ProgressLine
    from fed_plugin.datasets.check import check, find_targets
    from fed_plugin.datasets.image_facts import FactsCache, default_cache

    if args.json and not Path(args.json).absolute().parent.is_dir():
        raise FileNotFoundError(f"--json {args.json}: expected a file in a folder that is there")
    root = os.environ.get("FASTREID_DATASETS", "datasets")
    targets = find_targets(args.dataset, root)
    cache = None if args.no_cache else FactsCache(args.cache or default_cache())
    reports = []
    try:
        for target in targets:
            with ProgressLine(f"checking {target.name}") as progress:
                reports.append(
                    check(
                        target,
                        decode=not args.fast,
                        workers=args.workers,
                        cache=cache,
                        progress=progress,
                    )
                )
            print_report(reports[-1], every_file=args.all)
    finally:
        if cache is not None:
            cache.close()
    _warn(cache)
    if args.json:
        _write_json(Path(args.json), reports)
    return int(any(report.errors for report in reports))


def print_report(report: Report, *, every_file: bool = False) -> None:
    """Print the table, the findings by severity, and how to train.

    Args:
        report: of one data set.
        every_file: name all files of a finding.
    """
    target = report.target
    _say(f"\n{target.name}: {target.folder}")
    for line in (*target.variant, "", *table(report), ""):
        _say(f"  {line}".rstrip())
    for finding in report.findings:
        _say(f"{finding.severity}: {finding.sentence}")
        shown = finding.files if every_file else finding.files[:_SHOWN]
        for files in shown:
            names = (printable(os.path.relpath(f, _base(target.folder))) for f in files)
            _say(f"    {' = '.join(names)}")
        if len(shown) < len(finding.files):
            _say(f"    ... and {len(finding.files) - len(shown)} more (--all names them)")
    again = report.images - report.inspected
    _say(
        f"{_summary(report)}; {report.inspected} files read, {again} unchanged since a check before"
    )
    if not report.errors:
        _say("to train or test on it:")
        for line in target.training:
            _say(f"    {line}")


def table(report: Report) -> list[str]:
    """Return the lines of a table with a row per split."""
    head = ("split", "images", "published", "ids", "published", "cameras", "median", "file list")
    rows = [
        (
            row.split,
            f"{row.images:,}",
            _number(row.published_images),
            f"{row.identities:,}",
            _number(row.published_identities),
            str(row.cameras or "-"),
            f"{row.width} x {row.height}",
            row.list_sha256[:_HASH],
        )
        for row in report.splits
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [_aligned(row, widths) for row in (head, *rows)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _summary(report: Report) -> str:
    counts = {
        severity: sum(finding.severity == severity for finding in report.findings)
        for severity in ("error", "warning", "note")
    }
    return ", ".join(f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in counts.items())


def _base(folder: str) -> str:
    return folder if os.path.isdir(folder) else os.path.dirname(folder) or "."


def _say(line: str) -> None:
    """Print a line that may hold file names in no encoding."""
    print(line.encode("utf-8", "backslashreplace").decode())


def _warn(cache: FactsCache | None) -> None:
    for warning in cache.warnings if cache else ():
        _say(f"warning: {warning}")


def _write_json(path: Path, reports: Sequence[Report]) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps([report.to_json() for report in reports], indent=1) + "\n")
    unfinished.replace(path)


# ``data build-occluded-duke``: Occluded-Duke out of somebody's own copy of DukeMTMC-reID.

BUILD_OCCLUDED_DUKE_INTERRUPTED = "the same command goes on from here"


def add_build_occluded_duke_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.datasets.occluded_duke import WITHDRAWN

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


def run_build_occluded_duke(args: argparse.Namespace) -> None:
    """Say what the withdrawal means, then build."""
    from fed_plugin.console import ProgressLine
    from fed_plugin.datasets.occluded_duke import WITHDRAWN, build_occluded_duke

    print(textwrap.fill(WITHDRAWN, 79), file=sys.stderr, flush=True)
    with ProgressLine("building Occluded_Duke") as progress:
        built = build_occluded_duke(args.duke, args.lists, args.out, progress=progress)
    print(
        f"Occluded_Duke: {built.folder}: {built.images} images, {built.copied} copied now, all "
        f"verified; sha256 of names and contents {built.sha256}\n"
        f"try: fed-plugin data check {built.folder}"
    )


# ``data build-occluded-posetrack``: cut Occluded-PoseTrack-ReID out of PoseTrack21.

BUILD_OCCLUDED_POSETRACK_INTERRUPTED = "the same command goes on from here"


def add_build_occluded_posetrack_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument(
        "--posetrack",
        required=True,
        metavar="DIR/PoseTrack21",
        help="with images, posetrack_data and occluded_posetrack_reid/*_dataset_sampling.json; "
        "DIR is what FASTREID_DATASETS names. Crops go to occluded_posetrack_reid/images",
    )


def run_build_occluded_posetrack(args: argparse.Namespace) -> None:
    """Cut the crops that are not there yet."""
    with ProgressLine("cutting crops") as progress:
        result = cut_crops(args.posetrack, progress=progress)
    print(f"{result.cut} crops cut, {result.there} were there")
    for split, images in result.splits.items():
        print(f"{split}: {images} images, {result.identities[split]} identities")


# ``data synth``: the drawn data set.

SYNTH_INTERRUPTED = "the same command goes on from here"


def add_synth_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--size", choices=sorted(SIZES), default="small", help="default: small")
    parser.add_argument(
        "--out", required=True, metavar="DIR/SynthOcc", help="DIR is what FASTREID_DATASETS names"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other people")
    parser.add_argument("--workers", type=int, default=None, help="processes; default: all cores")


def run_synth(args: argparse.Namespace) -> None:
    """Draw the data set; a finished one of the same size and seed is left as it is."""
    with ProgressLine(f"drawing SynthOcc {args.size}") as progress:
        folder = build_synthocc(
            args.out, args.size, args.seed, workers=args.workers, progress=progress
        )
    print(f"SynthOcc {args.size}, seed {args.seed}: {folder}")
