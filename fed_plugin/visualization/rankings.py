"""Ranking lists: queries with the gallery images that a method puts first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.checks import (
    check_booleans,
    check_images,
    check_scores,
    check_titles,
)
from fed_plugin.visualization.lettering import Heading
from fed_plugin.visualization.ranking_rows import RankingLists, RowLayout, draw_row

_EXPLANATION = (
    "Left: the query. Then the gallery, best first, numbered by rank. Blue, solid frame and "
    "\u2713: the same person. Orange, dashed frame and \u2717: somebody else. Under each image:"
)


def ranking_sheet(
    query_images: NDArray[np.uint8],
    lists: RankingLists | Mapping[str, RankingLists],
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    title: str = "",
    score_name: str = "cosine similarity",
) -> Path:
    """Draw the ranking list of every query, right and wrong images marked.

    Args:
        query_images: (Nq, H, W, 3) uint8 RGB.
        lists: what is ranked first; of several methods a mapping from their names, which are
            drawn under each other, top to bottom.
        path: where the PNG goes; folders are made.
        titles: one line above every query's list.
        title: heading of the sheet; a general one if empty.
        score_name: what the printed scores are, with the unit if there is one.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: a mapping without methods or with one that has no name, shapes that do not
            belong together, other types, or a path that is no ``.png``.
    """
    if isinstance(lists, RankingLists):
        named, general = {"": lists}, "What the gallery search returns"
    elif lists and all(lists):
        named = dict(lists)
        general = "The same queries, searched with " + " and with ".join(named)
    else:
        raise ValueError(f"lists: expected named methods, got {list(lists)}")
    queries = check_images("query_images", query_images, ("Nq", "H", "W", 3))
    checked = _check_lists(len(queries), named)
    captions = check_titles(titles, len(queries))
    layout = RowLayout.fit(queries, checked, any(captions))
    heading = Heading.fit(title or general, f"{_EXPLANATION} {score_name}.", layout.width)
    canvas = Canvas(heading.height + 24 + len(queries) * layout.height, layout.width)
    canvas.heading(heading)
    for index, query in enumerate(queries):
        top = heading.height + 12 + index * layout.height
        draw_row(canvas, layout, top, query, checked, index, captions[index])
    return canvas.save(path)


def _check_lists(count: int, lists: Mapping[str, RankingLists]) -> dict[str, RankingLists]:
    """Return the lists as arrays whose shapes belong together."""
    checked = {}
    for name, ranked in lists.items():
        of = f" of {name}" if name else ""
        shape = (count, "K", "H", "W", 3)
        gallery = check_images(f"gallery_images{of}", ranked.gallery_images, shape)
        matches = check_booleans(
            f"matches{of}", ranked.matches, gallery.shape[:2], "the identity is the query's"
        )
        scores = check_scores(f"scores{of}", ranked.scores, gallery.shape[:2])
        checked[name] = RankingLists(gallery, matches, scores)
    return checked
