"""Which people are searched for in a test with pasted occluders: whole ones, by a stable rule."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fed_plugin.datasets.layouts import CHECKED_ONLY, LAYOUTS, Item

QUERY, GALLERY, AUTO = "query", "gallery", "auto"
_PARTIAL_REID_NAMES = ("PartialREID", "PartialiLIDS", "OccludedREID")  # of fast-reid's project


@dataclass(frozen=True)
class WholeQueries:
    """Say what is searched for, and in what.

    Attributes:
        queries: (path, pid, camid), each with a right answer in the gallery.
        gallery: all of it; cameras are made up where the set has none.
        gallery_people: those of the gallery whose identity is known, distractors left out.
        rule: how the queries were chosen, in one sentence.
    """

    queries: list[Item]
    gallery: list[Item]
    gallery_people: list[Item]
    rule: str


def has_occluded_queries(dataset: str) -> bool:
    """Tell whether a data set's queries are occluded: those of the benchmarks for occlusion."""
    return dataset in _PARTIAL_REID_NAMES or (dataset in LAYOUTS and dataset not in CHECKED_ONLY)


def choose_whole_queries(
    dataset: str,
    query: Sequence[Item],
    gallery: Sequence[Item],
    *,
    most: int,
    per_identity: int = 2,
    source: str = AUTO,
) -> WholeQueries:
    """Choose images of whole people to search for.

    A set with whole queries has its own taken; of one with occluded queries, gallery images are,
    against the whole gallery, and the camera rule takes the image itself out of its ranking. Every
    identity gives one image before any gives two, those from another camera; which, the sha256 of
    the file names decides. Distractors and files that are queries as well are not chosen from a
    gallery. Gallery images without cameras get one of their own each, so that only the image itself
    is left out.

    Args:
        dataset: its registered name.
        query: (path, pid, camid) of the set's queries.
        gallery: likewise.
        most: how many to choose at most.
        per_identity: how many of one identity at most.
        source: ``"query"`` or ``"gallery"`` to take them from there; ``"auto"`` by the name.

    Raises:
        ValueError: no image has a right answer from another camera, or an argument is out of range.
    """
    if most < 2 or per_identity < 1 or source not in (QUERY, GALLERY, AUTO):
        raise ValueError(
            f"expected 2 queries or more, 1 or more of an identity and a source of {QUERY!r}, "
            f"{GALLERY!r} or {AUTO!r}, got {most}, {per_identity} and {source!r}"
        )
    if source == AUTO:
        source = GALLERY if has_occluded_queries(dataset) else QUERY
    gallery, made_up = list(gallery), False
    if source == GALLERY:
        made_up = len({camid for _, _, camid in gallery}) == 1
        if made_up:
            gallery = [(path, pid, place) for place, (path, pid, _) in enumerate(gallery)]
    people = _without_distractors(dataset, gallery)
    candidates = list(query)
    if source == GALLERY:
        occluded = {os.path.basename(path) for path, _, _ in query}
        candidates = [item for item in people if os.path.basename(item[0]) not in occluded]
    answered = _with_answers(candidates, gallery)
    if not answered:
        raise ValueError(
            f"{dataset}: expected {source} images with a right answer from another camera in the "
            f"gallery, found none among {len(candidates)}; try another data set"
        )
    chosen = _spread_over_identities(answered, most, per_identity)
    rule = _rule(source, len(chosen), most, per_identity, made_up)
    return WholeQueries(chosen, gallery, people, rule)


def _without_distractors(dataset: str, gallery: Sequence[Item]) -> list[Item]:
    layout = LAYOUTS.get(dataset)
    distractors: Collection[int] = {-1, *(layout.distractor_pids if layout else ())}
    return [item for item in gallery if item[1] not in distractors]


def _with_answers(candidates: Sequence[Item], gallery: Sequence[Item]) -> list[Item]:
    cameras: dict[int, set[int]] = {}
    for _, pid, camid in gallery:
        cameras.setdefault(pid, set()).add(camid)
    return [item for item in candidates if cameras.get(item[1], set()) - {item[2]}]


def _spread_over_identities(items: Sequence[Item], most: int, per_identity: int) -> list[Item]:
    """Take the first image of every identity, then the second, by the hash of their names."""
    turns: list[list[Item]] = [[] for _ in range(per_identity)]
    cameras: dict[int, set[int]] = {}
    for item in sorted(items, key=_name_hash):
        taken = cameras.setdefault(item[1], set())
        if item[2] not in taken and len(taken) < per_identity:
            turns[len(taken)].append(item)
            taken.add(item[2])
    chosen = [item for turn in turns for item in turn][:most]
    return sorted(chosen, key=lambda item: os.path.basename(item[0]))


def _name_hash(item: Item) -> str:
    return hashlib.sha256(os.fsencode(os.path.basename(item[0]))).hexdigest()


def _rule(source: str, count: int, most: int, per_identity: int, made_up: bool) -> str:
    images = "queries of the set" if source == QUERY else "gallery images against the gallery"
    cameras = "; each gallery image has a camera of its own" if made_up else ""
    return (
        f"{count} {images}: at most {most} in all and {per_identity} of a person, from different "
        f"cameras, chosen by the sha256 of their names{cameras}"
    )
