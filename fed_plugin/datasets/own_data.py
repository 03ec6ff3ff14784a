"""Somebody's own data: read, divided, numbered, and said in sentences what was done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fed_plugin.datasets.listing import is_hidden
from fed_plugin.datasets.own.csv_table import read_table
from fed_plugin.datasets.own.division import Division, divide
from fed_plugin.datasets.own.folders import read_folder
from fed_plugin.datasets.own.records import (
    NOBODY,
    Found,
    Record,
    in_order,
    keep_their_value,
    numbered,
)
from fed_plugin.datasets.own.splitting import SplitRule
from fed_plugin.datasets.own.wording import counted, identities, named, shown
from fed_plugin.datasets.splits import CAMERA_OF_SPLIT, Item, Splits

_TABLES = (".csv", ".tsv", ".txt")
_KEY = "DATASETS.FOLDER_REID.ROOT"
_DISTRACTORS = 0  # Market-1501's identity of those in its gallery whom no query is about
_FEW = 3  # files of a folder that are named one by one


@dataclass(frozen=True)
class OwnData(Splits):
    """Hold the three lists of own data, and how they came about.

    Attributes:
        identities: the name behind every pid.
        distractor_pids: identities of the gallery that are nobody's.
        uses_cameras: whether camids of query and gallery are cameras; if not, queries have 0 and
            gallery images 1, so that the same-camera rule never fires.
        explanation: sentences on what was found, how it was read and divided, and how much it is.
        warnings: those of the sentences that call for somebody's attention.
        passed_over: every file below the folder that is no part of the data.
    """

    identities: Mapping[int, str] = field(default_factory=dict)
    distractor_pids: tuple[int, ...] = ()
    uses_cameras: bool = False
    explanation: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def read_own_data(path: str | os.PathLike[str], rule: SplitRule | None = None) -> OwnData:
    """Read a folder of folders, a Market-style folder, or a table, divided or not.

    Where no split is given, whole identities are tested on; those with one image (where cameras
    count: in one camera) are for training. Cameras count if some identity that is tested on is seen
    by two of them: with one camera alone, no query would have a right answer. Somebody in training
    and in testing is a warning, as it is somebody's own split.

    Args:
        path: a folder (:func:`~fed_plugin.datasets.own.folders.read_folder`), or a file
            (:func:`~fed_plugin.datasets.own.csv_table.read_table`).
        rule: how to divide what is not divided; None takes the defaults.

    Returns:
        Lists sorted by path, so that they are the same on every platform.

    Raises:
        FileNotFoundError: Nothing is there, or an image that a table lists is not.
        ValueError: What is there cannot be read as people and their images; the message names the
            folder, or the table and its line.
        OSError: A folder or the table cannot be read.
    """
    path = os.fspath(path)
    found = _read(path)
    people = in_order(record for record in found.records if record.identity != NOBODY)
    nobody = sorted(record.path for record in found.records if record.identity == NOBODY)
    if not people:
        raise ValueError(f"{shown(path)} ({_KEY}): expected people, got identity -1 (nobody) only")
    try:
        division = divide(people, rule or SplitRule())
    except ValueError as error:
        raise ValueError(f"{shown(path)} ({_KEY}): {error}") from None
    pids = numbered(record.identity for record in people)
    distractors = _distractors(division, pids) if people[0].split else ()
    return OwnData(
        **_items(division, pids),
        identities={pid: name for name, pid in pids.items()},
        distractor_pids=distractors,
        uses_cameras=division.uses_cameras,
        explanation=tuple(_explain(path, found, nobody, division, pids, distractors)),
        warnings=tuple(division.warnings),
        passed_over=tuple(sorted({*found.passed_over, *nobody})),
    )


def _read(path: str) -> Found:
    if os.path.isdir(path):
        return read_folder(path)
    if os.path.isfile(path) and path.lower().endswith(_TABLES):
        return read_table(path)
    there = os.path.exists(path)
    message = (
        f"{shown(path)} ({_KEY}): expected a folder of images or a table ({' '.join(_TABLES)}), "
        f"got {'another file' if there else 'nothing there'}; try "
        f"{'unpacking it, or naming its folder' if there else 'the whole path'}"
    )
    raise ValueError(message) if there else FileNotFoundError(message)


def _items(division: Division, pids: Mapping[str, int]) -> dict[str, list[Item]]:
    lists = _lists(division)
    everybody = [record for records in lists.values() for record in records]
    cameras = numbered(record.camera for record in everybody if record.camera is not None)

    def camid(record: Record, split: str) -> int:
        if record.camera is not None and (split == "train" or division.uses_cameras):
            return cameras[record.camera]
        return CAMERA_OF_SPLIT[split]

    return {
        split: [(r.path, pids[r.identity], camid(r, split)) for r in in_order(records)]
        for split, records in lists.items()
    }


def _lists(division: Division) -> dict[str, list[Record]]:
    return {"train": division.train, "query": division.query, "gallery": division.gallery}


def _distractors(division: Division, pids: Mapping[str, int]) -> tuple[int, ...]:
    """Return identity 0 if numbers are identities and only the gallery holds it."""
    asked = {pids[record.identity] for record in division.train + division.query}
    there = {pids[record.identity] for record in division.gallery}
    alone = keep_their_value(pids) and _DISTRACTORS in there - asked
    return (_DISTRACTORS,) if alone else ()


def _explain(
    path: str,
    found: Found,
    nobody: list[str],
    division: Division,
    pids: Mapping[str, int],
    distractors: tuple[int, ...],
) -> Iterator[str]:
    yield from found.sentences
    yield _numbering(pids)
    yield from division.sentences
    for pid in distractors:
        yield f"Identity {pid} is in the gallery only: distractors."
    yield from _passed_over(path, "Passed over as nobody (-1)", nobody)
    yield from _passed_over(path, "Passed over", found.passed_over)
    for warning in division.warnings:
        yield f"Warning: {warning}"
    yield _counts(division)


def _numbering(pids: Mapping[str, int]) -> str:
    if keep_their_value(pids):
        return f"Identities: {len(pids):,}, which keep their numbers."
    told = named([f"{name} is {pid}" for name, pid in pids.items()])
    return f"Identities: {len(pids):,}, numbered in sorted order: {told}."


def _counts(division: Division) -> str:
    told = []
    for split, records in _lists(division).items():
        people = identities(len({record.identity for record in records}))
        told.append(f"{split} {counted(len(records), 'image')} of {people}")
    return f"In all: {', '.join(told)}."


def _passed_over(root: str, what: str, paths: list[str]) -> list[str]:
    """Name what was passed over: by its folder where that holds many, hidden files last."""
    if not paths:
        return []
    start = root if os.path.isdir(root) else os.path.dirname(root) or "."
    folders: dict[str, list[str]] = {}
    for path in paths:
        name = os.path.relpath(path, start) + path[len(path.rstrip(os.sep)) :]
        hidden = any(is_hidden(part) for part in name.split(os.sep))
        folder = "hidden" if hidden else os.path.dirname(name.rstrip(os.sep))
        folders.setdefault(folder, []).append(name)
    hidden = folders.pop("hidden", [])
    names = []
    for folder, inside in sorted(folders.items()):
        many = folder and len(inside) > _FEW
        names += [f"{folder}{os.sep} ({len(inside):,} files)"] if many else inside
    if hidden:
        names.append(f"{counted(len(hidden), 'hidden file')} such as {hidden[0]}")
    return [f"{what}: {counted(len(paths), 'file')}, {named(names)}."]
