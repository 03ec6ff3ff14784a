"""``data occluders build``: gather, leave out what must not be in, write, report."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.cli.data.occluder_leaks import LeakReport, named_split, search_leaks
from fed_plugin.cli.data.occluder_sources import Source, gather
from fed_plugin.cli.data.occluder_supervision import (
    check_words,
    measure_supervision,
    say_supervision,
)
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.occluder_sets import (
    MANIFEST,
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
    report = None
    if queries is not None:
        with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
            report = search_leaks(crops, queries, progress)
        leaks = [LeftOut(crops[i].origin, "leak", text) for i, text in sorted(report.found.items())]
        left_out += leaks
        report_json = report.to_json(crops)
        print_leak_search(report, crops)
        crops = [crop for index, crop in enumerate(crops) if index not in report.found]
    kept = crops[: source.most]
    if args.mine is None:  # of mined windows there are always more
        beyond = crops[len(kept) :]
        left_out += [
            LeftOut(c.origin, "beyond --count", f"{source.most} are enough") for c in beyond
        ]
    print_left_out(left_out, None if not kept else _SHOWN)
    about = {
        "source": source.source,
        "licence": source.licence,
        "built": {"command": _command(args), "seed": args.seed},
        "leaks": report_json if report else None,
        "left_out": [vars(one) for one in left_out],
    }
    supervision: dict[str, Any] = {}

    def describe(folder: Path) -> dict[str, Any]:
        supervision.update(measure(folder, args, any(c.pixels.shape[2] == 4 for c in kept)))
        return supervision

    with ProgressLine("writing crops") as progress:
        folder = write_set(args.out, kept, about, describe, progress)
    _print_summary(args, folder, kept, source, report)
    print_supervision(supervision, kept)
    print(f"to train with it:\n    INPUT.NPO.OCCLUDERS {folder}")


def print_left_out(left_out: Sequence[LeftOut], shown: int | None = None) -> None:
    """Count and name what is not part of a set, by kind.

    Args:
        left_out: all of it.
        shown: how many of each kind are named; None names all.
    """
    kinds = Counter(one.kind for one in left_out)
    for kind, count in sorted(kinds.items()):
        print(f"{kind}: {count}")
        names = [one for one in left_out if one.kind == kind]
        for one in names[:shown]:
            print(f"    {one.name}: {one.reason}")
        if len(names[:shown]) < count:
            print(f"    ... and {count - len(names[:shown])} more, all named in {MANIFEST}")


def print_supervision(supervision: dict[str, Any], crops: Sequence[Crop]) -> None:
    """Print what ``measure`` returned."""
    tall = sum(crop.is_tall for crop in crops)
    for found in supervision.values():
        for line in say_supervision(found, tall, len(crops)):
            print(line)


def measure(folder: Path, args: argparse.Namespace, transparent: bool) -> dict[str, Any]:
    """Measure what a folder of crops teaches, also with its transparency where it has any."""
    size = tuple(args.image_size)
    found = {"supervision": measure_supervision(folder, args.draws, size, seed=args.seed)}
    if transparent:
        found["supervision_with_alpha"] = measure_supervision(
            folder, args.draws, size, seed=args.seed, alpha=True
        )
    return found


def print_leak_search(report: LeakReport, crops: Sequence[Crop]) -> None:
    """Say what was searched, and what could not be."""
    print(
        f"leaks: {len(report.found)} crops occur in {report.images} query images of "
        f"{report.dataset}"
    )
    if report.unsearchable:
        names = ", ".join(crops[index].origin for index in report.unsearchable[:_SHOWN])
        more = len(report.unsearchable) - _SHOWN
        print(
            f"    {len(report.unsearchable)} crops are too small, flat or transparent to be "
            f"recognised: {names}{f' and {more} more' if more > 0 else ''}"
        )
    for name in report.unreadable:
        print(f"    cannot be searched: {name}")


def _print_summary(
    args: argparse.Namespace,
    folder: Path,
    kept: Sequence[Crop],
    source: Source,
    report: LeakReport | None,
) -> None:
    tall = sum(crop.is_tall for crop in kept)
    print(f"{len(kept)} crops, {tall} tall and {len(kept) - tall} wide, in {folder}")
    if args.mine is not None and len(kept) < (source.most or 0):
        print(f"    fewer than the {source.most} asked for: no more windows show only background")
    print(f"    source: {source.source}\n    licence: {source.licence}")
    if report is None:
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
