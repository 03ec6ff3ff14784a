from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.synthocc.figure import rasterise
from fed_plugin.synthocc.surface import Flat, Part, ball, slab, tube

RED = Flat((1.0, 0.0, 0.0))
SHAPE, SCALE, ORIGIN = (120, 120), 100.0, (60.0, 60.0)


def render(*parts):
    return rasterise(parts, np.eye(3), SHAPE, SCALE, ORIGIN)


def test_a_ball_covers_a_full_disc():
    hits = render(Part(ball(np.zeros(3), 0.4, 0.4, 0.4), RED))
    y, x = np.divmod(hits.pixel, SHAPE[1])

    inside = np.hypot(*(np.indices(SHAPE) + 0.5 - 60)) < 39
    assert len(hits.pixel) == pytest.approx(np.pi * 40**2, rel=0.04)
    assert np.isin(np.flatnonzero(inside), hits.pixel).all()
    assert np.hypot(x + 0.5 - 60, y + 0.5 - 60).max() < 42


def test_normals_of_a_ball_point_away_from_its_centre():
    hits = render(Part(ball(np.zeros(3), 0.4, 0.4, 0.4), RED))
    y, x = np.divmod(hits.pixel, SHAPE[1])
    radial = np.stack([x + 0.5 - 60, 60 - y - 0.5], axis=1) / 40
    near = np.hypot(*radial.T) < 0.8

    np.testing.assert_allclose(hits.normal[near, :2], radial[near], atol=0.16)
    assert (hits.normal[:, 2] >= 0).all()


@pytest.mark.parametrize("nearer", [0, 1])
def test_the_nearer_part_hides_the_other_in_whatever_order_they_come(nearer):
    depths = [0.3, -0.3] if nearer == 0 else [-0.3, 0.3]
    parts = [Part(ball(np.array([0, 0, z]), 0.3, 0.3, 0.2), RED) for z in depths]

    hits = render(*parts)

    assert set(hits.part) == {nearer}


def test_a_box_has_a_flat_face_without_holes():
    down = [np.array([0.0, 0.4, 0.0]), np.array([0.0, -0.4, 0.0])]
    hits = render(Part(slab(down, 0.3, 0.2, np.array([1.0, 0, 0])), RED, roundness=0.4))
    mask = np.zeros(SHAPE, dtype=bool)
    mask.ravel()[hits.pixel] = True
    face = mask[30:90, 36:84]

    assert face.all()
    facing = hits.normal[np.isin(hits.pixel, np.flatnonzero(np.pad(face, ((30, 30), (36, 36)))))]
    assert np.median(facing[:, 2]) > 0.97


def test_cut_away_cloth_shows_what_is_behind():
    path = [np.array([0.0, 0.4, 0.0]), np.array([0.0, -0.4, 0.0])]
    profile = [(0, 0.3, 0.3), (1, 0.3, 0.3)]
    coat = Part(
        tube(path, profile, np.array([1.0, 0, 0])), RED, keep=lambda u, a: np.abs(a) + 0 * u > 0.5
    )
    shirt = Part(tube(path, [(0, 0.25, 0.25), (1, 0.25, 0.25)], np.array([1.0, 0, 0])), RED)

    hits = render(coat, shirt)
    middle = hits.part[np.isin(hits.pixel, 60 * SHAPE[1] + np.arange(52, 68))]
    side = hits.part[np.isin(hits.pixel, 60 * SHAPE[1] + np.arange(34, 40))]

    assert set(middle) == {1} and set(side) == {0}


def test_things_outside_the_picture_are_cut_off():
    hits = render(Part(ball(np.array([0.6, 0, 0]), 0.4, 0.4, 0.4), RED))
    x = hits.pixel % SHAPE[1]

    assert x.max() == SHAPE[1] - 1 and x.min() >= 78
