"""The command writes four files that say the same numbers, and what is not there."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from fed_plugin.cli import main
from fed_plugin.report.grids import ROW_COLUMNS
from fed_plugin.retrieval.estimates import Column


@pytest.fixture
def written(folder, capsys):
    """The report's folder, and what the command printed."""
    assert main(["report", str(folder)]) == 0, capsys.readouterr().err
    return folder / "report", capsys.readouterr().out


def test_four_files_are_written_and_named(written):
    folder, said = written
    names = ["report.csv", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(str(folder / name) in said for name in names)


def test_what_is_missing_is_said(written):
    folder, said = written
    for text in (
        "failed: no memory left",
        "SynthOcc / large: seeds 1, 2, which other methods have",
    ):
        assert text in said
        assert text in " ".join((folder / "report.md").read_text().split())
        assert text in (folder / "report.html").read_text()
    assert "and more" not in said


def test_two_protocols_are_two_tables_that_say_what_differs(written, hostile):
    folder, _ = written
    first, second = json.loads((folder / "report.json").read_text())["tables"]
    assert [row["method"] for row in first["rows"]] == ["ViT baseline", "FED", hostile]
    assert [row["method"] for row in second["rows"]] == ["large"]
    why = "input_size is 256 x 128 (height x width), not 96 x 48 (height x width)"
    assert (first["apart"], second["apart"]) == ([], [why])
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text().replace("\\", "")
        assert f"Not to be compared with the first table: {why}." in text


def test_markdown_csv_and_json_say_the_same_numbers(written):
    folder, _ = written
    row = json.loads((folder / "report.json").read_text())["tables"][0]["rows"][1]
    assert row["seeds"] == [0, 1, 2]
    number, gap = row["metrics"]["mAP"], row["differences"]["mAP"]
    with (folder / "report.csv").open(newline="") as file:
        lines = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    line = lines["FED", "mAP"]
    assert float(line["mean"]) == pytest.approx(number["mean"], abs=1e-4)
    assert float(line["difference_low"]) == pytest.approx(gap["low"], abs=1e-4)
    assert line["baseline"] == "ViT baseline"
    text = (folder / "report.md").read_text()
    assert f"{number['mean']:.1f} ({number['lowest']:.1f} to {number['highest']:.1f})" in text


def test_nothing_of_a_method_or_plan_is_markup(written):
    folder, _ = written
    page, text = ((folder / name).read_text() for name in ("report.html", "report.md"))
    for raw in ("<script", "<img src=x", "<b>small"):
        assert raw not in page and raw not in text
    assert "&lt;script&gt;" in page and "&lt;script&gt;" in text


def test_one_more_column_is_in_every_file(folder):
    ROW_COLUMNS.append(Column("num_cells", "finished cells", lambda row: f"{len(row.cells)} of us"))
    try:
        assert main(["report", str(folder)]) == 0
    finally:
        ROW_COLUMNS.pop()
    report = folder / "report"
    assert "<td>3 of us</td>" in (report / "report.html").read_text()
    assert "| 3 of us " in (report / "report.md").read_text()
    with (report / "report.csv").open(newline="") as file:
        assert {row["num_cells"] for row in csv.DictReader(file)} == {
            "3 of us",
            "2 of us",
            "1 of us",
        }
    rows = json.loads((report / "report.json").read_text())["tables"][0]["rows"]
    assert [row["num_cells"] for row in rows] == ["3 of us", "3 of us", "2 of us"]


def test_a_folder_without_results_is_refused_in_a_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "results.json: no such file; expected the folder of a benchmark" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nothing", "not the results of a benchmark"),
        ('{"format": "other"}', "fed_plugin.results/1"),
        ('{"format": "fed_plugin.results/1", "plan": "p", "cells": [{}]}', "cells[0]"),
        ('{"format": "fed_plugin.results/1", "plan": "p", "cells": []}', "no cell is finished"),
        ("[" * 100_000, "not the results of a benchmark"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path, capsys):
    (tmp_path / "results.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_a_baseline_that_is_no_method_is_refused(folder, capsys):
    assert main(["report", str(folder), "--baseline", "Fed"]) == 1
    assert "--baseline Fed: no finished cell is of that method" in capsys.readouterr().err
    assert not (folder / "report").exists()


@pytest.mark.parametrize("seconds", ["soon", float("nan"), -1])
def test_a_time_that_is_none_is_refused_with_the_file(seconds, folder, capsys):
    path = folder / "results.json"
    content = json.loads(path.read_text())
    content["cells"][0]["seconds"] = seconds
    path.write_text(json.dumps(content))
    assert main(["report", str(folder)]) == 1
    assert "results.json: not the results of a benchmark" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["about", "rows", "depth"])
def test_damaged_costs_are_left_out_in_a_sentence(place, folder, capsys):
    path = folder / "costs.json"
    content = json.loads(path.read_text())
    if place == "about":
        content["about"]["load_before"] = []
    content["rows"][0]["training_ratio"]["max"] = float("nan") if place == "rows" else 3.0
    path.write_text("[" * 100_000 if place == "depth" else json.dumps(content))
    assert main(["report", str(folder)]) == 0, capsys.readouterr().err
    assert "costs: costs.json cannot be read" in capsys.readouterr().out


def test_a_damaged_side_file_is_said_and_nothing_more(
    folder, images, monkeypatch, capsys, tmp_path
):
    root = shutil.copytree(images, tmp_path / "datasets")
    (root / "SynthOcc" / "visibility.csv").write_text("name,pid\na,b\n")
    monkeypatch.setenv("FASTREID_DATASETS", str(root))
    assert main(["report", str(folder)]) == 0, capsys.readouterr().err
    assert "no results by visible share" in capsys.readouterr().out


def test_nothing_is_written_where_one_of_the_files_cannot_be(folder, capsys):
    (folder / "report" / "report.html").mkdir(parents=True)
    assert main(["report", str(folder)]) == 1
    assert "report.html: is a folder" in capsys.readouterr().err
    assert [path.name for path in (folder / "report").iterdir()] == ["report.html"]
    assert main(["report", str(folder), "--out", str(folder / "results.json")]) == 1
    assert "is no folder; expected one" in capsys.readouterr().err


def test_the_results_file_alone_is_enough(folder, tmp_path):
    (tmp_path / "alone").mkdir()
    shutil.copy(folder / "results.json", tmp_path / "alone")
    target = tmp_path / "elsewhere" / "new"
    words = ["report", str(tmp_path / "alone"), "--out", str(target), "--baseline", "FED"]
    assert main(words) == 0
    table = json.loads((target / "report.json").read_text())["tables"][0]
    assert table["baseline"] == "FED" and table["intervals_draw"] == "people"


def test_markdown_has_areas_and_costs_where_they_were_measured(written, folder):
    text = (written[0] / "report.md").read_text()
    assert (
        "area under the robustness curves" in text
        and "## Costs" in text
        and "a machine of &lt;2&gt; cores" in text
    )
    for path in (folder / "costs.json", *folder.rglob("robustness.json")):
        path.write_text("{")
    assert main(["report", str(folder)]) == 0
    text = (written[0] / "report.md").read_text().replace("\\", "")
    assert "area under the robustness curves" not in text and "## Costs" not in text
    assert "costs: costs.json cannot be read" in text
    assert "its robustness curve is left out" in text and "no robustness curves" in text


def test_further_metrics_are_in_the_table_of_numbers_and_folded_in_the_page(written):
    folder, _ = written
    with (folder / "report.csv").open(newline="") as file:
        metrics = {row["metric"] for row in csv.DictReader(file)}
    assert {"Rank-10", "TPR@FPR=1e-2"} <= metrics
    page = (folder / "report.html").read_text()
    assert "<summary>More metrics</summary>" in page and "TPR@FPR=1e-2" in page


def test_cards_and_settings_say_what_differs_and_whose_it_is(written):
    page = (written[0] / "report.html").read_text()
    assert "<code>SOLVER.MAX_EPOCH: 2</code>" in page  # of all methods
    assert "<code>MODEL.FED.NUM_PARTS: 3</code>" in page  # FED's own
    assert "<code>SEED" not in page
    assert '<th scope="row">seed</th><td>0; 1; 2</td>' in page
    assert '<th scope="row">commit</th><td>c0ffee</td>' in page


def test_a_spreadsheet_gets_no_formula(folder, capsys):
    path = folder / "results.json"
    content = json.loads(path.read_text())
    content["cells"][-1]["method"] = "=1+2"
    path.write_text(json.dumps(content))
    assert main(["report", str(folder)]) == 0
    with (folder / "report" / "report.csv").open(newline="") as file:
        methods = {row["method"] for row in csv.DictReader(file)}
    assert "'=1+2" in methods and "=1+2" not in methods


def test_results_without_a_metric_leave_a_gap(folder, capsys):
    path = folder / "results.json"
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        if cell["method"] == "ViT baseline":
            del cell["result"]["metrics"]["mAP"]
    path.write_text(json.dumps(content))
    assert main(["report", str(folder)]) == 0, capsys.readouterr().err
    report = json.loads((folder / "report" / "report.json").read_text())
    baseline, fed, _ = report["tables"][0]["rows"]
    assert "mAP" not in baseline["metrics"] and "mAP" in fed["metrics"]
    assert "mAP" not in fed["differences"] and "Rank-1" in fed["differences"]
