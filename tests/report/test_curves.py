"""CMC and training curves are those of the files."""

from __future__ import annotations

import json

import pytest

from fed_plugin.report.curves import (
    cmc,
    read_training,
    split_panels,
    styles_of,
    training_panels,
    with_few_bands,
)
from fed_plugin.report.tables import make_tables
from fed_plugin.visualization.lines import Curve, Panel


@pytest.fixture
def table(benchmark):
    return make_tables(benchmark, "SynthOcc", None)[0]


def test_a_cmc_goes_through_the_ranks_of_the_table(table):
    for row in table.rows:
        curve = cmc(row)
        for k in (1, 5):
            assert curve[k - 1] == pytest.approx(row.numbers[f"Rank-{k}"].mean)
        assert (curve[1:] >= curve[:-1]).all()


def test_training_is_a_line_per_seed_and_ends_where_the_file_breaks_off(table):
    panels = training_panels(table, styles_of([table]))
    assert [panel.title for panel in panels] == [
        *("total loss", "loss id erased", "loss visibility occluded", "learning rate")
    ]
    assert len(panels[0].curves) == 8 and len(panels[1].curves) == 3
    assert list(panels[0].curves[0].x) == [10, 20, 30, 40, 50, 60]
    shown, rest = split_panels(panels)
    assert len(shown) == len(rest) == 2


def test_a_resumed_trainings_last_word_counts(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [(9, 3.0), (19, float("nan")), (19, 2.0), (9, 1.0)]
    entries = [{"iteration": i, "total_loss": loss, "loss_words": "x"} for i, loss in lines]
    path.write_text("\n".join([json.dumps(entry) for entry in entries] + ["[]", "{}", "5"]))
    assert read_training(path) == {"total_loss": [(10, 1.0), (20, 2.0)]}


@pytest.mark.parametrize(("count", "banded"), [(5, ["m0", "m1", "m2", "m3", "m4"]), (6, ["m2"])])
def test_of_many_methods_only_some_have_bands(count, banded):
    curves = [Curve(f"m{n}", n, [0, 1], [2, 2], [1, 1], [3, 3]) for n in range(count)]
    (panel,) = with_few_bands([Panel("t", "x", curves)], ["m2"])
    assert [curve.label for curve in panel.curves if curve.low] == banded
    assert len(panel.curves) == count
