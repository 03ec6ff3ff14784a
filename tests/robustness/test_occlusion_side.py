from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.robustness.occlusion import (
    SIDES,
    cover_side,
    cover_side_with_person,
    crops_for_side,
    draw_by_name,
    resize_opaque,
    side_rectangle,
)


def changed(before, after):
    return (before != after).any(axis=2)


@pytest.mark.parametrize(
    ("side", "covered"),
    [
        ("left", np.s_[:, :12]),
        ("right", np.s_[:, 36:]),
        ("top", np.s_[:24]),
        ("bottom", np.s_[72:]),
    ],
)
@pytest.mark.parametrize("paste", [cover_side, cover_side_with_person])
def test_exactly_the_share_is_covered_from_the_side_and_opaque(paste, side, covered):
    image, crop = np.zeros((96, 48, 3), np.uint8), np.full((50, 30, 3), 7, np.uint8)
    expected = np.zeros((96, 48), bool)
    expected[covered] = True
    found = paste(image, crop, side, 0.75)
    assert np.array_equal(changed(image, found), expected)
    assert (found[expected] == 7).all() and not image.any()


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 300), st.integers(4, 300), st.sampled_from(SIDES), st.floats(0.05, 1))
def test_the_share_is_exact_to_half_a_row_or_column(height, width, side, share):
    place = side_rectangle(height, width, side, share)
    across = width if side in ("left", "right") else height
    covered = place.height * place.width / (height * width)
    assert abs(1 - covered - share) <= 0.5 / across + 1e-9
    assert place.top + place.height <= height and place.left + place.width <= width


@pytest.mark.parametrize("size", [(96, 48), (256, 128), (384, 128), (224, 224)])
@pytest.mark.parametrize("side", SIDES)
def test_eighths_are_exact_at_the_usual_input_sizes(size, side):
    for eighths in range(1, 8):
        place = side_rectangle(*size, side, eighths / 8)
        assert place.height * place.width * 8 == (8 - eighths) * size[0] * size[1]


def test_nothing_is_covered_at_share_one_and_the_image_is_copied():
    image = np.arange(96 * 48 * 3, dtype=np.uint8).reshape(96, 48, 3)
    found = cover_side(image, image[:5], "left", 1.0)
    assert np.array_equal(found, image) and found is not image


def test_an_obstacle_is_shown_whole_and_a_person_at_the_size_of_the_image():
    image = np.zeros((80, 40, 3), np.uint8)
    rows = np.repeat(np.arange(80, dtype=np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2)
    columns = np.repeat(np.arange(40, dtype=np.uint8)[None, :, None], 80, axis=0).repeat(3, axis=2)
    stretched = cover_side(image, rows, "top", 0.5)[:40, 0, 0]
    assert stretched[0] <= 1 and stretched[-1] >= 78  # from the first row to the last
    assert cover_side_with_person(image, rows, "top", 0.5)[:40, 0, 0].tolist() == [*range(40, 80)]
    assert cover_side_with_person(image, rows, "bottom", 0.5)[40:, 0, 0].tolist() == [*range(40)]
    for side, shown in (("left", np.s_[:20]), ("right", np.s_[20:])):
        found = cover_side_with_person(image, columns, side, 0.5)[0, :, 0]
        assert found[shown].tolist() == [*range(10, 30)]  # the middle, where the person stands


def test_a_resize_averages_where_it_shrinks_and_keeps_constants():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize_opaque(stripes, 128, 8) == 100).all()
    assert (resize_opaque(np.full((9, 30, 3), 31, np.uint8), 96, 7) == 31).all()


def test_tall_crops_suit_the_sides_and_wide_ones_top_and_bottom():
    sizes = [(90, 30), (40, 60), (60, 30), (200, 50)]
    assert crops_for_side(sizes, "left") == crops_for_side(sizes, "right") == [0, 3]
    assert crops_for_side(sizes, "top") == crops_for_side(sizes, "bottom") == [1, 2]
    assert crops_for_side([(40, 60)], "left") == [0]  # better than none


def test_a_draw_is_decided_by_seed_and_words_and_spread_evenly():
    draws = [draw_by_name(0, "left", f"{n}.jpg") for n in range(2000)]
    assert draws == [draw_by_name(0, "left", f"{n}.jpg") for n in range(2000)]
    assert all(0 <= draw < 1 for draw in draws) and abs(np.mean(draws) - 0.5) < 0.03
    assert draw_by_name(1, "left", "0.jpg") != draws[0] != draw_by_name(0, "right", "0.jpg")
    assert draw_by_name(0, "objects", "0.jpg") == 0.4568703770253393  # on every machine


@pytest.mark.parametrize(
    ("side", "share", "message"),
    [
        ("middle", 0.5, "side 'middle': expected one of left, right, top, bottom"),
        ("left", 0.0, r"visible share 0.0: expected a share in \(0, 1\]"),
        ("left", 1.1, "visible share 1.1"),
    ],
)
def test_other_sides_and_shares_are_refused(side, share, message):
    image = np.zeros((8, 8, 3), np.uint8)
    for paste in (cover_side, cover_side_with_person):
        with pytest.raises(ValueError, match=message):
            paste(image, image, side, share)
