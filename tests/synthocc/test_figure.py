from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.synthocc.figure import draw_figure
from fed_plugin.synthocc.identity import BAGS, HAIR, HATS, LOGOS, LOWERS, PATTERNS, UPPERS
from fed_plugin.synthocc.surface import Cloth, Spots

PLAIN = {
    "hair": "short", "beard": False, "hat": "none", "upper": "tshirt", "sleeves": "long",
    "pattern": "plain", "logo": "none", "upper_colour": "white", "accent": "black",
    "lower": "trousers", "lower_colour": "white", "lower_pattern": "plain", "shoes": "flats",
    "shoe_colour": "white", "bag": "none", "bag_colour": "green", "side": 1, "scarf": False,
    "skin": 0,
}  # fmt: skip


@pytest.fixture
def draw(people, place, noon):
    def one(yaw=0.0, seed=0, **attributes):
        who = replace(people[0], **{**PLAIN, **attributes})
        return draw_figure(who, place(yaw), noon, np.random.default_rng(seed))

    return one


def greenness(picture, mask):
    green = (picture[..., 1] > picture[..., 0] * 1.4) & (picture[..., 1] > picture[..., 2] * 1.4)
    return green & mask


def test_a_person_is_as_high_as_the_scale_says_and_one_piece(draw, people):
    _, mask = draw()
    rows = np.flatnonzero(mask.any(axis=1))

    assert np.ptp(rows) == pytest.approx(people[0].height * 190, rel=0.06)
    assert np.diff(rows).max() == 1


def test_a_backpack_fills_the_back_and_shows_only_its_straps_in_front(draw):
    front = greenness(*draw(yaw=0.0, bag="backpack")).sum()
    back = greenness(*draw(yaw=np.pi, bag="backpack")).sum()

    assert back > 2500
    assert 100 < front < back / 3


@pytest.mark.parametrize(("side", "yaw"), [(1, 0.0), (-1, np.pi)])
def test_a_bag_in_the_left_hand_is_on_the_right_when_seen_from_the_front(draw, side, yaw):
    bag = greenness(*draw(yaw=yaw, bag="handbag", side=side))

    assert bag.sum() > 400
    assert np.flatnonzero(bag.any(axis=0)).mean() > 96


def test_the_face_is_seen_from_the_front_and_the_hair_from_behind(draw):
    heads = [draw(yaw=yaw, hair_colour=0) for yaw in (0.0, np.pi)]
    dark = []
    for picture, mask in heads:
        top = np.flatnonzero(mask.any(axis=1))[0]
        head = mask[top : top + 40]
        dark.append((picture[top : top + 40].sum(axis=2) < 0.9)[head].mean())

    assert dark[1] > 0.6 > 0.5 > dark[0]


def test_a_jacket_s_logo_is_on_the_back_only(draw):
    counts = []
    for logo in ("none", "disc"):
        for yaw in (0.0, np.pi):
            picture, mask = draw(yaw=yaw, upper="jacket", accent="green", logo=logo)
            counts.append(int(greenness(picture, mask).sum()))

    plain_front, plain_back, front, back = counts
    assert abs(front - plain_front) < 40
    assert back - plain_back > 500


def test_poses_differ_from_image_to_image_and_agree_for_one_stream(draw):
    masks = [draw(seed=seed)[1] for seed in (1, 2, 1)]

    assert (masks[0] != masks[1]).sum() > 300
    assert (masks[0] == masks[2]).all()


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("upper", UPPERS), ("lower", LOWERS), ("hair", HAIR), ("hat", HATS[3:]), ("bag", BAGS[1:])],
)
def test_every_kind_of_thing_worn_changes_the_picture(draw, attribute, values):
    pictures = [draw(yaw=2.4, accent="red", **{attribute: value})[0] for value in values]

    for i, one in enumerate(pictures):
        assert all((np.abs(one - other).max(axis=2) > 0.1).sum() > 60 for other in pictures[:i])


@pytest.fixture(scope="module")
def cloth_patch():
    along, arc = np.meshgrid(np.linspace(0, 0.6, 120), np.linspace(-0.3, 0.3, 120), indexing="ij")
    along, arc = along.ravel(), arc.ravel()
    return Spots(u=along / 0.6, angle=arc / 0.2, along=along, across=arc, arc=arc)


def test_no_two_patterns_are_the_same_and_all_but_plain_mix_both_colours(cloth_patch):
    seen = [Cloth((0, 0, 0), (1, 1, 1), pattern=p)(cloth_patch)[:, 0] for p in PATTERNS]

    assert seen[0].max() == 0
    assert all(0.08 < shares.mean() < 0.8 for shares in seen[1:])
    assert all((a != b).mean() > 0.05 for i, a in enumerate(seen) for b in seen[:i])


def test_no_two_logos_are_the_same(cloth_patch):
    seen = [Cloth((0, 0, 0), logo=name)(cloth_patch)[:, 0] for name in LOGOS]

    areas = [shares.mean() for shares in seen]
    assert areas[0] == 0 and min(areas[1:]) > 0.02
    assert all((a != b).mean() > 0.008 for i, a in enumerate(seen) for b in seen[:i])
