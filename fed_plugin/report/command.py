"""``report``: what a benchmark found, as Markdown, CSV, JSON and one page that needs no network."""

from __future__ import annotations

import argparse
from pathlib import Path

INTERRUPTED = "files of the report are there whole or not at all; the same command writes them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Write what a benchmark found: report.md, report.csv, report.json and report.html, one "
        "page with figures and pictures in it. What is not there is said in the report."
    )
    parser.add_argument("results", metavar="OUT", help="folder of a benchmark, with results.json")
    parser.add_argument("--out", metavar="DIR", help="where to write; default: OUT/report")
    parser.add_argument(
        "--baseline",
        metavar="METHOD",
        help="that differences are to; default: a method with 'baseline' in its name, else the "
        "first of a table",
    )


def run(args: argparse.Namespace) -> int:
    """Read, write four files, print where they are."""
    from fed_plugin.report.contents import make_report
    from fed_plugin.report.renderers import write_report
    from fed_plugin.report.tables import read_benchmark

    benchmark = read_benchmark(args.results)
    report = make_report(benchmark, args.baseline)
    paths = write_report(report, Path(args.out or benchmark.folder / "report"))
    for sentence in report.missing:
        print(f"not in the report: {sentence}")
    print("\n".join(str(path) for path in paths))
    return 0
