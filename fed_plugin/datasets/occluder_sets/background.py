"""Which pixels of a training image are likely the person: a judgement by colour alone.

How common is a pixel's colour in the middle columns of its own image at its height, and how common
in the outermost columns of the images of *other* identities of the same camera? A pixel that is
likelier in the middle counts as the person. So several images of one camera, and of several people,
have to agree on what is background, and clothes that hang into the border of one image do not pass
for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_OTHERS = 2
"""Other identities of a camera that have to show what its background looks like."""

_BINS, _STEP = 8, 32  # per colour channel; grey levels in a bin
_COLOURS = _BINS**3
_BANDS = 4  # of rows, each with colours of its own
_MIDDLE = (3 / 8, 5 / 8)  # columns
_EDGE = 1 / 16  # columns on either side

Pixels = NDArray[np.uint8]


def person_pixels(
    images: Sequence[Pixels], pids: Sequence[int]
) -> Iterator[NDArray[np.bool_] | None]:
    """Mark, for each image of ONE camera, the pixels that are likely the person.

    Args:
        images: (H, W, 3) uint8 RGB, of any sizes, each with a person in the middle.
        pids: who that is, one per image.

    Yields:
        (H, W) bool; None for an image without ``MIN_OTHERS`` other identities to compare with.
    """
    codes = [_codes(image) for image in images]
    edges = np.array([_edge_counts(code) for code in codes])  # (N, bands, colours)
    owners = np.array(pids)
    everyone = edges.sum(axis=0) if len(edges) else edges
    for code, pid in zip(codes, pids, strict=True):
        own = owners == pid
        if len(set(owners[~own].tolist())) < MIN_OTHERS:
            yield None
        else:
            yield _judge(code, everyone - edges[own].sum(axis=0))


def _codes(image: Pixels) -> NDArray[np.int64]:
    """Give every pixel the number of its colour bin, (H, W)."""
    return (image // _STEP).astype(np.int64) @ np.array([_BINS * _BINS, _BINS, 1])


def _edge_counts(code: NDArray[np.int64]) -> NDArray[np.int64]:
    columns = max(1, round(code.shape[1] * _EDGE))
    outer = np.concatenate([code[:, :columns], code[:, -columns:]], axis=1)
    return np.array([np.bincount(band.ravel(), minlength=_COLOURS) for band in _bands(outer)])


def _bands(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(rows, _BANDS)


def _judge(code: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    height, width = code.shape
    middle = code[:, int(width * _MIDDLE[0]) : max(1, int(width * _MIDDLE[1]))]
    reach = height // (2 * _BANDS)
    person = []
    top = 0
    for index, band in enumerate(_bands(code)):
        bottom = top + len(band)
        around = middle[max(0, top - reach) : bottom + reach]
        in_middle = _density(np.bincount(around.ravel(), minlength=_COLOURS))
        at_edge = _density(others[max(0, index - 1) : index + 2].sum(axis=0))
        person.append((in_middle > at_edge)[band])
        top = bottom
    return np.concatenate(person)


def _density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn counts per colour into shares, each colour lending some to its neighbours."""
    cube = counts.reshape(_BINS, _BINS, _BINS).astype(np.float64)
    for axis in range(3):
        padded = np.pad(cube, [(int(a == axis),) * 2 for a in range(3)], mode="edge")
        low, mid, high = (np.take(padded, range(i, i + _BINS), axis=axis) for i in range(3))
        cube = (low + 2 * mid + high) / 4
    shares = cube.ravel() + 1e-6  # a colour that was never seen is rare, not impossible
    return shares / shares.sum()
