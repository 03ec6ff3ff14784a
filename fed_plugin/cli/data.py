"""``data check``: what is there of a data set, what is missing, broken, or there twice."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fed_plugin.datasets.listing import printable

if TYPE_CHECKING:
    from fed_plugin.datasets.checking import FactsCache, Report

INTERRUPTED = "what was read is remembered for the next check, but for --no-cache"

_SHOWN = 3  # files of a finding
_HASH = 12  # characters of a hash that a table has room for


def add_arguments(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    """Check and print; status 1 after an error in any of the data sets."""
    from fed_plugin.cli.progress import ProgressLine
    from fed_plugin.datasets.checking import FactsCache, check, default_cache, find_targets

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
