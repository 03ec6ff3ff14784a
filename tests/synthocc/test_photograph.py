from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.synthocc.casting import CAMERAS
from fed_plugin.synthocc.figure import draw_figure
from fed_plugin.synthocc.identity import stream
from fed_plugin.synthocc.obstacles import THINGS, hide_behind_thing, visible_shares
from fed_plugin.synthocc.photograph import photograph
from fed_plugin.synthocc.scenes import SCENES, draw_scene


@pytest.fixture(scope="module")
def walker(people, place, noon):
    return draw_figure(people[1], place(0.4), noon, stream(0, "walker"))[1]


def test_every_camera_gives_one_grey_card_another_colour():
    card = np.full((128, 64, 3), 0.5, dtype=np.float32)
    seen = np.stack(
        [
            np.mean([c.expose(card, stream(0, "card", i)).mean(axis=(0, 1)) for i in range(8)], 0)
            for c in CAMERAS
        ]
    )
    gaps = np.abs(seen[:, None] - seen[None]).max(axis=2) + 255 * np.eye(len(CAMERAS))

    assert gaps.min() > 7


def test_a_camera_flickers_from_image_to_image():
    card = np.full((128, 64, 3), 0.5, dtype=np.float32)
    levels = [CAMERAS[0].expose(card, stream(0, "flicker", i)).mean() for i in range(6)]

    assert np.ptp(levels) > 5


@pytest.mark.parametrize("name", SCENES)
def test_two_variants_of_a_place_differ(name):
    one, two = (np.asarray(draw_scene(name, 0.65, stream(0, i))).astype(int) for i in (1, 2))

    assert np.abs(one - two).mean() > 4


@pytest.mark.parametrize("name", THINGS)
def test_every_thing_is_a_solid_cut_out_and_no_two_are_the_same(name):
    draw, sides = THINGS[name]
    one, two = (np.asarray(draw(stream(0, name, i))) for i in (1, 2))

    assert 0.25 < (one[..., 3] == 255).mean() < 1.01
    assert set(np.unique(one[..., 3])) <= {0, 255}
    assert one.shape != two.shape or (one != two).any()
    assert set(sides) <= {"bottom", "top", "left", "right"}


@pytest.mark.parametrize("wanted", [0.3, 0.6, 0.85])
def test_objects_leave_about_the_wanted_share_of_the_person(walker, wanted):
    reached = [
        visible_shares(walker, hide_behind_thing(walker, wanted, stream(0, i)).cover.mask)[0]
        for i in range(8)
    ]

    np.testing.assert_allclose(reached, wanted, atol=0.15)
    assert np.mean(reached) == pytest.approx(wanted, abs=0.05)


def test_a_whole_person_has_no_occluder_and_lies_inside_the_frame(people):
    for camid in range(len(CAMERAS)):
        photo = photograph(0, people[2], camid, stream(0, "whole", camid))
        rows = np.flatnonzero(photo.person.any(axis=1))

        assert photo.occlusion is None
        assert photo.pixels.shape == (128, 64, 3) and photo.pixels.dtype == np.uint8
        assert 0.72 < np.ptp(rows) / 384 < 1.0


@pytest.mark.parametrize("camid", [0, 5])
def test_people_in_front_hide_a_part_and_are_drawn_over(people, camid):
    photo = photograph(0, people[2], camid, stream(0, "pair", camid), people[3], occluded=True)
    share = visible_shares(photo.person, photo.occlusion.cover.mask)[0]

    assert photo.occlusion.kind == "person"
    assert 0.3 < share < 0.97


def test_the_occluder_is_the_only_difference_it_makes(people):
    """The person is drawn before anything is put in front, from the same random numbers."""
    whole = photograph(0, people[4], 0, stream(0, "same"))
    hidden = photograph(0, people[4], 0, stream(0, "same"), occluded=True)

    assert (whole.person == hidden.person).all()
