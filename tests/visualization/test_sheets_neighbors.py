from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.visualization import Neighbors, neighbor_sheet

N, K, P = 2, 3, 4


@pytest.fixture
def neighbors(noise):
    images = np.stack([noise(K, 24, 12, 3) for _ in range(N)])
    weights = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    return Neighbors(images, weights, weights / 2, [["a", "b", "c"]] * N)


def test_samples_and_their_identities_stand_on_the_sheet(tmp_path, read, noise, neighbors):
    views = noise(N, 24, 12, 3), noise(N, 24, 12, 3)
    seen = np.full((N, P), 0.5)
    with_parts = read(neighbor_sheet(*views, seen, neighbors, tmp_path / "a.png"))
    plain = read(neighbor_sheet(*views, None, neighbors, tmp_path / "b.png"))
    blue = [(sheet == (0x00, 0x72, 0xB2)).all(axis=2).sum() for sheet in (with_parts, plain)]
    assert blue[0] == pytest.approx(blue[1], rel=0.02)
    assert blue[0] == pytest.approx(2 * 96 * 9, rel=0.15)  # the bars of a sample make one whole
    assert with_parts.shape[0] > plain.shape[0]  # the explanation of parts


def test_a_page_holds_the_words_and_needs_no_network(tmp_path, noise, neighbors):
    views = noise(N, 24, 12, 3), noise(N, 24, 12, 3)
    path = tmp_path / "a.html"
    neighbor_sheet(*views, None, neighbors, path, ["<one>", "two"], title="T & U")
    page = path.read_text()
    assert "50 % taken" in page and "cosine 0.25" in page and "&lt;one&gt;" in page
    assert "<title>T &amp; U</title>" in page and "<script" not in page and "<one>" not in page
    assert not [
        x
        for x in page.split('"')
        if x.startswith("http")
        and "xmlns" not in x
        and "w3.org" not in x
        and "purl.org" not in x
        and "creativecommons" not in x
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.full((N, K), 0.5)}, "add up to 1"),
        ({"weights": np.full((N, K + 1), 0.25)}, "weights: expected"),
        ({"similarity": np.zeros((N, 1))}, "similarity: expected"),
        ({"images": np.zeros((N + 1, K, 8, 8, 3), np.uint8)}, "images: expected"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, noise, neighbors, change, message):
    views = noise(N, 24, 12, 3), noise(N, 24, 12, 3)
    with pytest.raises(ValueError, match=message):
        neighbor_sheet(*views, None, replace(neighbors, **change), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
