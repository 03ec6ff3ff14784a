"""What trackers ask an appearance model for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin import Embedder
from fed_plugin.search.tracker_appearance import TrackerAppearance


@pytest.fixture
def appearance(tiny_cfg, tmp_path):
    """A tiny FED model with random weights."""
    cfg = tiny_cfg()
    torch.manual_seed(0)
    Checkpointer(DefaultTrainer.build_model(cfg), str(tmp_path)).save("model_final")
    (tmp_path / "config.yaml").write_text(cfg.dump())
    return TrackerAppearance(
        Embedder(tmp_path / "config.yaml", tmp_path / "model_final.pth", "cpu")
    )


@pytest.fixture
def frame():
    """A frame of 90 x 120 pixels, BGR."""
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_boxes_are_cut_out_and_turned_to_rgb(appearance, frame):
    boxes = np.array([[10, 5, 40, 80, 0.9], [-20, 30, 15.4, 200, 0.8]])
    found = appearance.get_features(boxes, frame)
    rgb = frame[..., ::-1]
    expected = appearance.embedder([rgb[5:80, 10:40], rgb[30:90, 0:15]])
    assert np.array_equal(found, expected.descriptors)
    assert np.array_equal(appearance.visibility, expected.visibility)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert np.array_equal(appearance([frame[5:80, 10:40], frame[30:90, 0:15]]), found)


def test_no_box_and_boxes_outside_of_the_frame(appearance, frame):
    width = appearance.num_dimensions
    assert appearance.get_features(np.empty((0, 4)), frame).shape == (0, width)
    assert appearance.get_features([], frame).shape == (0, width)
    found = appearance.get_features([[200, 0, 220, 50], [10, 5, 40, 80], [30, 9, 30, 80]], frame)
    assert not found[[0, 2]].any() and np.linalg.norm(found[1]) == pytest.approx(1, abs=1e-5)
    assert not appearance.visibility[[0, 2]].any() and appearance.visibility[1].any()


def test_crops_that_are_none_are_refused_by_index(appearance, frame):
    crop = frame[5:80, 10:40]
    expected = appearance([crop])
    assert np.array_equal(appearance(x for x in [frame[:0], crop, np.array([])])[1], expected[0])
    for bad, message in (
        ([frame[:0], crop[..., 0]], r"crop 1: expected .* got \(75, 30\) uint8"),
        ([crop, None], "crop 1: expected .* got NoneType"),
        (["photo.jpg"], "crop 0: expected .* got str"),
        (crop, r"crops: expected a list of crops, got \(75, 30, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            appearance(bad)
    for boxes in ([[1, 2, 30, 40]], []):
        with pytest.raises(ValueError, match=r"img: expected .* got NoneType"):
            appearance.get_features(boxes, None)


@pytest.mark.parametrize(
    ("boxes", "change", "message"),
    [
        ([1, 2, 3, 4], lambda x: x, "xyxys"),
        ([[1, 2, np.nan, 4]], lambda x: x, "finite"),
        ([[1, 2, 30, 40]], lambda x: x[..., 0], "img"),
        ([[1, 2, 30, 40]], lambda x: x.astype(np.float32), "float32"),
    ],
)
def test_other_arrays_are_refused(appearance, frame, boxes, change, message):
    with pytest.raises(ValueError, match=message):
        appearance.get_features(boxes, change(frame))
