"""Junk is neither right nor wrong, and no query finds its own photo, by every function."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from fed_plugin.retrieval import (
    identify_open_set,
    leave_identities_out,
    rank,
    rank_features,
    verify_pairs,
)
from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.distances import cosine_distance
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import ProtocolCard, protocol_differences
from fed_plugin.retrieval.ranking import cameras_and_photos, first_ranked
from fed_plugin.retrieval.thresholds import threshold_metrics
from fed_plugin.search.calibration import fit_and_try

QUERIES, GALLERY, JUNK = 40, 120, 60


@pytest.fixture
def case():
    """Features and labels of people, and the same with junk between the gallery's rows."""
    draw = np.random.default_rng(0)
    people = draw.normal(size=(12, 16))
    q_pids, g_pids = np.arange(QUERIES) % 12, np.arange(GALLERY) % 12
    q_pids[-3:] = 99  # without a right answer
    query = people[q_pids % 12] + draw.normal(size=(QUERIES, 16))
    gallery = people[g_pids] + draw.normal(size=(GALLERY, 16))
    q_camids, g_camids = draw.integers(0, 3, QUERIES), draw.integers(0, 3, GALLERY)
    junk = query[draw.integers(0, QUERIES, JUNK)] + draw.normal(scale=1e-3, size=(JUNK, 16))
    order = draw.permutation(GALLERY + JUNK)
    with_junk = (
        np.concatenate([gallery, junk])[order].astype(np.float32),
        np.concatenate([g_pids, np.full(JUNK, -1)])[order],
        np.concatenate([g_camids, draw.integers(0, 3, JUNK)])[order],
    )
    kept = with_junk[1] != -1
    query = query.astype(np.float32)
    return query, q_pids, q_camids, with_junk, tuple(part[kept] for part in with_junk)


def arguments(case, gallery):
    query, q_pids, q_camids, *_ = case
    features, g_pids, g_camids = gallery
    return cosine_distance(query, features), q_pids, g_pids, q_camids, g_camids


def same(first, second):
    np.testing.assert_array_equal(first.first_hits, second.first_hits)
    np.testing.assert_array_equal(first.average_precisions, second.average_precisions)
    np.testing.assert_array_equal(
        first.inverse_negative_penalties, second.inverse_negative_penalties
    )
    np.testing.assert_array_equal(first.valid_queries, second.valid_queries)


@pytest.mark.parametrize("spelled", [np.int64, np.float64, str])
def test_junk_changes_no_ranking(case, spelled):
    with_junk, without = (arguments(case, gallery) for gallery in case[3:])
    distances, q_pids, g_pids, *cameras = with_junk
    expected = rank(*without)
    same(rank(distances, q_pids.astype(spelled), g_pids.astype(spelled), *cameras), expected)
    for block in (17, 8192):
        labels = (q_pids, g_pids, *cameras)
        same(rank_features(case[0], case[3][0], *labels, rows_at_once=block), expected)


def test_junk_changes_no_rate_at_a_threshold(case):
    with_junk, without = (arguments(case, gallery) for gallery in case[3:])
    ours, theirs = verify_pairs(*with_junk), verify_pairs(*without)
    assert ours.negative_pairs == theirs.negative_pairs
    np.testing.assert_array_equal(ours.true_positive_rates, theirs.true_positive_rates)
    ours, theirs = identify_open_set(*with_junk), identify_open_set(*without)
    np.testing.assert_array_equal(ours.detection_rates, theirs.detection_rates)
    assert threshold_metrics(*with_junk) == threshold_metrics(*without)
    assert leave_identities_out([-1, 1, 2], [-1, 1, 2], share=0.99).tolist().count(True) == 2


def test_junk_is_never_among_the_first_answers(case):
    distances, q_pids, g_pids, *cameras = arguments(case, case[3])
    first = first_ranked(distances, q_pids, g_pids, *cameras, 30)
    assert (g_pids[first.places[np.isfinite(first.distances)]] != -1).all()
    assert np.isfinite(first.distances[:, :10]).all()


