"""``report``: the results of a benchmark as Markdown, CSV, JSON and one page of HTML."""

from __future__ import annotations

import argparse
from pathlib import Path

from fed_plugin.files import OutputFolder
from fed_plugin.report.contents import make_report
from fed_plugin.report.renderers import write_report
from fed_plugin.report.tables import read_benchmark

INTERRUPTED = "no file of the report is half written; the same command writes all of them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report``."""
    parser.description = (
        "Write the results of a benchmark: report.md, report.csv, report.json and report.html, a "
        "page that holds all figures and pictures. The report lists what is missing."
    )
    add = parser.add_argument
    add("results", metavar="OUT", help="folder of a benchmark, with results.json")
    add("--out", type=OutputFolder, metavar="DIR", help="folder to write; default: OUT/report")
    words = "method for differences; default: with 'baseline' in its name, else a table's first"
    add("--baseline", metavar="METHOD", help=words)


def run(args: argparse.Namespace) -> int:
    """Read the benchmark, write four files, print their paths."""
    benchmark = read_benchmark(args.results)
    report = make_report(benchmark, args.baseline)
    paths = write_report(report, Path(args.out or benchmark.folder / "report"))
    for sentence in report.missing:
        print(f"not in the report: {sentence}")
    print("\n".join(str(path) for path in paths))
    return 0
