"""What parts add to a similarity."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval import distances
from fed_plugin.retrieval.distances import (
    part_contributions,
    visible_contributions,
    visible_similarity,
)


@pytest.fixture
def described():
    """Descriptors and visibility of 3 queries and 11 gallery images: 4 parts of 5 channels."""
    draw = np.random.default_rng(0)
    sides = []
    for count in (3, 11):
        descriptors = draw.normal(size=(count, 20)).astype(np.float32)
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        sides.append((descriptors, draw.uniform(size=(count, 4)).astype(np.float32)))
    return sides


def test_contributions_add_up_to_the_cosine(described):
    (query, _), (gallery, _) = described
    parts = part_contributions(query, gallery, 4)
    assert parts.shape == (3, 11, 4) and np.abs(parts).min() > 0
    assert np.abs(parts.sum(axis=2) - query @ gallery.T).max() < 1e-6


def test_visible_similarity_is_the_slow_loops(described, monkeypatch):
    (query, seen), (gallery, others) = described
    expected = np.zeros((3, 11))
    for i in range(3):
        for j in range(11):
            above = below = 0.0
            for part in range(4):
                q, g = (x.reshape(4, 5)[part] for x in (query[i], gallery[j]))
                weight = seen[i, part] * others[j, part]
                above += weight * (q @ g) / np.linalg.norm(q) / np.linalg.norm(g)
                below += weight
            expected[i, j] = above / below
    found = visible_similarity(query, seen, gallery, others)
    assert np.abs(found - expected).max() < 1e-6
    monkeypatch.setattr(distances, "_MATCHING_BLOCK_ELEMENTS", 45)  # three columns at once
    assert np.abs(visible_similarity(query, seen, gallery, others) - found).max() < 1e-6
    parts = visible_contributions(query, seen, gallery, others)
    assert np.abs(parts.sum(axis=2) - found).max() < 1e-6


def test_covered_parts_do_not_count_and_nothing_in_common_is_zero(described):
    (query, seen), (gallery, others) = described
    seen[0] = [1, 1, 0, 0]
    changed = gallery.copy()
    changed[:, 10:] = 1  # the parts that the first query does not show
    before, after = (visible_similarity(query[:1], seen[:1], x, others) for x in (gallery, changed))
    assert np.array_equal(before, after)
    others[4] = [0, 0, 1, 1]
    assert visible_similarity(query[:1], seen[:1], gallery, others)[0, 4] == 0


def test_parts_that_do_not_divide_are_refused(described):
    (query, seen), (gallery, others) = described
    with pytest.raises(ValueError, match="3 parts do not divide"):
        part_contributions(query, gallery, 3)
    with pytest.raises(ValueError, match="visibility"):
        visible_similarity(query, seen, gallery, others[:5])
    with pytest.raises(ValueError, match="20 and 16"):
        part_contributions(query, gallery[:, :16], 4)
