"""``data occluders build``: gather, leave out what must not be in, write, report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.cli.data.occluder_leaks import NamedSplit, named_split, search_leaks
from fed_plugin.cli.data.occluder_report import (
    measure,
    print_leak_search,
    print_left_out,
    print_supervision,
)
from fed_plugin.cli.data.occluder_sources import Source, gather
from fed_plugin.cli.data.occluder_supervision import check_words
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.occluder_sets import (
    Crop,
    LeftOut,
    check_target,
    without_duplicates,
    write_set,
)

_SHOWN = 5  # of each kind; the manifest names all


def run(args: argparse.Namespace) -> None:
    """Build a set; nothing is written if that fails."""
    check_target(args.out)
    check_words(args.draws, args.image_size)
    if args.count is not None and args.count < 1:
        raise ValueError(f"--count {args.count}: expected 1 or more")
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    source = gather(args)
    crops, duplicates = without_duplicates(source.crops)
    left_out = [*source.left_out, *duplicates]
    leaks = None
    if queries is not None:
        crops, found, leaks = _without_leaks(crops, queries)
        left_out += found
    kept = crops[: source.most]
    if args.mine is None:  # of mined windows there are always more
        reason = f"{source.most} are enough"
        left_out += [LeftOut(c.origin, "beyond --count", reason) for c in crops[len(kept) :]]
    print_left_out(left_out, None if not kept else _SHOWN)
    about = {
        "source": source.source,
        "licence": source.licence,
        "built": {"command": _command(args), "seed": args.seed},
        "leaks": leaks,
        "left_out": [vars(one) for one in left_out],
    }
    supervision: dict[str, Any] = {}

    def describe(folder: Path) -> dict[str, Any]:
        supervision.update(measure(folder, args, any(c.pixels.shape[2] == 4 for c in kept)))
        return supervision

    with ProgressLine("writing crops") as progress:
        folder = write_set(args.out, kept, about, describe, progress)
    _print_summary(args, folder, kept, source)
    print_supervision(supervision, kept)
    print(f"to train with it:\n    INPUT.NPO.OCCLUDERS {folder}")


def _without_leaks(
    crops: list[Crop], queries: NamedSplit
) -> tuple[list[Crop], list[LeftOut], dict[str, Any]]:
    """Search and take out; also return what the manifest says of the search."""
    with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
        report = search_leaks(crops, queries, progress)
    print_leak_search(report, crops)
    kept = [crop for index, crop in enumerate(crops) if index not in report.found]
    leaks = [LeftOut(crops[i].origin, "leak", text) for i, text in sorted(report.found.items())]
    return kept, leaks, report.to_json(crops)


def _print_summary(
    args: argparse.Namespace,
    folder: Path,
    kept: Sequence[Crop],
    source: Source,
) -> None:
    tall = sum(crop.is_tall for crop in kept)
    print(f"{len(kept)} crops, {tall} tall and {len(kept) - tall} wide, in {folder}")
    if args.mine is not None and len(kept) < (source.most or 0):
        print(f"    fewer than the {source.most} asked for: no more windows show only background")
    print(f"    source: {source.source}\n    licence: {source.licence}")
    if args.leaks_in is None:
        print("    not searched for leaks: --leaks-in NAME does so")


def _command(args: argparse.Namespace) -> str:
    """Write the command as anybody could repeat it: without the folders of this machine."""
    words = ["python", "-m", "fed_plugin", "data", "occluders", "build"]
    named = {
        "--from-crops": args.from_crops and Path(args.from_crops).resolve().name,
        "--mine": args.mine and Path(args.mine).name,
        "--drawn": args.drawn,
        "--count": args.count,
        "--licence": args.licence,
        "--source": args.source,
        "--leaks-in": args.leaks_in and Path(args.leaks_in).name,
        "--draws": args.draws,
    }
    for word, value in named.items():
        words += [] if value is None else [word, str(value)]
    size = ["--image-size", *map(str, args.image_size)]
    return shlex.join([*words, *size, "--seed", str(args.seed)])
