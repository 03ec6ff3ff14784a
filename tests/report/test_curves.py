"""CMC and training curves are those of the files."""

from __future__ import annotations

import json

import pytest

from fed_plugin.report.curves import (
    banded_figure,
    cmc,
    cmc_figure,
    read_training,
    training_figures,
    training_panels,
)
from fed_plugin.report.tables import make_tables
from fed_plugin.visualization.lines import Curve, Panel, styles_of


@pytest.fixture
def table(benchmark):
    return make_tables(benchmark, "SynthOcc", None)[0]


def test_a_cmc_goes_through_the_ranks_of_the_table(table):
    for row in table.rows:
        curve = cmc(row)
        for k in (1, 5):
            assert curve[k - 1] == pytest.approx(row.numbers[f"Rank-{k}"].mean)
        assert (curve[1:] >= curve[:-1]).all()


def test_a_figure_has_a_legend_entry_per_method(table, hostile):
    styles = styles_of(row.method for row in table.rows)
    figure = cmc_figure(table, styles)
    assert dict(map(reversed, figure.legend)) == styles
    assert styles.keys() == {"ViT baseline", "FED", hostile}


def test_training_is_a_line_per_seed_and_ends_where_the_file_breaks_off(table):
    first, rest = training_figures(table, styles_of(row.method for row in table.rows))
    assert [panel.title for panel in first.panels] == ["total loss", "learning rate"]
    assert [panel.title for panel in rest.panels] == ["loss id erased", "loss visibility occluded"]
    assert len(first.panels[0].curves) == 8 and len(rest.panels[0].curves) == 3
    assert list(first.panels[0].curves[0].x) == [10, 20, 30, 40, 50, 60]


def test_a_resumed_trainings_last_word_counts(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [(9, 3.0), (19, float("nan")), (19, 2.0), (9, 1.0)]
    entries = [{"iteration": i, "total_loss": loss, "loss_words": "x"} for i, loss in lines]
    path.write_text("\n".join([json.dumps(entry) for entry in entries] + ["[]", "{}", "5"]))
    assert read_training(path) == {"total_loss": [(10, 1.0), (20, 2.0)]}


LOG = """[12/01] INFO:  epoch/iter: 0/1
| Dataset   | Rank-1   | Rank-5   | mAP   |
|:----------|:---------|:---------|:------|
| SynthOcc  | 11.00    | 33.33    | 17.86 |
[12/01] INFO:  epoch/iter: 1/3
| Dataset   | Rank-1   | Rank-5   | mAP   |
|:----------|:---------|:---------|:------|
| SynthOcc  | 22.00    | 33.33    | 18.86 |
"""
ENDED = "[12/01] fastreid.engine.hooks INFO: Overall training speed: 2 iterations\n"


def test_accuracy_is_read_from_the_metrics_and_at_the_end_from_the_log(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [{"iteration": 1, "total_loss": 2.0, "Rank-1": 11.0, "mAP": 17.86, "Rank-5": 3.0}]
    lines += [{"iteration": 3, "total_loss": 1.0}]  # the host writes no line for the last one
    path.write_text("\n".join(map(json.dumps, lines)))
    log = tmp_path / "log.txt"
    log.write_text(LOG)
    assert read_training(path)["Rank-1"] == [(2, 11.0)]  # a training that was killed
    later = LOG.replace("22.00", "99.00")  # an evaluation of a checkpoint, in the same folder
    log.write_text(LOG + ENDED + later)
    read = read_training(path)
    assert read["Rank-1"] == [(2, 11.0), (4, 22.0)] and read["mAP"] == [(2, 17.86), (4, 18.86)]
    assert read.keys() == {"total_loss", "Rank-1", "mAP"}
    two = LOG.replace(
        "| SynthOcc  | 22.00 ", "| Market    | 33.00    | 1 | 2 |\n| SynthOcc  | 22.00 "
    )
    log.write_text(two + ENDED)
    assert read_training(path)["Market/Rank-1"] == [(4, 33.0)]
    titles = [panel.title for panel in training_panels([("run", 0, read)])]
    assert titles == ["total loss", "Rank-1, %", "mAP, %"]


@pytest.mark.parametrize(
    ("count", "banded"), [(5, ["m0", "m1", "m2", "m3", "m4"]), (6, ["ViT baseline", "FED"])]
)
def test_of_many_methods_only_the_baseline_and_the_best_have_bands(table, count, banded):
    names = [f"m{n}" for n in range(count)]
    names = names if count == 5 else ["ViT baseline", "FED", *names]
    curves = [Curve(name, n, [0, 1], [2, 2], [1, 1], [3, 3]) for n, name in enumerate(names)]
    figure = banded_figure([Panel("t", "x", curves)], table, "What is drawn.")
    assert [curve.label for curve in figure.panels[0].curves if curve.low] == banded
    assert len(figure.panels[0].curves) == len(names)
    assert ("only ViT baseline and FED have bands" in figure.caption) == (count == 6)
