"""``data occluders check``: a set against its manifest, or somebody's folder of crops."""

from __future__ import annotations

import argparse
from pathlib import Path

from fed_plugin.cli.data.occluder_leaks import named_split, search_leaks
from fed_plugin.cli.data.occluder_report import (
    measure,
    print_leak_search,
    print_left_out,
    print_supervision,
)
from fed_plugin.cli.data.occluder_supervision import check_words
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.occluder_sets import MANIFEST, LeftOut, check_set


def run(args: argparse.Namespace) -> int:
    """Check and print; status 1 if there is a problem or a leak."""
    check_words(args.draws, args.image_size)
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    with ProgressLine("reading crops") as progress:
        check = check_set(args.folder, progress)
    crops, problems = check.crops, list(check.problems)
    tall = sum(crop.is_tall for crop in crops)
    print(f"{args.folder}: {len(crops)} crops, {tall} tall and {len(crops) - tall} wide")
    if check.manifest is None:
        print(
            f"warning: no {MANIFEST}, so nothing says where the crops are from or whether they "
            "are as they were; `data occluders build --from-crops` makes a set of them"
        )
    else:
        about = check.manifest.about
        print(f"    source: {about.get('source')}\n    licence: {about.get('licence')}")
    searched = True
    if queries is not None and crops:
        with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
            report = search_leaks(crops, queries, progress)
        print_leak_search(report, crops)
        searched = not report.unreadable
        problems += [
            LeftOut(crops[i].origin, "leak", text) for i, text in sorted(report.found.items())
        ]
    print_left_out(check.warnings)
    print_left_out(problems)
    if crops and not any(problem.kind == "broken" for problem in problems):
        transparent = any(crop.pixels.shape[2] == 4 for crop in crops)
        print_supervision(measure(Path(args.folder), args, transparent), crops)
    if not crops:
        print("not one usable crop")
    return int(bool(problems) or not searched or not crops)
