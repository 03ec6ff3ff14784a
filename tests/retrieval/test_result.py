from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.result import Result


@pytest.fixture
def result(draw_dump):
    return evaluate_dump(draw_dump(), method="mine", card={"seed": 3})


def test_a_result_comes_back_as_it_was_saved(result, tmp_path):
    result.save(tmp_path / "result.json")
    again = Result.load(tmp_path / "result.json")
    assert again.to_json() == result.to_json()
    assert again.metrics == result.metrics and again.card == {"seed": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_file_says_its_format_and_every_query(result, tmp_path):
    result.save(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["format"] == "fed_plugin.result/1" and content["method"] == "mine"
    assert set(content["metrics"]["mAP"]) == {"value", "low", "high"}
    assert content["queries"]["names"] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert {len(values) for values in content["queries"].values()} == {4}
    assert content["queries"]["pids"] == [1, 2, 3, 1] and content["groups"] == "query"
    assert "wrong pairs" in content["undefined"]["TPR@FPR=1e-3"]


def test_a_metric_without_an_interval_comes_back_without_one(result, tmp_path):
    metrics = {**result.metrics, "TPR@FPR=1e-2": Estimate(50.0)}
    replace(result, metrics=metrics).save(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["metrics"]["TPR@FPR=1e-2"] == {"value": 50.0, "low": None, "high": None}
    again = Result.load(tmp_path / "result.json")
    assert again.metrics == metrics and again.metrics["TPR@FPR=1e-2"].interval is None


def test_a_file_of_older_code_is_read(result, tmp_path):
    content = result.to_json()
    del content["queries"]["pids"], content["groups"], content["undefined"]
    (tmp_path / "result.json").write_text(json.dumps(content))
    again = Result.load(tmp_path / "result.json")
    assert again.queries.pids is None and again.groups == "query" and again.undefined == {}
    assert again.metrics == result.metrics


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
        (changed(["format"], "fed_plugin.result/2"), "format: expected 'fed_plugin.result/1', got"),
        (changed(["format"], KeyError), "expected the key 'format'"),
        (changed(["card"], KeyError), "expected the key 'card'"),
        (changed(["queries", "names"], KeyError), "queries: expected the key 'names'"),
        (changed(["queries", "names"], ["a"] * 4), "has 4 names: expected some, each once"),
        (changed(["queries", "names"], []), "has 0 names"),
        (changed(["queries", "average_precisions"], [0.5]), r"shape \(1,\): expected \(4,\)"),
        (changed(["queries", "average_precisions"], [2, 1, 1, 1]), "expected shares in"),
        (changed(["queries", "average_precisions"], [float("nan")] * 4), "no JSON"),
        (changed(["queries", "first_hits"], [-1, 0, 0, 0]), "expected ranks from 0"),
        (
            changed(["queries", "first_hits"], [0.5, 0, 0, 0]),
            r"queries.first_hits\[0\]: expected a whole number, got 0.5",
        ),
        (changed(["metrics", "mAP"], KeyError), None),
        (changed(["metrics", "mAP", "low"], KeyError), "expected both ends of an interval"),
        (changed(["metrics", "mAP", "low"], None), "expected both ends of an interval, or none"),
        (
            changed(["metrics", "mAP", "value"], None),
            r"metrics\[...\].value: expected a number, got null",
        ),
        (changed(["queries", "pids"], [1]), r"queries.pids has shape \(1,\): expected \(4,\)"),
        (changed(["queries", "pids"], ["a"] * 4), r"queries.pids\[0\]: expected a whole number"),
        (changed(["groups"], "camera"), "groups: expected 'identity' or 'query', got 'camera'"),
        (changed(["undefined"], 3), "undefined: expected an object, got 3"),
        (changed(["metrics", "mAP", "low"], float("nan")), "no JSON"),
        (changed(["metrics"], []), r"metrics: expected an object, got \[\]"),
        (changed(["queries"], 3), "queries: expected an object, got 3"),
    ],
)
def test_another_content_is_refused_by_name(result, tmp_path, change, message):
    content = copy.deepcopy(result.to_json())
    change(content)
    (tmp_path / "result.json").write_text(json.dumps(content))
    if message is None:  # which metrics there are is free
        assert "mAP" not in Result.load(tmp_path / "result.json").metrics
        return
    with pytest.raises(ValueError, match=message) as caught:
        Result.load(tmp_path / "result.json")
    assert str(tmp_path / "result.json") in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "[" * 100_000])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match=r"result\.json: not a result"):
        Result.load(tmp_path / "result.json")


@pytest.mark.parametrize("metric", ["Rank-0", "Rank-x", "Rank", "map", "CMC-1"])
def test_a_metric_that_no_list_tells_is_refused(result, metric):
    with pytest.raises(ValueError, match=f"metric '{metric}': expected one of Rank-1"):
        result.queries.percentages(metric)
