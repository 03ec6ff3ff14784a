"""Planted crops are found, innocent ones are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.synthocc.build import take
from fed_plugin.synthocc.casting import QUERY, SIZES, TRAIN, plan
from fed_plugin.transforms import drawn_occluders
from fed_plugin.transforms.leaks import LeakSearch


def photographs(split, seed, count):
    shots = [shot for shot in plan(SIZES["tiny"], seed) if shot.split == split]
    return [take("tiny", seed, shot).pixels for shot in shots[:count]]


@pytest.fixture(scope="module")
def queries():
    """Occluded people on 256 x 128 pixels."""
    small = photographs(QUERY, 0, 6)
    return [
        np.array(Image.fromarray(image).resize((128, 256), Image.Resampling.BICUBIC))
        for image in small
    ]


def jpeg(pixels, quality):
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    return np.array(Image.open(io.BytesIO(encoded.getvalue())))


PLACES = [(30, 20, 48, 40), (101, 3, 60, 16), (7, 90, 16, 31), (200, 11, 50, 90), (0, 0, 256, 12)]
"""Top, left, height and width; aligned with nothing."""


@pytest.mark.parametrize("quality", [None, 95, 75, 50])
def test_a_crop_of_an_image_is_found_where_it_was_cut_out(queries, quality):
    for image in queries[:3]:
        cut = [image[y : y + h, x : x + w] for y, x, h, w in PLACES]
        crops = cut if quality is None else [jpeg(crop, quality) for crop in cut]
        search = LeakSearch(crops)
        assert search.unsearchable == []
        found = {leak.crop: leak for leak in search.in_image(image, "query.jpg")}
        for index, (y, x, _, _) in enumerate(PLACES):
            leak = found[index]
            assert abs(leak.top - y) <= 1 and abs(leak.left - x) <= 1, (index, leak)
            assert leak.image == "query.jpg" and 0.9 <= leak.correlation <= 1


def test_a_large_image_is_searched_in_pieces_without_losing_a_place(queries):
    wall = np.tile(queries[1], (3, 5, 1))  # 768 x 640
    rng = np.random.default_rng(0)
    tops = [0, 37, 38, 200, 701]  # around where a piece ends, and at both ends
    patches = [
        np.array(Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((40, 48)))
        for _ in tops
    ]
    for index, (top, patch) in enumerate(zip(tops, patches, strict=True)):
        wall[top : top + 48, 100 * index : 100 * index + 40] = patch
    leaks = LeakSearch(patches).in_image(wall)
    assert [(leak.top, leak.left) for leak in leaks] == [
        (top, 100 * index) for index, top in enumerate(tops)
    ]


def test_exact_copies_correlate_wholly(queries):
    (leak,) = LeakSearch([queries[0][50:90, 30:70]]).in_image(queries[0])
    assert (leak.top, leak.left) == (50, 30) and leak.correlation == pytest.approx(1, abs=1e-4)


def test_crops_drawn_or_of_other_places_are_found_nowhere(queries):
    elsewhere = photographs(TRAIN, 7, 24)  # other people before other walls
    crops = [*drawn_occluders(60), *[image[:, :20] for image in elsewhere]]
    crops += [image[90:122, 10:60] for image in elsewhere]
    search = LeakSearch(crops)
    assert len(search.unsearchable) < 10
    assert [leak for image in queries for leak in search.in_image(image)] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda crop: crop[:, ::-1],
        lambda crop: 255 - crop,
        lambda crop: np.roll(crop, 1, axis=2),
        lambda crop: (crop * 0.8).astype(np.uint8),
        lambda crop: np.repeat(np.repeat(crop, 2, 0), 2, 1),
    ],
    ids=["mirrored", "negative", "other colours", "darker", "other scale"],
)
def test_a_changed_crop_is_no_leak(queries, change):
    crop = np.ascontiguousarray(change(queries[0][150:210, 30:90]))
    assert LeakSearch([crop]).in_image(queries[0]) == []


def test_only_the_opaque_pixels_of_a_cut_out_are_compared(queries):
    crop = np.dstack([queries[0][40:100, 20:80], np.full((60, 60), 255, np.uint8)])
    crop[:, 30:] = (1, 200, 3, 0)  # hidden colours that are nowhere in the image
    (leak,) = LeakSearch([crop]).in_image(queries[0])
    assert (leak.top, leak.left) == (40, 20)
    opaque = crop.copy()
    opaque[..., 3] = 255
    assert LeakSearch([opaque]).in_image(queries[0]) == []


def test_what_cannot_be_recognised_is_said(queries):
    flat = np.full((40, 40, 3), 120, np.uint8)
    small = queries[0][:12, :12]
    glass = np.dstack([queries[0][:40, :40], np.zeros((40, 40), np.uint8)])
    search = LeakSearch([flat, queries[0][60:100, 30:70], small, glass])
    assert search.unsearchable == [0, 2, 3]
    assert [leak.crop for leak in search.in_image(queries[0])] == [1]


def test_an_image_smaller_than_the_crop_holds_no_leak(queries):
    search = LeakSearch([queries[0]])
    assert search.in_image(queries[0][:200]) == []
    assert search.in_image(queries[0][:10, :10]) == []
    assert LeakSearch([]).in_image(queries[0]) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_crop_that_is_searchable_is_found_in_its_image(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    height, width = data.draw(st.integers(40, 90)), data.draw(st.integers(40, 70))
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    image = np.array(coarse.resize((width, height), Image.Resampling.BILINEAR))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    y, x = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    search = LeakSearch([image[y : y + h, x : x + w]])
    leaks = search.in_image(image)
    if search.unsearchable:
        assert leaks == []
    else:
        assert [(leak.top, leak.left) for leak in leaks] == [(y, x)]
