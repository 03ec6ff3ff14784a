"""Where the crops of a new occluder set come from: a folder, a training set, or a program."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from fed_plugin.cli.data.occluder_leaks import named_split
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.occluder_sets import Crop, LeftOut, mine_crops, read_crops

DEFAULT_COUNT = 200
_SPARE = 2  # mined crops per crop wanted: some are duplicates or leaks


@dataclass(frozen=True)
class Source:
    """Hold candidates for a set.

    Attributes:
        crops: in order of preference.
        left_out: files that gave none.
        source: where they are from.
        licence: what binds them.
        most: crops that the set may have.
    """

    crops: list[Crop]
    left_out: list[LeftOut]
    source: str
    licence: str
    most: int | None = None


def gather(args: argparse.Namespace) -> Source:
    """Get crops from the source that the command's words name."""
    if args.from_crops is not None:
        return _from_folder(args)
    if args.mine is not None:
        return _mined(args)
    return _drawn(args)


def _from_folder(args: argparse.Namespace) -> Source:
    with ProgressLine("reading crops") as progress:
        crops, left_out = read_crops(args.from_crops, progress)
    source = args.source or f"crops in the folder {Path(args.from_crops).resolve().name}"
    licence = args.licence or "not stated; whoever built this set gave no --licence"
    return Source(crops, left_out, source, licence, args.count)


def _mined(args: argparse.Namespace) -> Source:
    train = named_split(args.mine, "train")
    count = DEFAULT_COUNT if args.count is None else args.count
    with ProgressLine(f"looking through training images of {train.name}") as progress:
        crops, left_out = mine_crops(train.items, _SPARE * count, args.seed, progress)
    licence = (
        f"cut out of training images of {train.name}: its licence, and its withdrawal if there is "
        f"one, bind these crops as they bind the images"
    )
    licence = "; ".join(filter(None, [licence, args.licence, train.note]))
    source = args.source or f"background at the borders of training images of {train.name}"
    return Source(crops, left_out, source, licence, count)


def _drawn(args: argparse.Namespace) -> Source:
    from fed_plugin.transforms import drawn_occluders

    occluders = drawn_occluders(args.drawn, args.seed)
    crops = [
        Crop(name.rpartition("-")[0], pixels, f"drawn, seed {args.seed}: {name}")
        for name, pixels in zip(occluders.names, occluders, strict=True)
    ]
    source = args.source or "drawn by fed_plugin"
    licence = args.licence or "drawn by a program under the Apache License 2.0; nobody's picture"
    return Source(crops, [], source, licence, args.count)
