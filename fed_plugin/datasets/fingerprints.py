"""Fingerprints of images: of the bytes of a file, and of the picture.

Two files with one content hash are copies. Two pictures look alike if their perceptual hashes
differ in a few of 64 bits: they are re-encoded, resized, or frames of one second.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.files import open_regular
from fed_plugin.photos import opaque, open_photo

BITS = 64
NEAR = 4
"""Bits in which re-encoded or resized versions of one picture may differ."""
NEAR_COLORS = 10.0
"""Levels by which the colours of such versions may differ on average."""

_SIDE = 32  # of the grey picture that is transformed
_FIELDS = 4  # mean colours per row and per column
_CHUNK = 1 << 20  # bytes read at once
_FLAT = 1.0  # grey levels: a lower standard deviation is noise of the encoder


def content_hash(path: str | PathLike[str]) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def same_photos(
    query: Sequence[tuple[str, Any, Any]], gallery: Sequence[tuple[str, Any, Any]]
) -> list[tuple[int, int]]:
    """Return the rows of queries and gallery images that are one file, or copies of one.

    Only images of one identity are compared, and not those of one camera: a ranking leaves these
    out anyway. Names do not count: equal names in two folders may be two photos. Both lists hold
    (path, pid, camid) of every image.
    """
    sized = [
        [(pid, os.path.getsize(path)) if os.path.isfile(path) else None for path, pid, _ in items]
        for items in (query, gallery)
    ]
    both = set(sized[0]) & set(sized[1]) - {None}  # few files: only their bytes are read
    copies: dict[tuple[Any, str], list[int]] = {}
    for row, (path, pid, _) in enumerate(gallery):
        if sized[1][row] in both:
            copies.setdefault((pid, content_hash(path)), []).append(row)
    return [
        (row, other)
        for row, (path, pid, camid) in enumerate(query)
        if sized[0][row] in both
        for other in copies.get((pid, content_hash(path)), ())
        if camid != gallery[other][2]
    ]


def perceptual_hash(image: Image.Image | str | PathLike[str]) -> int:
    """Return the signs of a picture's 64 lowest frequencies.

    The picture is turned upright by its EXIF data and laid on mid grey where it is transparent.
    Grey levels alone count: size, encoding, brightness and contrast change few bits or none.

    The image is a path, or a decoded image of any mode, which is not modified. The result has 64
    bits, and is 0 for a picture without contrast, which resembles no other.

    Raises:
        Exception: any error of PIL's decoders for a broken file.
    """
    if not isinstance(image, Image.Image):
        with open_photo(image) as opened:
            return perceptual_hash(opened)
    grey = opaque(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    levels = np.asarray(grey, dtype=np.float64)  # (32, 32)
    if levels.std() < _FLAT:
        return 0
    frequencies = (_COSINES @ levels @ _COSINES.T)[_LOWEST]  # (64,)
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def mean_colors(image: Image.Image) -> bytes:
    """Return the mean colours of a picture's 4 x 4 fields, which the perceptual hash ignores.

    These are 48 bytes, RGB, row by row from the top; upright, transparency laid on mid grey.
    """
    return opaque(image).resize((_FIELDS, _FIELDS), Image.Resampling.BOX).tobytes()


def color_distance(first: bytes, second: bytes) -> float:
    """Return the mean difference of two results of :func:`mean_colors`, 0 to 255 levels."""
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)


def near_pairs(
    left: Sequence[int], right: Sequence[int] | None = None, max_distance: int = NEAR
) -> NDArray[np.int64]:
    """Find all pairs of hashes that differ in few bits; a hash of 0 is near to no other.

    Many equal hashes make many pairs: pass each value once where the files of a value are known.
    ``max_distance`` is the number of bits that may differ, 0 to 63.

    Returns:
        (N, 2) indices into ``left`` and ``right``, sorted. Without ``right``, the pairs are within
        ``left``, and the first index is the lower one.

    Raises:
        ValueError: ``max_distance`` is out of its range.
    """
    if not 0 <= max_distance < BITS:
        raise ValueError(f"max_distance={max_distance}: expected 0 to {BITS - 1} bits")
    from faiss import IndexBinaryFlat

    lefts = np.array(left, dtype=np.uint64)
    rights = lefts if right is None else np.array(right, dtype=np.uint64)
    own, others = np.flatnonzero(lefts), np.flatnonzero(rights)
    index = IndexBinaryFlat(BITS)
    index.add(_as_bytes(rights[others]))
    ends, _, matches = index.range_search(_as_bytes(lefts[own]), max_distance + 1)
    first = np.repeat(own, np.diff(ends.astype(np.int64)))
    pairs = np.stack([first, others[matches]], axis=1)  # (N, 2)
    if right is None:
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _as_bytes(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return hashes.view(np.uint8).reshape(-1, BITS // 8)


# The first rows of the cosine transform's matrix, (12, 32), and row and column of the 64 lowest
# frequencies of a plane, without the mean.
_frequency, _position = np.ogrid[:12, :_SIDE]
_COSINES = np.cos(np.pi * _frequency * (2 * _position + 1) / (2 * _SIDE))
_row, _column = np.divmod(np.arange(12 * 12), 12)
_order = np.lexsort((_row, _row + _column))[1 : BITS + 1]
_LOWEST = _row[_order], _column[_order]
