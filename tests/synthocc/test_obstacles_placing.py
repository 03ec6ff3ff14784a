from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from fed_plugin.synthocc.obstacles import slide_in, visible_shares


@pytest.fixture
def person():
    mask = np.zeros((384, 192), dtype=bool)
    mask[24:360, 60:132] = True
    return mask


def test_nothing_in_front_leaves_everything_visible(person):
    assert visible_shares(person, np.zeros_like(person)) == [1.0] * 5


def test_shares_count_covered_pixels_overall_and_per_quarter_from_the_top(person):
    cover = np.zeros_like(person)
    cover[192:, :] = True  # the lower two quarters
    cover[96:192, :96] = True  # half of the person's width in the second one

    overall, *stripes = visible_shares(person, cover)

    assert stripes == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert overall == pytest.approx((72 + 96 * 0.5) / 336)


def test_a_quarter_without_any_part_of_the_person_has_no_share(person):
    person[:96] = False

    overall, first, *rest = visible_shares(person, np.zeros_like(person))

    assert math.isnan(first)
    assert [overall, *rest] == [1.0] * 4


@pytest.mark.parametrize("side", ["bottom", "top", "left", "right"])
@pytest.mark.parametrize("wanted", [0.25, 0.5, 0.9])
def test_a_large_thing_slides_in_from_its_side_until_the_wanted_share_is_left(person, side, wanted):
    thing = Image.new("RGBA", (400, 500), (200, 30, 30, 255))

    cover = slide_in(thing, side, person, wanted, np.random.default_rng(0))

    assert visible_shares(person, cover.mask)[0] == pytest.approx(wanted, abs=0.05)
    edge = {"bottom": cover.mask[-1], "top": cover.mask[0], "left": cover.mask[:, 0],
            "right": cover.mask[:, -1]}  # fmt: skip
    assert edge[side].all()
    np.testing.assert_allclose(cover.colour[cover.mask][0], np.array([200, 30, 30]) / 255, 1e-6)


@pytest.mark.parametrize(("side", "middle"), [("left", 0.25), ("right", 0.75)])
def test_a_thing_that_must_stay_aside_keeps_its_middle_there(person, side, middle):
    thing = Image.new("RGBA", (100, 500), (200, 30, 30, 255))

    cover = slide_in(thing, side, person, 0.0, np.random.default_rng(0), deepest=0.25)
    inner = np.flatnonzero(cover.mask.any(axis=0))[[-1, 0][side == "right"]]

    assert inner == pytest.approx(192 * middle + (50 if side == "left" else -50), abs=2)


def test_transparent_parts_cover_nothing(person):
    thing = Image.new("RGBA", (400, 500), (0, 0, 0, 0))

    cover = slide_in(thing, "bottom", person, 0.5, np.random.default_rng(0))

    assert not cover.mask.any()
