"""The sheet that says why images match."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fed_plugin.visualization import Answers, match_sheet


@pytest.fixture
def arrays():
    """Two queries, three answers, four parts."""
    draw = np.random.default_rng(0)
    parts = draw.uniform(-0.1, 0.3, (2, 3, 4))
    return {
        "query_images": np.full((2, 128, 64, 3), 40, np.uint8),
        "query_visibility": np.array([[1, 1, 1, 0], [1, 1, 0.5, 1]]),
        "answers": Answers(
            np.full((2, 3, 128, 64, 3), 90, np.uint8),
            parts.sum(axis=2),
            draw.uniform(size=(2, 3, 4)),
            parts,
            [["a", "b", "c"]] * 2,
        ),
    }


def test_covered_parts_are_paler(arrays, tmp_path):
    drawn = cv2.imread(str(match_sheet(**arrays, path=tmp_path / "a.png", titles=["x", "y"])))
    dark = np.abs(drawn.astype(int) - 40).max(axis=2) < 3  # visible parts of both queries
    # 192 rows of 96 pixels: 3 of 4 parts of one query, 3 of 4 of the other; frame and rules apart
    assert 0.9 < dark.sum() / (192 * 96 * 1.5) < 1.01
    pale = np.abs(drawn.astype(int) - round(255 - (255 - 40) * 0.35)).max(axis=2) < 3
    assert 0.9 < pale.sum() / (192 * 96 / 4) < 1.05


def test_it_does_without_parts(arrays, tmp_path):
    images, scores = arrays["answers"].images, arrays["answers"].scores
    path = match_sheet(arrays["query_images"], None, Answers(images, scores), tmp_path / "a.png")
    assert cv2.imread(str(path)) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contributions": np.ones((2, 3, 4))}, "add up"),
        ({"contributions": np.ones((2, 3, 5))}, "contributions"),
        ({"visibility": np.full((2, 3, 4), 2.0)}, "visibility"),
        ({"images": np.zeros((1, 3, 128, 64, 3), np.uint8)}, "images"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(arrays, tmp_path, change, message):
    arrays["answers"] = Answers(**{**vars(arrays["answers"]), **change})
    with pytest.raises(ValueError, match=message):
        match_sheet(**arrays, path=tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
