"""Robustness in the report: curves averaged over seeds, compared only if they compare."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fed_plugin.report.curves import read_robustness, robustness_figure
from fed_plugin.report.tables import make_tables, read_benchmark
from fed_plugin.robustness.curve import area_weights


def read(folder):
    """Return what the first table's cells say."""
    return read_robustness(make_tables(read_benchmark(folder), "SynthOcc", None)[0])


@pytest.fixture
def change(folder):
    """Change FED's file of seed 1: ``change(key, value)`` returns the benchmark's folder."""

    def change(key, value):
        path = folder / "SynthOcc" / "method1" / "seed1" / "robustness.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
        return folder

    return change


def test_areas_are_means_over_seeds_and_queries(finished_benchmark):
    fed = next(row for row in read(finished_benchmark).rows if row.method == "FED")
    files = sorted(finished_benchmark.glob("SynthOcc/method1/seed*/robustness.json"))
    curves = [json.loads(path.read_text())["per_query"] for path in files]
    values = np.mean([curve["values"]["people"]["mAP"] for curve in curves], axis=0)
    expected = (area_weights(curves[0]["visible_shares"]) @ values).mean()
    assert fed.seeds == (0, 1, 2)
    assert fed.numbers["area, mAP"].value == pytest.approx(expected)
    assert fed.numbers["area, mAP"].low < expected < fed.numbers["area, mAP"].high


def test_differences_are_to_the_tables_baseline(finished_benchmark):
    baseline, fed, _ = read(finished_benchmark).rows
    gap = fed.gaps["area, mAP"]
    assert baseline.method == "ViT baseline" and not baseline.gaps
    assert gap.value == pytest.approx(
        fed.numbers["area, mAP"].value - baseline.numbers["area, mAP"].value
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", 7, "seed is 7, not 0"),
        ("queries", "Others.", "queries is 'Others.'"),
        ("format", "other", "expected 'fed_plugin.robustness/1', got 'other'"),
        ("card", {"format": "fed_plugin.card/1", "flip": True}, None),
    ],
)
def test_what_was_measured_otherwise_is_left_out_and_named(change, key, value, words):
    found = read(change(key, value))
    fed = next(row for row in found.rows if row.method == "FED")
    if words is None:  # other cards do not know, which is no difference
        assert found.left_out == () and fed.seeds == (0, 1, 2)
        return
    assert fed.seeds == (0, 2)
    (sentence,) = found.left_out
    assert "SynthOcc / FED / seed 1: its robustness curve is left out" in sentence
    assert words in sentence


def test_cells_that_were_not_measured_are_named_where_others_were(folder):
    (folder / "SynthOcc" / "method1" / "seed1" / "robustness.json").unlink()
    found = read(folder)
    assert found.left_out == ("SynthOcc: no robustness curve of FED, seed 1",)
    assert next(row for row in found.rows if row.method == "FED").seeds == (0, 2)


def test_a_panel_per_metric_and_kind_falls_from_the_whole_query(finished_benchmark):
    found = read(finished_benchmark)
    styles = {row.method: 5 - place for place, row in enumerate(found.rows)}
    table = make_tables(read_benchmark(finished_benchmark), "SynthOcc", None)[0]
    panels = robustness_figure(found, table, styles).panels
    assert panels[0].title == "Rank-1, objects, %"
    assert len(panels) == 4 and all(panel.falling_x for panel in panels)
    curve = panels[0].curves[1]
    assert curve.style == styles["FED"] and list(curve.x) == [1.0, 0.75, 0.5]
    assert all(
        low <= y <= high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True)
    )


def test_whole_queries_stand_beside_the_areas_with_their_difference(finished_benchmark):
    baseline, fed, _ = read(finished_benchmark).rows
    files = sorted(finished_benchmark.glob("SynthOcc/method1/seed*/robustness.json"))
    curves = [json.loads(path.read_text())["per_query"] for path in files]
    expected = np.mean([curve["values"]["people"]["Rank-1"][0] for curve in curves])
    assert fed.numbers["whole, Rank-1"].value == pytest.approx(expected)
    gap = expected - baseline.numbers["whole, Rank-1"].value
    assert fed.gaps["whole, Rank-1"].value == pytest.approx(gap)
    assert fed.gaps["whole, Rank-1"].low <= gap <= fed.gaps["whole, Rank-1"].high
