"""A picture of what ``search`` found, and of why."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHOWN = 8
"""Answers in a row, at most."""
SIZE = (192, 96)
"""Rows and columns that photos are brought to."""


def draw_matches(
    args: argparse.Namespace,
    index: Any,
    said: Any,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    answered: list[int],
) -> Path:
    """Draw queries and answers to ``args.picture``; return its path.

    Args:
        args: of ``search``.
        index: that was searched.
        said: ``Embeddings`` of the queries.
        scores: (Q, K).
        rows: (Q, K) of the index.
        answered: queries to draw; the others were refused, or found nobody that probable.

    Raises:
        ValueError: the file is no ``.png``.
    """
    from fed_plugin.retrieval.part_matching import part_contributions, visible_contributions
    from fed_plugin.visualization import Answers, match_sheet

    scores, rows = scores[answered, :SHOWN], rows[answered, :SHOWN]
    descriptors, photos = said.descriptors[answered], [args.photos[i] for i in answered]
    visible = None if said.visibility is None else said.visibility[answered]
    folder = Path(index.about.get("folder", ""))
    images = np.stack([[_photo(folder / index.names[row]) for row in of] for of in rows])
    visibility = contributions = None
    if index.num_parts:
        visibility = index.visibility[rows]
        shares = []
        for query, seen, of in zip(descriptors, visible, rows, strict=True):
            others = index.stored.restored(of)
            if args.matching == "visibility":
                of_query = visible_contributions(
                    query[None], seen[None], others, index.visibility[of]
                )
            else:
                of_query = part_contributions(query[None], others, index.num_parts)
            shares.append(of_query[0])
        contributions = np.stack(shares)
    names = [[_label(index.names[row]) for row in of] for of in rows]
    return match_sheet(
        np.stack([_photo(Path(photo)) for photo in photos]),
        visible,
        Answers(images, scores, visibility, contributions, names),
        args.picture,
        [_label(photo) for photo in photos],
        title=f"The most similar of {len(index)} photos, by {args.matching}"
        + ("" if args.min_probability is None else ", less probable ones too"),
    )


def _label(path: str) -> str:
    """Return a file's name as letters; bytes of a name that are none become question marks."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")


def _photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo for the sheet; one that has gone is grey."""
    from fed_plugin.transforms.decoding import read_rgb

    height, width = SIZE
    try:
        return cv2.resize(read_rgb(path), (width, height), interpolation=cv2.INTER_AREA)
    except Exception:  # whatever a decoder raises; the table has its name
        return np.full((height, width, 3), 217, np.uint8)
