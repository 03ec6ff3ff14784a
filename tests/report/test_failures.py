"""Failures: the queries that a method is worst at, and what it put first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.report.curves import bins_of, visible_of
from fed_plugin.report.failures import find_failures, find_images, visible_shares
from fed_plugin.report.tables import make_tables, read_benchmark
from fed_plugin.retrieval.feature_dump import FeatureDump


def table_of(folder):
    return make_tables(read_benchmark(folder), "SynthOcc", None)[0]


@pytest.fixture
def with_images(images, monkeypatch):
    monkeypatch.setenv("FASTREID_DATASETS", str(images))


def test_the_best_methods_worst_queries_beside_the_baseline(finished_benchmark, with_images):
    table = table_of(finished_benchmark)
    found = find_failures(table)
    assert found.why_not == "" and found.words.endswith("Seed 0 of FED and ViT baseline.")
    queries = table.rows[1].cells[0].result.queries
    worst = np.sort(queries.average_precisions)[:4]
    precisions = dict(zip(queries.names, queries.average_precisions, strict=True))
    shown = [one.caption for one in found.worst]
    np.testing.assert_array_equal([precisions[name] for name in shown], worst)
    assert not set(shown) & {one.caption for one in found.apart}


def test_what_is_shown_first_agrees_with_the_results(finished_benchmark, with_images):
    table = table_of(finished_benchmark)
    first_hits = {
        row.method: dict(
            zip(
                row.cells[0].result.queries.names,
                row.cells[0].result.queries.first_hits.tolist(),
                strict=True,
            )
        )
        for row in table.rows[:2]
    }
    for failure in find_failures(table).apart:
        for method, shown in zip(("FED", "ViT baseline"), failure.lists, strict=True):
            rights = [place for place, one in enumerate(shown.answers) if one.right]
            hit = first_hits[method][failure.caption]
            assert f"first right answer at rank {hit + 1}" in shown.title
            assert rights[:1] == ([hit] if hit < 8 else [])
            assert len(shown.answers) == 8 and all(one.path.is_file() for one in shown.answers)


def test_without_images_or_dumps_a_sentence_says_so(folder, images, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTREID_DATASETS", str(tmp_path / "nowhere"))
    assert "its images are not there" in find_failures(table_of(folder)).why_not
    assert visible_shares("SynthOcc") == {}
    monkeypatch.setenv("FASTREID_DATASETS", str(images))
    for path in folder.rglob("dump.npz"):
        path.unlink()
    assert "no cell has a dump.npz" in find_failures(table_of(folder)).why_not
    assert "is not known" in find_images("Elsewhere")


@pytest.mark.parametrize("damage", ["cut off", "of another set"])
def test_a_dump_that_says_nothing_of_the_queries_is_left_out(damage, folder, with_images):
    for path in folder.rglob("dump.npz"):
        dump = FeatureDump.load(path)
        if damage == "cut off":
            path.write_bytes(path.read_bytes()[:300])
        else:
            replace(dump, names=np.char.add("other_", dump.names)).save(path)
    table = table_of(folder)
    assert "dump.npz cannot be read, or is not of these queries" in find_failures(table).why_not
    assert not visible_of(table, visible_shares("SynthOcc")).estimates


def test_a_baselines_dump_that_is_damaged_leaves_the_other_methods_lists(folder, with_images):
    (folder / "SynthOcc" / "method0" / "seed0" / "dump.npz").write_bytes(b"PK")
    found = find_failures(table_of(folder))
    assert found.words.endswith("Seed 0 of FED.") and not found.apart
    assert [len(one.lists) for one in found.worst] == [1] * 4


def test_another_drawing_of_the_set_says_nothing_of_these_queries(finished_benchmark, with_images):
    table = table_of(finished_benchmark)
    others = {f"other_{name}": row for name, row in visible_shares("SynthOcc").items()}
    with pytest.raises(ValueError, match="have no visible share"):
        visible_of(table, others)


def test_images_of_other_names_are_no_images(folder, images, monkeypatch, tmp_path):
    other = tmp_path / "other" / "SynthOcc"
    for split in ("query", "bounding_box_test", "bounding_box_train"):
        (other / split).mkdir(parents=True)
        picture = next((images / "SynthOcc" / split).iterdir())
        (other / split / "0999_c1s1_000000_00.png").write_bytes(picture.read_bytes())
    monkeypatch.setenv("FASTREID_DATASETS", str(other.parent))
    assert "is not among the data set's images" in find_failures(table_of(folder)).why_not


def test_results_by_visible_share_are_means_over_seeds(finished_benchmark, with_images):
    table = table_of(finished_benchmark)
    shares = {name: found[0] for name, found in visible_shares("SynthOcc").items()}
    bins = bins_of(table, shares)
    assert sum(one.count for one in bins) == 16
    assert bins[0].words == "0 to 40 % (8)"
    within = [name for name, share in shares.items() if share < 0.4]
    values = []
    for cell in table.rows[1].cells:
        queries = cell.result.queries
        places = [queries.names.index(name) for name in within]
        values.append(queries.percentages("mAP")[places].mean())
    one = bins[0].values["FED", "mAP"]
    assert (one.value, one.lowest, one.highest) == pytest.approx(
        (np.mean(values), min(values), max(values))
    )
    with pytest.raises(ValueError, match="have no visible share"):
        bins_of(table, {})


def test_estimated_visibility_is_compared_with_what_can_be_seen(finished_benchmark, with_images):
    found = visible_of(table_of(finished_benchmark), visible_shares("SynthOcc")).estimates
    assert found.keys() == {"FED"}  # the others estimate nothing
    one = found["FED"]
    assert (one.value, one.lowest, one.highest) == pytest.approx((1, 1, 1))