@pytest.mark.parametrize("mark", [-1, -1.0, "-1", "-1.0"])
def test_a_query_that_is_junk_is_refused_by_every_function(case, mark):
    distances, q_pids, g_pids, *cameras = arguments(case, case[3])
    q_pids, g_pids = (one.astype(type(mark)) for one in (q_pids, g_pids))
    q_pids[7] = mark
    labels = (q_pids, g_pids, *cameras)
    for call in (
        lambda: rank(distances, *labels),
        lambda: rank_features(case[0], case[3][0], *labels),
        lambda: verify_pairs(distances, *labels),
        lambda: identify_open_set(distances, *labels),
        lambda: first_ranked(distances, *labels, 3),
    ):
        with pytest.raises(ValueError, match="identity -1 for 1 of 40 queries, first in row 7"):
            call()


@pytest.mark.parametrize("spelled", ["{}.0", "0{}", " {} "])
def test_cameras_are_read_as_identities_are(case, spelled):
    distances, q_pids, g_pids, q_camids, g_camids = arguments(case, case[4])
    expected = rank(distances, q_pids, g_pids, q_camids, g_camids)
    words = np.array([spelled.format(camid) for camid in q_camids])
    same(rank(distances, q_pids, g_pids, words, g_camids), expected)
    with pytest.raises(ValueError, match="a camera is NaN or infinite"):
        rank(distances, q_pids, g_pids, np.where(q_camids == 1, np.nan, 0), g_camids)


def test_distractors_stay_wrong_answers(case):
    distances, q_pids, g_pids, *cameras = arguments(case, case[3])
    distractors = rank(distances, q_pids, np.where(g_pids == -1, 0, g_pids + 1), *cameras).mAP
    assert distractors < rank(distances, q_pids, g_pids, *cameras).mAP


def dump_of(query, gallery, q_pids, g_pids, q_names, g_names, camids=(0, 1), **about):
    splits = [(q_pids, "query", camids[0]), (g_pids, "gallery", camids[1])]
    return FeatureDump(
        features=np.concatenate([query, gallery]).astype(np.float32),
        pids=np.concatenate([q_pids, g_pids]),
        camids=np.concatenate([np.full(len(pids), camid) for pids, _, camid in splits]),
        split=np.array([split for pids, split, _ in splits for _ in pids]),
        names=np.array([*q_names, *g_names]),
        about=about,
    )


def test_a_dump_with_junk_is_scored_as_without_and_its_card_says_so(case):
    query, q_pids, _, *galleries = case
    results, cards = [], []
    for features, g_pids, _ in galleries:
        names = [f"q{k}.jpg" for k in range(QUERIES)], [f"g{k}.jpg" for k in range(len(g_pids))]
        dump = dump_of(query, features, q_pids, g_pids, *names)
        cards.append(card_of_dump(dump, "cosine"))
        results.append(evaluate_dump(dump, card=cards[-1].to_json()))
    assert results[0].metrics == results[1].metrics
    assert cards[0].camera_rule == f"{cards[1].camera_rule}; {JUNK} junk images (-1) removed"
    assert ProtocolCard.from_json(cards[0].to_json()) == cards[0]
    assert "camera_rule" in {one.field for one in protocol_differences(*cards)}


def test_calibration_refuses_junk_among_the_queries():
    draw = np.random.default_rng(1)
    pids = np.concatenate([np.arange(20).repeat(2), [-1, -1]])
    names = [f"{k}.jpg" for k in range(len(pids))]
    features = [np.eye(21)[pids] + 0.1 * draw.normal(size=(len(pids), 21)) for _ in range(2)]
    dump = dump_of(*features, pids, pids, names, names)
    with pytest.raises(ValueError, match="identity -1 for 2 of"):
        fit_and_try(dump, "", "cosine", 0)


# One list as query and gallery.


def one_list(noise=0.0, names=None, count=60, dtype=np.float32, **about):
    draw = np.random.default_rng(2)
    features = draw.normal(size=(count, 32))
    again = (features + noise * draw.normal(size=features.shape)).astype(dtype)
    pids = np.arange(count) // 3
    ours = [f"{k}.jpg" for k in range(count)]
    return dump_of(features, again, pids, pids, ours, names or ours, **about)


