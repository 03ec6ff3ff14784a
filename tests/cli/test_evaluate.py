from __future__ import annotations

import json

import numpy as np
import pytest

from fed_plugin.cli import main
from fed_plugin.retrieval.evaluation import compare_results, evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import holm_adjusted
from fed_plugin.retrieval.result import Result


@pytest.fixture
def write_dump(tmp_path):
    """Write a dump of 10 queries and 30 gallery images with noise of some size; return its path."""

    def write(name, noise=1.0, about=None, **arrays):
        rng = np.random.default_rng(0)
        pids = np.r_[np.arange(10), np.repeat(np.arange(10), 3)]
        people = np.eye(10, dtype=np.float32)[pids]
        path = tmp_path / f"{name}.npz"
        FeatureDump(
            **{
                "features": people + noise * rng.normal(size=people.shape).astype(np.float32),
                "pids": pids,
                "camids": np.r_[np.zeros(10, int), np.tile([0, 1, 2], 10)],
                "split": np.array(["query"] * 10 + ["gallery"] * 30),
                "names": np.array([f"{n}.jpg" for n in range(40)]),
                **arrays,
            },
            about=about or {},
        ).save(path)
        return path

    return write


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_dump_is_scored_with_intervals(write_dump, capsys):
    path = write_dump("mine")
    assert main(["evaluate", str(path)]) == 0
    header, _, row, note = capsys.readouterr().out.splitlines()[:4]
    assert cells(header) == ["method", "queries", "Rank-1", "Rank-5", "Rank-10", "mAP", "mINP"]
    metric = evaluate_dump(FeatureDump.load(path)).metrics["mAP"]
    assert cells(row)[:2] == ["mine", "10"]
    assert cells(row)[5] == f"{metric.value:.1f} [{metric.low:.1f}, {metric.high:.1f}]"
    assert note == "95 % intervals: bootstrap over the queries"


def test_the_json_holds_what_was_measured_and_the_card(write_dump, tmp_path, capsys):
    path = write_dump("mine", about={"method": "ours", "dataset": "Market1501"})
    words = ["--json", str(tmp_path / "result.json"), "--distance", "euclidean"]
    assert main(["evaluate", str(path), *words]) == 0
    result = Result.load(tmp_path / "result.json")
    expected = evaluate_dump(FeatureDump.load(path), distance="euclidean")
    assert result.method == "ours" and result.metrics == expected.metrics
    assert result.card["distance"] == "euclidean" and result.card["dataset"] == "Market1501"
    assert result.card["query"]["images"] == 10


def test_several_dumps_are_compared_query_by_query(write_dump, tmp_path, capsys):
    paths = [write_dump("plain"), write_dump("better", noise=0.1)]
    names = ["--method", "A", "--method", "B"]
    words = [*map(str, paths), *names, "--compare", "--json", str(tmp_path / "all.json")]
    assert main(["evaluate", *words]) == 0
    a, b = map(Result.from_json, json.loads((tmp_path / "all.json").read_text()))
    assert (a.method, b.method) == ("A", "B")
    lines = capsys.readouterr().out.splitlines()
    place = lines.index(
        "minus A, in points, with 95 % intervals over the queries; * an interval without zero and "
        "p < 0.05; p: sign flips"
    )
    method, *_, difference, _ = cells(lines[place + 3])
    metric = compare_results(b, a)["mAP"]
    ends = f"[{metric.low:+.1f}, {metric.high:+.1f}]"
    assert method == "B" and metric.low > 0 and metric.p < 0.05
    assert difference == f"{metric.value:+.1f} {ends} * p = {metric.p:.3f}"


