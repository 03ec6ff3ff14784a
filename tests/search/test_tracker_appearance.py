"""What trackers ask an appearance model for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer
from scipy.optimize import linear_sum_assignment

from fed_plugin import Embedder
from fed_plugin.fastreid_adapter.embedder import Embeddings
from fed_plugin.search.tracker_appearance import TrackerAppearance, no_information


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
    boxes = [
        [200, 0, 220, 50],
        [10, 5, 40, 80],
        [30, 9, 30, 80],
        [-9, -9, -2, -3],
        [50, 70, 20, 10],
    ]
    found = appearance.get_features([*boxes, [20.6, 9, 20.9, 80], [-1e300, 0, 1e300, 90]], frame)
    pixels = [frame[0:50, 119:], frame[5:80, 10:40], frame[9:80, 30:31], frame[:1, :1]]
    pixels += [frame[70:71, 50:51], frame[9:80, 20:21], frame]
    assert np.allclose(found, appearance(pixels), atol=1e-6)
    appearance.get_features(boxes, frame)
    assert not appearance.visibility[[0, 2, 3, 4]].any() and appearance.visibility[1].any()


def test_what_says_nothing_has_unit_length_and_resembles_nobody(appearance, frame):
    found = appearance([frame[:0], frame[5:80, 10:40], np.array([])])
    assert np.array_equal(found[0], found[2])
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert abs(found[0] @ found[1]) < 0.3
    assert not appearance.visibility[[0, 2]].any()
    nothing = appearance.get_features([[1, 2, 30, 40]], frame[:0])
    assert np.array_equal(nothing[0], found[0]) and not appearance.visibility.any()


def test_a_model_that_answers_zeros_gives_no_information(appearance, frame, monkeypatch):
    zeros = Embeddings(np.zeros((1, appearance.num_dimensions), np.float32), None, {})
    monkeypatch.setattr(appearance, "embedder", lambda photos: zeros)
    assert np.array_equal(appearance([frame])[0], no_information(appearance.num_dimensions))
    assert np.linalg.norm(no_information(7)) == pytest.approx(1)


@pytest.mark.parametrize(
    "cast",
    [
        torch.tensor,
        lambda boxes: torch.tensor(boxes).bfloat16(),
        lambda boxes: np.array(boxes, np.float16),
        lambda boxes: np.array(boxes, np.int64),
        lambda boxes: [torch.tensor(box, requires_grad=False) for box in boxes],
        tuple,
    ],
)
def test_boxes_of_every_type_are_the_same_boxes(appearance, frame, cast):
    boxes = [[10.0, 5.0, 40.0, 80.0], [200.0, 0.0, 220.0, 50.0]]
    expected = appearance.get_features(boxes, frame)
    assert np.array_equal(appearance.get_features(cast(boxes), frame), expected)


def _smooth_as_bot_sort_does(rows):
    """Smooth the descriptors of a track, dividing by lengths; return the last one."""
    smooth = None
    for row in rows:
        row = row / np.linalg.norm(row)
        smooth = row if smooth is None else 0.9 * smooth + 0.1 * row
        smooth = smooth / np.linalg.norm(smooth)
    return smooth


def _cosine_distance_as_deep_sort_has_it(a, b):
    a = np.asarray(a) / np.linalg.norm(a, axis=1, keepdims=True)
    b = np.asarray(b) / np.linalg.norm(b, axis=1, keepdims=True)
    return 1.0 - np.dot(a, b.T)


LEAVING = [[80 + 6 * step, 20, 110 + 6 * step, 80] for step in range(12)]
"""Boxes of a person who walks out of a frame of 120 pixels."""


def test_arithmetic_of_trackers_stays_finite_when_a_person_leaves(appearance, frame):
    rows = appearance.get_features([*LEAVING, [30, 9, 30, 80]], frame)
    with np.errstate(all="raise"):
        assert np.isfinite(_smooth_as_bot_sort_does(rows)).all()
        costs = _cosine_distance_as_deep_sort_has_it(rows[:2], rows)
    linear_sum_assignment(costs)


def test_the_real_deep_sort_follows_a_person_who_leaves(appearance, frame):
    """Runs by hand: ``pip install --no-deps deep-sort-realtime`` in an environment of its own."""
    tracker = pytest.importorskip("deep_sort_realtime.deepsort_tracker").DeepSort(embedder=None)
    for box in LEAVING:
        left, top, right, bottom = box
        detections = [([left, top, right - left, bottom - top], 0.9, "person")]
        tracker.update_tracks(detections, embeds=appearance.get_features([box], frame))


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
        ([[1, 2, 30, 40], [1, 2, np.nan, 4]], lambda x: x, "row 1: expected finite"),
        ([[1, 2, np.inf, 4]], lambda x: x, "row 0: expected finite"),
        ([["a", 2, 3, 4]], lambda x: x, "xyxys: expected"),
        ([[1, 2, 3, 4], [1, 2, 3]], lambda x: x, "xyxys: expected"),
        (None, lambda x: x, "xyxys: expected"),
        ([[1, 2, 30, 40]], lambda x: x[..., 0], "img"),
        ([[1, 2, 30, 40]], lambda x: x.astype(np.float32), "float32"),
    ],
)
def test_other_arrays_are_refused(appearance, frame, boxes, change, message):
    with pytest.raises(ValueError, match=message):
        appearance.get_features(boxes, change(frame))