@pytest.mark.parametrize(
    "dump",
    [
        one_list(),
        one_list(noise=1e-6),
        one_list(dtype=np.float16),
        one_list(names=[f"all/{k}.jpg" for k in range(60)]),
        one_list(0.3, own_photos=[[f"{k}.jpg", f"{k}.jpg"] for k in range(60)]),
    ],
    ids=["same", "rounded", "float16", "folders", "listed"],
)
def test_one_list_as_query_and_gallery_is_no_perfect_score(dump):
    card = card_of_dump(dump, "cosine")
    result = evaluate_dump(dump, card=card.to_json())
    assert result.metrics["Rank-1"].value < 20 and result.metrics["mAP"].value < 30
    assert card.query_in_gallery == "60 of 60 queries, left out of their own rankings"
    q_pids, g_pids = dump.labels()[:2]
    distances = cosine_distance(dump.features[dump.query], dump.features[dump.gallery])
    by_hand = np.where(np.eye(60, dtype=bool), np.inf, distances)
    first = by_hand.argmin(axis=1)
    assert result.metrics["Rank-1"].value == pytest.approx(100 * (q_pids == g_pids[first]).mean())
    blocks = rank_features(
        dump.features[dump.query], dump.features[dump.gallery], *dump.labels(), rows_at_once=7
    )
    assert 100 * blocks.mAP == pytest.approx(result.metrics["mAP"].value)
    verified = verify_pairs(distances, *dump.labels())
    assert verified.positive_pairs == 60 * 2  # of three photos of each person the two others


@pytest.mark.parametrize(
    "dump",
    [
        one_list(noise=0.05),  # names agree, photos do not
        one_list(names=[f"x{k}.jpg" for k in range(60)]),  # binary codes may agree by chance
        one_list(own_photos=[]),  # the writer knew the files
    ],
    ids=["other photos", "other names", "none listed"],
)
def test_other_photos_of_equal_name_or_equal_descriptor_stay_answers(dump):
    result = evaluate_dump(dump)
    assert result.metrics["Rank-1"].value == 100
    assert isinstance(card_of_dump(dump, "cosine").query_in_gallery, int)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_model_that_describes_everybody_alike_knows_no_photo(value):
    dump = one_list()
    alike = dataclasses.replace(dump, features=np.full_like(dump.features, value))
    assert alike.own_photos.size == 0 and len(dump.own_photos) == 60
    assert evaluate_dump(alike).metrics["Rank-1"].value < 10


def test_whole_numbers_as_floats_are_refused_with_the_way_to_keep_junk():
    dump = one_list()
    with pytest.raises(
        ValueError, match=r"float64: expected integers; try pids\.astype\(np\.int64\)"
    ):
        dataclasses.replace(dump, pids=dump.pids.astype(float))
    with pytest.raises(ValueError, match=r"try np\.unique\(pids"):
        dataclasses.replace(dump, pids=dump.pids + 0.5)


def test_a_copy_of_one_camera_is_counted_as_before():
    dump = one_list()
    one_camera = dump_of(
        *(dump.features[rows] for rows in (dump.query, dump.gallery)),
        *(dump.pids[rows] for rows in (dump.query, dump.gallery)),
        *(dump.names[rows] for rows in (dump.query, dump.gallery)),
        camids=(1, 1),
    )
    assert one_camera.own_photos.size == 0
    assert card_of_dump(one_camera, "cosine").query_in_gallery == 60


def test_own_photos_that_are_no_pairs_of_names_are_refused():
    for wrong in ([["no such", "0.jpg"]], [["0.jpg"]], 3, [[1, 2]]):
        with pytest.raises(ValueError, match="about: own_photos: expected pairs"):
            evaluate_dump(one_list(own_photos=wrong))


def test_copies_of_copies_are_one_photo():
    labels = cameras_and_photos(np.array([0, 1, 2, 2]), np.array([[0, 2], [1, 2]]))
    assert len(set(labels[:3, 1])) == 1 and labels[3, 1] != labels[0, 1]


def test_a_gallery_of_own_photos_alone_is_refused_in_a_sentence():
    dump = one_list(count=3)
    few = dump_of(dump.features[:1], dump.features[3:4], [7], [7], ["a.jpg"], ["a.jpg"])
    with warnings.catch_warnings(), pytest.raises(ValueError, match="not the same photos"):
        warnings.simplefilter("error")
        evaluate_dump(few)
