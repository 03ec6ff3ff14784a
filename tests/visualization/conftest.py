"""Images to draw, and ways to look at what was drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb


@pytest.fixture(scope="session")
def noise():
    """Return a function that makes uint8 images of any shape from a seed."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(60, 200, shape, dtype=np.uint8)

    return make


@pytest.fixture(scope="session")
def read():
    """Return a function that reads a PNG as (H, W, 3) RGB and checks that it is one."""

    def read_png(path) -> np.ndarray:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]

    return read_png


@pytest.fixture(scope="session")
def count_color():
    """Return a function that counts the pixels of exactly one colour."""

    def count(sheet: np.ndarray, color: str) -> int:
        return int((sheet == np.round(np.array(to_rgb(color)) * 255)).all(axis=-1).sum())

    return count


@pytest.fixture(scope="session")
def shows():
    """Return a function that says whether a sheet contains an image pixel by pixel."""

    def contains(sheet: np.ndarray, image: np.ndarray) -> bool:
        # rules and frames may cross a border: look for the middle of the top stripe
        piece = image[8:24, 8:-8]
        columns = piece.shape[1]
        for y in range(len(sheet) - len(piece)):
            x = sheet[y].tobytes().find(piece[0].tobytes()) // 3
            if x >= 0 and np.array_equal(sheet[y : y + len(piece), x : x + columns], piece):
                return True
        return False

    return contains