def test_p_values_of_several_rows_are_corrected_and_that_is_said(write_dump, capsys):
    noises = {"plain": 1.0, "better": 0.1, "little better": 0.9, "much better": 0.5}
    paths = [str(write_dump(name, noise)) for name, noise in noises.items()]
    assert main(["evaluate", *paths, "--compare"]) == 0
    head, *rows = capsys.readouterr().out.split("minus plain, ")[1].splitlines()
    assert head.endswith("p: sign flips, corrected for the 3 rows of a column (Holm)")
    plain, *others = (evaluate_dump(FeatureDump.load(path)) for path in paths)
    found = [compare_results(one, plain)["mAP"].p for one in others]
    p_values = [cells(row)[4].split(" p = ")[1] for row in rows[2:]]
    assert p_values == [f"{value:.3f}" for value in holm_adjusted(found)]


def test_identities_are_drawn_where_that_is_asked_for(write_dump, tmp_path, capsys):
    twice = np.r_[np.arange(10) // 2, np.repeat(np.arange(10), 3)]
    paths = [str(write_dump("plain", pids=twice)), str(write_dump("b", noise=0.1, pids=twice))]
    words = ["--compare", "--groups", "identity", "--json", str(tmp_path / "all.json")]
    assert main(["evaluate", *paths, *words]) == 0
    output = capsys.readouterr().out
    assert "\n95 % intervals: bootstrap over the queries' identities\n" in output
    assert "over the queries' identities; * an" in output and "flips of whole identities" in output
    a, b = map(Result.from_json, json.loads((tmp_path / "all.json").read_text()))
    assert a.groups == "identity"
    metric = compare_results(b, a, groups="identity")["mAP"]
    assert f"{metric.value:+.1f} [{metric.low:+.1f}, {metric.high:+.1f}]" in output
    assert metric != compare_results(b, a)["mAP"]


def test_results_are_compared_without_their_dumps(write_dump, tmp_path, capsys):
    dumps = [str(write_dump("plain")), str(write_dump("better", noise=0.1))]
    results = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    for dump, result in zip(dumps, results, strict=True):
        assert main(["evaluate", dump, "--json", result]) == 0
    capsys.readouterr()
    outputs = []
    for files in (dumps, results):
        assert main(["evaluate", *files, "--compare", "--groups", "identity"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert main(["evaluate", *results, "--distance", "euclidean"]) == 1
    assert "a.json: --distance euclidean: a result is ranked already" in capsys.readouterr().err
    content = json.loads((tmp_path / "b.json").read_text())
    content["card"]["gallery"]["list_sha256"] = "0" * 64
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert main(["evaluate", *results]) == 1
    assert "b.json: does not compare with" in capsys.readouterr().err


def test_an_older_result_is_not_grouped_by_identities_it_does_not_say(write_dump, tmp_path, capsys):
    path = tmp_path / "a.json"
    assert main(["evaluate", str(write_dump("plain")), "--json", str(path)]) == 0
    content = json.loads(path.read_text())
    del content["queries"]["pids"]
    path.write_text(json.dumps(content))
    assert main(["evaluate", str(path)]) == 0
    assert main(["evaluate", str(path), "--groups", "identity"]) == 1
    assert "a.json: the result does not hold the queries' identities" in capsys.readouterr().err


def test_rates_at_one_threshold_have_a_table_and_missing_ones_a_reason(write_dump, capsys):
    paths = [str(write_dump("mine")), str(write_dump("other", noise=0.5))]
    assert main(["evaluate", *paths]) == 0
    _, rates, notes = capsys.readouterr().out.strip().split("\n\n")
    header, _, row, _, note = rates.splitlines()
    assert cells(header) == ["one threshold", "TPR@FPR=1e-2"]
    metric = evaluate_dump(FeatureDump.load(paths[0])).metrics["TPR@FPR=1e-2"]
    assert cells(row) == ["mine", f"{metric.value:.1f} [{metric.low:.1f}, {metric.high:.1f}]"]
    assert note == "95 % intervals: bootstrap over the queries' identities"
    assert "no TPR@FPR=1e-3: 270 wrong pairs: expected at least 1000" in notes.splitlines()
    assert "no DIR@FAR=1e-1: 5 queries of identities that left the gallery: expected" in notes


def test_what_only_one_file_says_is_not_compared_and_that_is_said(write_dump, capsys):
    card = {"format": "fed_plugin.card/1", "input_size": [256, 128], "dataset": "Market1501"}
    paths = [
        write_dump("a", about={"card": card}),
        write_dump("b", about={"dataset": "Market1501"}),
    ]
    assert main(["evaluate", *map(str, paths)]) == 0
    notes = [
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("not compared, as not every file has them: ")
    ]
    assert "input_size" in notes[0] and "dataset" not in notes[0]


def test_dumps_that_name_the_same_queries_otherwise_are_not_compared(write_dump, capsys):
    names = np.array([f"folder/{n}.jpg" for n in range(40)])
    paths = [str(write_dump("a")), str(write_dump("b", names=names))]
    assert main(["evaluate", *paths, "--compare"]) == 1
    output = capsys.readouterr()
    assert "expected the same queries" in output.err and output.out == ""


def test_methods_of_one_name_are_numbered(write_dump, capsys):
    paths = [str(write_dump(name, about={"method": "mine"})) for name in ("a", "b")]
    assert main(["evaluate", *paths]) == 0
    assert [cells(line)[0] for line in capsys.readouterr().out.splitlines()[2:4]] == [
        "mine (1)",
        "mine (2)",
    ]


def test_queries_that_are_left_out_are_counted(write_dump, capsys):
    pids = np.r_[np.arange(7), [70, 80, 90], np.repeat(np.arange(10), 3)]
    assert main(["evaluate", str(write_dump("mine", pids=pids))]) == 0
    assert "mine.npz: 3 queries have no right answer in the gallery" in capsys.readouterr().out


def test_dumps_of_different_protocols_stand_in_no_table(write_dump, tmp_path, capsys):
    names = np.array([f"{n}.jpg" for n in range(39)] + ["other.jpg"])
    card = {"format": "fed_plugin.card/1", "input_size": [256, 128]}
    large = {**card, "input_size": [384, 128]}
    for pair, field in (
        ((write_dump("a"), write_dump("b", names=names)), "gallery.list_sha256 is"),
        (
            (write_dump("c", about={"card": card}), write_dump("d", about={"card": large})),
            "input_size is 384 x 128, not 256 x 128 (larger images show more)",
        ),
    ):
        words = [*map(str, pair), "--json", str(tmp_path / "all.json")]
        assert main(["evaluate", *words]) == 1
        output = capsys.readouterr()
        assert f"error: {pair[1]}: does not compare with {pair[0]}: " in output.err
        assert field in output.err and output.out == ""
    assert not (tmp_path / "all.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compare"], "--compare: expected two files or more, got one"),
        (["--method", "a", "--method", "b"], "--method: expected a name per file, 1, got 2"),
        (["--json", "gone/result.json"], "expected a file in an existing folder"),
        (["gone.npz"], "gone.npz: no such file; expected a feature dump"),
    ],
)
def test_words_that_cannot_work_are_refused_in_a_sentence(
    write_dump, tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(write_dump("mine")), *words]) == 1
    output = capsys.readouterr()
    assert message in output.err and "Traceback" not in output.err and output.out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"noise", "bad.npz: not a feature dump that can be read"),
        (None, "bad.npz: not a feature dump that can be read"),
    ],
)
def test_a_broken_file_is_named_with_status_1(write_dump, tmp_path, capsys, content, message):
    whole = write_dump("mine").read_bytes()
    (tmp_path / "bad.npz").write_bytes(content or whole[: len(whole) // 2])
    assert main(["evaluate", str(tmp_path / "bad.npz")]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_no_right_answer_names_the_file(write_dump, capsys):
    path = write_dump("mine", camids=np.zeros(40, int))
    assert main(["evaluate", str(path)]) == 1
    assert f"error: {path}: all query identities do not appear" in capsys.readouterr().err
