"""SynthOcc must not be solved by what has learned nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.synthocc import SIZES
from fed_plugin.synthocc.build import take
from fed_plugin.synthocc.casting import GALLERY, QUERY, Size, plan


@pytest.fixture(scope="module")
def half():
    """Queries and gallery of 16 identities under all six cameras: pixels, pids, cameras."""
    size = Size(0, 0, 16, 2, 4, 4, 1, cameras=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "probe", size)
        shots = plan(size, 0)
        pixels = np.stack([take("probe", 0, shot).pixels for shot in shots])
    pids, cameras = np.array([(s.pid, s.camid) for s in shots]).T
    return {
        split: [part[[s.split == split for s in shots]] for part in (pixels, pids, cameras)]
        for split in (QUERY, GALLERY)
    }


def rank1(features, half):
    (q, q_pids, q_cams), (g, g_pids, g_cams) = (
        [features(pixels), pids, cams] for pixels, pids, cams in half.values()
    )
    q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g))
    alike = q @ g.T
    alike[(q_pids[:, None] == g_pids) & (q_cams[:, None] == g_cams)] = -2
    return float((g_pids[alike.argmax(axis=1)] == q_pids).mean())


def colour_means(rows, columns):
    def features(pixels):
        cells = pixels.reshape(-1, rows, 128 // rows, columns, 64 // columns, 3)
        return cells.mean(axis=(2, 4)).reshape(len(pixels), -1) / 255 - 0.5

    return features


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 1), (8, 4)])
def test_colour_means_do_not_find_people(half, rows, columns):
    assert rank1(colour_means(rows, columns), half) < 0.25


def test_random_convolutions_do_not_find_people(half):
    filters = np.random.default_rng(0).normal(size=(8 * 8 * 3, 48))

    def features(pixels):
        patches = pixels.reshape(-1, 16, 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5)
        values = patches.reshape(len(pixels), 16, 8, -1) / 127.5 - 1
        tokens = np.maximum(values @ filters, 0)
        return tokens.reshape(len(pixels), 4, 32, -1).mean(axis=2).reshape(len(pixels), -1)

    assert rank1(features, half) < 0.25


def test_knowing_the_person_finds_the_person(half):
    """The bound above is not the bound of the protocol itself."""
    answers = iter([half[QUERY][1], half[GALLERY][1]])
    names = np.random.default_rng(0).normal(size=(64, 32))

    assert rank1(lambda pixels: names[next(answers)], half) == 1.0


def test_most_of_what_looks_alike_to_colour_is_the_camera(half):
    """Casts are strong: the nearest image by colour mostly comes from the query's own camera."""
    (q, _, q_cams), (g, _, g_cams) = half.values()
    means = colour_means(4, 1)
    gaps = ((means(q)[:, None] - means(g)[None]) ** 2).sum(axis=2)

    assert (g_cams[gaps.argmin(axis=1)] == q_cams).mean() > 0.5
