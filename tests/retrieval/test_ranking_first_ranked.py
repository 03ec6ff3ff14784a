"""What is shown first is what counts first."""

from __future__ import annotations

import numpy as np

from fed_plugin.retrieval.ranking import first_ranked, rank


def test_the_first_right_answer_is_where_the_ranking_counts_it(draw_case):
    case = draw_case(3, queries=30, gallery=60, pids=10, cameras=3, steps=6)
    counted, shown = rank(*case), first_ranked(*case, 60)
    first = shown.matches.argmax(axis=1)[counted.valid_queries]
    np.testing.assert_array_equal(first, counted.first_hits)


def test_images_of_the_querys_person_and_camera_come_last_and_infinitely_far():
    pids, camids = np.array([1, 1, 2]), np.array([0, 1, 0])
    distances = np.array([[0.1, 0.3, 0.2]])
    shown = first_ranked(distances, np.array([1]), pids, np.array([0]), camids, 3)
    assert shown.places.tolist() == [[2, 1, 0]]
    assert shown.matches.tolist() == [[False, True, False]]
    assert shown.distances.tolist() == [[0.2, 0.3, np.inf]]
    assert distances[0, 0] == 0.1  # not written to
    assert first_ranked(distances, pids[:1], pids, camids[:1], camids, 2).places.shape == (1, 2)
