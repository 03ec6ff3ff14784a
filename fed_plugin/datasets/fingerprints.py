"""Fingerprints of images: of a file's bytes, and of what the picture shows.

Two files of one content hash are copies. Two pictures whose perceptual hashes differ in a few of
their 64 bits look alike: re-encoded, resized, or frames of one second.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64
NEAR = 4
"""Bits in which re-encoded or resized versions of one picture may differ."""
NEAR_COLORS = 10.0
"""Levels by which their colours may differ on average."""

_SIDE = 32  # of the grey picture that is transformed
_FIELDS = 4  # mean colours per row and per column
_CHUNK = 1 << 20  # bytes read at once
_PAIRS = 1 << 20  # pairs compared at once
_ORIENTATION = 0x0112  # EXIF tag
_MID_GREY = 128
_FLAT = 1.0  # grey levels: a standard deviation below is noise of the encoder


def content_hash(path: str | PathLike[str]) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def perceptual_hash(image: Image.Image | str | PathLike[str]) -> int:
    """Fingerprint what a picture shows: 64 signs of its lowest frequencies.

    Upright as its EXIF data say, transparency laid on mid grey, then grey levels alone: size,
    encoding, brightness and contrast change few bits or none.

    Args:
        image: decoded, in any mode, or the path of a file that PIL decodes. Not modified.

    Returns:
        64 bits as a non-negative int; 0 for a picture without any contrast, which shows nothing
        that another could be compared with.

    Raises:
        Exception: What PIL's decoders raise for a broken file.
    """
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            return perceptual_hash(opened)
    grey = _opaque(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    levels = np.asarray(grey, dtype=np.float64)  # (32, 32)
    if levels.std() < _FLAT:
        return 0
    frequencies = (_COSINES @ levels @ _COSINES.T)[_LOWEST]  # (64,)
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def mean_colors(image: Image.Image) -> bytes:
    """Return the mean colours of a picture's 4 x 4 fields, which the perceptual hash ignores.

    Args:
        image: decoded, in any mode. Not modified.

    Returns:
        48 bytes, RGB, row by row from the top; upright, transparency laid on mid grey.
    """
    return _opaque(image).convert("RGB").resize((_FIELDS, _FIELDS), Image.Resampling.BOX).tobytes()


def color_distance(first: bytes, second: bytes) -> float:
    """Return by how many levels two results of :func:`mean_colors` differ on average: 0 to 255."""
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)


def hamming(first: int, second: int) -> int:
    """Count the bits in which two perceptual hashes differ: 0 to 64."""
    return (first ^ second).bit_count()


def near_pairs(
    left: Sequence[int], right: Sequence[int] | None = None, max_distance: int = NEAR
) -> NDArray[np.int64]:
    """Find all pairs of hashes that differ in few bits, without comparing each with each.

    Cut into ``max_distance + 1`` bands of bits, two near hashes agree in one band at least: only
    those that do are compared. Hashes of 0 are near to nothing.

    Args:
        left: perceptual hashes. Many equal ones make many pairs: pass each value once where the
            files behind it are known.
        right: other perceptual hashes; None searches pairs within ``left``.
        max_distance: bits that may differ, 0 to 63.

    Returns:
        (N, 2) indices into ``left`` and ``right``, sorted; within ``left`` alone, the first index
        is the lower one.

    Raises:
        ValueError: ``max_distance`` is out of its range.
    """
    if not 0 <= max_distance < BITS:
        raise ValueError(f"max_distance={max_distance}: expected 0 to {BITS - 1} bits")
    lefts = np.array(left, dtype=np.uint64)
    rights = lefts if right is None else np.array(right, dtype=np.uint64)
    edges = np.linspace(0, BITS, max_distance + 2).astype(int)
    found = [np.empty((0, 2), dtype=np.int64)]
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        mask = np.uint64(((1 << (high - low)) - 1) << low)
        for pairs in _pairs_of_equals(lefts & mask, rights & mask):
            first, second = lefts[pairs[:, 0]], rights[pairs[:, 1]]
            near = (_count_bits(first ^ second) <= max_distance) & (first != 0) & (second != 0)
            if right is None:
                near &= pairs[:, 0] < pairs[:, 1]
            found.append(pairs[near])
    return np.unique(np.concatenate(found), axis=0)  # (N, 2)


def _pairs_of_equals(
    left: NDArray[np.uint64], right: NDArray[np.uint64]
) -> Iterator[NDArray[np.int64]]:
    """Yield the (left, right) indices of equal values, (n, 2) each, about a million at once."""
    order = np.argsort(right, kind="stable")
    start = np.searchsorted(right[order], left, side="left")
    counts = np.searchsorted(right[order], left, side="right") - start
    total = np.concatenate([[0], np.cumsum(counts)])
    row = 0
    while row < len(left):
        end = max(row + 1, int(np.searchsorted(total, total[row] + _PAIRS, side="right")) - 1)
        lefts = np.repeat(np.arange(row, end), counts[row:end])
        offset = np.arange(len(lefts)) + total[row] - total[lefts]
        yield np.stack([lefts, order[start[lefts] + offset]], axis=1)
        row = end


def _count_bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the ones of each value; NumPy has a function for it from 2.0 on."""
    words = np.ascontiguousarray(values).view(np.uint16).reshape(len(values), 4)
    return _ONES[words].sum(axis=1, dtype=np.int64)


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image of any mode with 8 bits, upright and on mid grey."""
    with contextlib.suppress(Exception):  # broken EXIF data turn nothing
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
        image = image if turn is None else image.transpose(turn)
    if image.mode[0] in "IF":  # 16 or 32 bits, or floats, which PIL clips instead of scaling
        levels = np.asarray(image, dtype=np.float64)
        levels = (levels - levels.min()) / max(float(np.ptp(levels)), 1e-9)
        return Image.fromarray((levels * 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (_MID_GREY, _MID_GREY, _MID_GREY, 255))
        image = Image.alpha_composite(ground, image)
    return image


def _cosines(rows: int) -> NDArray[np.float64]:
    """Return the first rows of the cosine transform's matrix, (rows, 32)."""
    frequency, position = np.ogrid[:rows, :_SIDE]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * _SIDE))


def _lowest_frequencies(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of the 64 lowest frequencies of a plane, without the mean."""
    row, column = np.divmod(np.arange(side * side), side)
    order = np.lexsort((row, row + column))[1 : BITS + 1]
    return row[order], column[order]


_COSINES = _cosines(12)  # (12, 32)
_LOWEST = _lowest_frequencies(12)
_ONES = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)  # (65536,)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
