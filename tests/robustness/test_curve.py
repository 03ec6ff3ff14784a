from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from fed_plugin.retrieval.ranking import RankingResult
from fed_plugin.robustness.curve import (
    METRICS,
    QueryCurves,
    RobustnessCurve,
    area_weights,
    compare_areas,
    mean_curve,
    summarize_rankings,
)

KINDS, SIDES, SHARES = ("objects", "people"), ("left", "top"), (0.75, 0.25)
NAMES = tuple(f"{n}.jpg" for n in range(20))


def ranking(seed, better=0.0):
    rng = np.random.default_rng(seed)
    found = rng.random(20) < 0.4 + better
    return RankingResult(
        cmc=np.zeros(1, np.float32),
        average_precisions=rng.random(20) * (0.5 + better),
        inverse_negative_penalties=np.ones(20),
        first_hits=np.where(found, 0, 3),
        valid_queries=np.arange(20),
    )


@pytest.fixture(scope="module")
def draw_curve():
    """Draw a curve: ``draw_curve(seed=0, better=0.0, names=NAMES, method="mine", ...)``."""

    def draw(seed=0, better=0.0, names=NAMES, **about):
        conditions = [(k, s, share) for k in KINDS for s in SIDES for share in SHARES]
        covered = {c: ranking((seed, n), better) for n, c in enumerate(conditions)}
        fields = {
            "method": "mine",
            "dataset": "SynthOcc",
            "queries": "all",
            "seed": 0,
            "occluders": {kind: "drawn" for kind in KINDS},
            "card": {"seed": 3},
            "settings": {"queries": 20},
        }
        return summarize_rankings(names, ranking(seed + 99), covered, **{**fields, **about})

    return draw


def test_the_area_is_that_under_the_mean_curve(draw_curve):
    curve = draw_curve()
    for metric in METRICS:
        points = dict(mean_curve(curve, metric))
        assert list(points) == [1.0, 0.75, 0.25]
        slow = (
            0.25 * (points[1.0].value + points[0.75].value) / 2
            + 0.5 * (points[0.75].value + points[0.25].value) / 2
        ) / 0.75
        assert curve.area[metric].value == pytest.approx(slow)
        assert curve.area[metric].low < slow < curve.area[metric].high


def test_the_mean_curve_is_the_mean_of_the_levels(draw_curve):
    curve = draw_curve()
    assert len(curve.levels) == 8 and curve.whole["mAP"].value == pytest.approx(
        mean_curve(curve, "mAP")[0][1].value, abs=1e-3
    )
    for kinds in (KINDS, KINDS[:1]):
        of_levels = [
            level.metrics["mAP"].value
            for level in curve.levels
            if level.visible_share == 0.25 and level.kind in kinds
        ]
        kind = kinds[0] if len(kinds) == 1 else None
        point = mean_curve(curve, "mAP", kind)[-1][1]
        assert point.value == pytest.approx(np.mean(of_levels), abs=1e-3)


def test_a_constant_curve_has_its_value_as_area():
    values = {"objects": {name: np.full((4, 5), 37.0) for name in METRICS}}
    rows = QueryCurves(tuple("abcde"), (1.0, 0.9, 0.4, 0.1), values)
    assert rows.areas("mAP") == pytest.approx(np.full(5, 37.0))
    assert area_weights((1.0, 0.5)).tolist() == [0.5, 0.5]
    assert area_weights((1.0, 0.9, 0.4, 0.1)).sum() == pytest.approx(1)


def test_a_curve_comes_back_as_it_was_saved(draw_curve, tmp_path):
    curve = draw_curve()
    curve.save(tmp_path / "robustness.json")
    again = RobustnessCurve.load(tmp_path / "robustness.json")
    assert again.to_json() == curve.to_json() and again.levels == curve.levels
    assert [path.name for path in tmp_path.iterdir()] == ["robustness.json"]
    content = json.loads((tmp_path / "robustness.json").read_text())
    assert content["format"] == "fed_plugin.robustness/1" and content["count"] == 20
    level = content["levels"][0]
    assert (level["kind"], level["side"], level["visible_share"]) == ("objects", "left", 0.75)
    assert set(level["metrics"]["mAP"]) == {"value", "low", "high"}


def changed(path, value):
    def change(content):
        *above, last = path
        for key in above:
            content = content[key]
        if value is KeyError:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(["format"], "fed_plugin.result/1"), "expected 'fed_plugin.robustness/1'"),
        (changed(["area"], KeyError), "expected the key 'area'"),
        (changed(["area", "mAP"], KeyError), "area: expected the key 'mAP'"),
        (changed(["area", "mAP", "low"], float("nan")), "no JSON"),
        (changed(["count"], 19), "count is 19, expected 20"),
        (changed(["levels"], 3), "levels: expected .*, got 3"),
        (changed(["levels", 0, "side"], 4), "side: expected .*, got 4"),
        (changed(["seed"], "0"), "seed: expected .*, got '0'"),
        (changed(["whole", "mAP", "value"], None), "expected .*, got None"),
        (changed(["levels"], []), "levels: expected one for every kind, side and visible share"),
        (changed(["levels", 0, "visible_share"], 0.3), "levels: expected one for every kind"),
        (changed(["per_query", "names"], ["a"] * 20), "has 20 names: expected some, each once"),
        (changed(["per_query", "visible_shares"], [1, 0.25, 0.75]), "expected 1, then shares"),
        (changed(["per_query", "visible_shares"], [0.9, 0.75, 0.25]), "expected 1, then shares"),
        (changed(["per_query", "visible_shares"], [1]), "expected 1, then shares"),
        (changed(["per_query", "values"], {}), "expected a kind of occluder or more"),
        (changed(["per_query", "values", "people", "mAP"], [[1]]), r"shape \(1, 1\): expected"),
        (changed(["per_query", "values", "people", "mAP", 0, 0], -1), "expected percentages"),
        (changed(["per_query", "values", "people", "mAP", 0, 0], 101), "expected percentages"),
    ],
)
def test_another_content_is_refused_by_name(draw_curve, tmp_path, change, message):
    content = copy.deepcopy(draw_curve().to_json())
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        RobustnessCurve.load(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: not a robustness curve"):
        RobustnessCurve.load(tmp_path / "a.json")


def test_areas_are_compared_query_by_query(draw_curve):
    worse, better = draw_curve(), draw_curve(better=0.3, method="better")
    for kind in (None, "people"):
        difference = compare_areas(better, worse, kind)["mAP"]
        ours, theirs = (one.per_query.areas("mAP", kind) for one in (better, worse))
        assert difference.value == pytest.approx((ours - theirs).mean())
        assert 0 < difference.low < difference.high
    nothing = compare_areas(worse, worse)
    assert {(one.value, one.low, one.high) for one in nothing.values()} == {(0, 0, 0)}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"names": tuple(f"x{n}" for n in range(20))}, "do not compare: other queries"),
        ({"seed": 0, "dataset": "Market1501"}, "dataset is 'SynthOcc', not 'Market1501'"),
        ({"occluders": {"objects": "mine"}}, "occluders is"),
        ({"queries": "some"}, "queries is 'all', not 'some'"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(draw_curve, other, message):
    with pytest.raises(ValueError, match=message):
        compare_areas(draw_curve(), draw_curve(**other, method="other"))
