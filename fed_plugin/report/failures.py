"""Queries that methods fail on, with their first answers; images of a data set."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fed_plugin.benchmark.cells import DUMP
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.splits import read_splits
from fed_plugin.photos import read_rgb
from fed_plugin.report.tables import FinishedCell, Table
from fed_plugin.retrieval.evaluation import DISTANCES, distance_for
from fed_plugin.retrieval.feature_dump import FeatureDump, unique_names
from fed_plugin.retrieval.ranking import first_ranked
from fed_plugin.synthocc import read_visibility
from fed_plugin.synthocc.build import has_visibility

# Files of a data set on this machine.


def find_images(dataset: str) -> dict[tuple[str, str], Path] | str:
    """Return the images of a data set by split and name; a reason if they are missing."""
    if dataset not in LAYOUTS:
        return f"where its images lie is not known (known: {', '.join(LAYOUTS)})"
    root = os.environ.get("FASTREID_DATASETS", "datasets")
    try:
        splits = read_splits(LAYOUTS[dataset], root)
    except (OSError, ValueError) as error:
        return f"its images are not there ({str(error).partition(chr(10))[0]})"
    images = {}
    for split in ("query", "gallery"):
        paths = [item[0] for item in getattr(splits, split)]
        names = unique_names(paths)
        images.update({(split, name): Path(p) for name, p in zip(names, paths, strict=True)})
    return images


def visible_shares(dataset: str) -> dict[str, tuple[float, ...]]:
    """Return visible shares by name of the query; empty for a data set without a side file.

    Returns:
        The visible share of the person, then those of its parts from top to bottom.

    Raises:
        ValueError: The side file is damaged.
    """
    images = find_images(dataset)
    if isinstance(images, str):
        return {}
    folder = next(path.parents[1] for (split, _), path in images.items() if split == "query")
    if not has_visibility(folder):
        return {}
    return {name: row.shares for name, row in read_visibility(folder).items()}


SHOWN = 8  # gallery images of a list
WORST, APART = 4, 4  # queries
_TALLEST = 160  # rows of a picture in the page
_QUALITY = 80


@dataclass(frozen=True)
class Answer:
    """One gallery image of a ranking list; a ``right`` image shows the query's person.

    The score is a similarity or a distance, as text.
    """

    path: Path
    right: bool
    score: str


@dataclass(frozen=True)
class RankedList:
    """The first answers of one method, under a title such as its name."""

    title: str
    answers: Sequence[Answer]


def data_uri(path: Path) -> str | None:
    """Return an image file as a JPEG of at most 160 rows, in a URI; None if it is no image."""
    try:
        image = np.ascontiguousarray(read_rgb(path)[..., ::-1])
    except Exception:  # any error of a decoder
        return None
    height, width = image.shape[:2]
    if height > _TALLEST:
        size = (max(1, round(width * _TALLEST / height)), _TALLEST)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


@dataclass(frozen=True)
class Failure:
    """Image of a query, its name as the caption, and one ranking list per method."""

    query: Path
    caption: str
    lists: tuple[RankedList, ...]


@dataclass(frozen=True)
class Failures:
    """Failures of the methods of a table, with sentences about methods and seed.

    The best method has the lowest precision on the ``worst`` queries. It differs most from the
    baseline on the queries ``apart``. ``why_not`` is a sentence if there are no ranking lists.
    """

    worst: tuple[Failure, ...] = ()
    apart: tuple[Failure, ...] = ()
    words: str = ""
    why_not: str = ""


Outcomes = Mapping[str, tuple[float, int]]
"""Average precision by query, and the rank of the first right answer, from 1 on."""


def find_failures(table: Table) -> Failures:
    """Choose queries to look at; dumps and images must exist."""
    try:
        return _failures(table, _choose_cells(table))
    except LookupError as error:
        return Failures(why_not=f"{table.dataset}: no ranking lists, as {error}")


def _failures(table: Table, chosen: Sequence[FinishedCell]) -> Failures:
    """Choose queries with the lists of the given cells; raise LookupError if there are none."""
    dumps = {cell.method: load_dump(cell) for cell in chosen}
    known = {method: dump for method, dump in dumps.items() if dump is not None}
    best = chosen[0].method
    if best not in known:
        raise LookupError(f"{chosen[0].file(DUMP)} cannot be read, or is not of these queries")
    images = find_images(table.dataset)
    if isinstance(images, str):
        raise LookupError(images)
    outcomes = {cell.method: _outcomes(cell) for cell in chosen if cell.method in known}
    ours = outcomes[best]
    worst = sorted(ours, key=lambda name: (ours[name][0], name))[:WORST]
    shared = [name for name in ours if all(name in other for other in outcomes.values())]
    gaps = {n: float(np.ptp([one[n][0] for one in outcomes.values()])) for n in shared}
    apart = sorted((n for n in gaps if n not in worst and gaps[n]), key=lambda n: (-gaps[n], n))
    try:
        return Failures(
            tuple(_failure(name, known, outcomes, images) for name in worst),
            tuple(_failure(name, known, outcomes, images) for name in apart[:APART]),
            f"Queries with the lowest average precision (AP) of {best}. Seed {chosen[0].seed} of "
            f"{' and '.join(known)}.",
        )
    except KeyError as error:
        raise LookupError(f"{error} of the dumps is not among the data set's images") from error


def _choose_cells(table: Table) -> list[FinishedCell]:
    """Return the cells of the best method and of the baseline, of one seed, with dumps."""
    cells = {}
    for row in table.rows:
        cells[row.method] = {cell.seed: cell for cell in row.cells if cell.file(DUMP)}
    candidates = [row for row in table.rows if cells[row.method] and "mAP" in row.numbers]
    ranked = sorted(candidates, key=lambda row: -row.numbers["mAP"].mean)
    if not ranked:
        raise LookupError(f"no cell has a {DUMP}")
    best = next((row.method for row in ranked if row.method != table.baseline), table.baseline)
    base = cells.get(table.baseline, {})
    seed = min(set(cells[best]) & set(base) or cells[best])
    return [cells[best][seed], *([base[seed]] if best != table.baseline and seed in base else [])]


def load_dump(cell: FinishedCell) -> FeatureDump | None:
    """Read the dump of a cell; None if it is missing, damaged or of other queries."""
    path = cell.file(DUMP)
    try:
        dump = FeatureDump.load(path) if path else None
    except (OSError, ValueError):
        return None
    ranked = dump and dump.names[dump.query]
    return dump if dump and np.isin(cell.result.queries.names, ranked).all() else None


def _outcomes(cell: FinishedCell) -> Outcomes:
    queries = cell.result.queries
    ranks = (queries.first_hits + 1).tolist()
    values = zip(queries.average_precisions.tolist(), ranks, strict=True)
    return dict(zip(queries.names, values, strict=True))


def _failure(
    name: str,
    dumps: Mapping[str, FeatureDump],
    outcomes: Mapping[str, Outcomes],
    images: Mapping[tuple[str, str], Path],
) -> Failure:
    lists = []
    for method, dump in dumps.items():
        title = method
        if name in outcomes[method]:
            precision, rank = outcomes[method][name]
            title += f": AP {100 * precision:.1f}, first right answer at rank {rank}"
        lists.append(RankedList(title, _answers(name, dump, images)))
    return Failure(images["query", name], name, tuple(lists))


def _answers(
    name: str, dump: FeatureDump, images: Mapping[tuple[str, str], Path]
) -> Sequence[Answer]:
    row = dump.query[dump.names[dump.query] == name]
    gallery, kind = dump.gallery, distance_for(dump)
    distances = DISTANCES[kind](dump.features[row], dump.features[gallery])
    first = first_ranked(distances, *dump.labels(row), SHOWN)
    shown = zip(first.places[0], first.distances[0], first.matches[0], strict=True)
    answers = []
    for place, distance, right in shown:
        if np.isfinite(distance):
            path = images["gallery", str(dump.names[gallery[place]])]
            score = 1 - distance if kind == "cosine" else distance
            answers.append(Answer(path, bool(right), f"{score:.2f}"))
    return answers
