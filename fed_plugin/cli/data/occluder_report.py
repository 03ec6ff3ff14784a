"""What the commands on occluder sets print: what is left out, what leaks, what a set teaches."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.cli.data.occluder_leaks import LeakReport
from fed_plugin.cli.data.occluder_supervision import measure_supervision, say_supervision
from fed_plugin.datasets.occluder_sets import MANIFEST, Crop, LeftOut

_SHOWN = 5  # names of crops in a line


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
