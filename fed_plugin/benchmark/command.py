"""``benchmark``: run methods x data sets x seeds, each cell in a process of its own."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from fed_plugin.benchmark.cells import look
from fed_plugin.benchmark.plan import make_cells, other_cells, read_plan
from fed_plugin.benchmark.runner import only_runner, run_plan
from fed_plugin.benchmark.summary import STATE_COLUMNS
from fed_plugin.files import OutputFolder
from fed_plugin.retrieval.estimates import as_text

INTERRUPTED = (
    "finished cells are kept; the same command goes on with the rest, and with --resume from the "
    "newest checkpoint of a half training"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("plan", metavar="PLAN.yml", help="plan to run (docs/benchmark.md)")
    words = "cells at a time, each on its own CUDA device if there are enough; default: 1"
    add("--jobs", type=int, default=1, help=words)
    add("--only", nargs="+", default=[], metavar="METHOD", help="of the plan's")
    add("--out", type=OutputFolder, help="folder, instead of the plan's")
    words = "continue half trainings from their newest checkpoint, not from the start"
    add("--resume", action="store_true", help=words)
    words = "check the plan and list its cells, run nothing"
    add("--dry-run", action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Check the plan, run the cells that are not finished, join the results, print a table."""
    if args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: expected 1 or more")

    plan = read_plan(args.plan)
    if args.out:
        plan = replace(plan, out=Path(args.out))
    logging.getLogger("fastreid").setLevel(logging.ERROR)  # the cells have logs
    cells = make_cells(plan, args.only)
    if args.dry_run:
        print(as_text(STATE_COLUMNS, [(cell, look(cell)) for cell in cells]))
        return 0
    with only_runner(plan.out) as lock:
        options = {"jobs": args.jobs, "resume": args.resume, "lock": lock}
        return run_plan(plan, cells, others=other_cells(plan, args.only), **options)
