"""Cells are run once each, some at a time; a failure is written down and fatal to nobody else."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from fed_plugin.benchmark.cells import look
from fed_plugin.benchmark.runner import run_plan

FINISH = "finish()"
FAIL_B = """
if folder.parent.name == "B" and not (out / "mended").exists():
    print("error: B needs mending")
    sys.exit(1)
finish()
"""


def test_every_cell_is_run_once_and_a_second_call_runs_none(plan, make_cell, fake, runs, capsys):
    cells = [make_cell(method, seed) for seed in (0, 1) for method in "AB"]
    assert run_plan(plan, cells, command=fake(FINISH)) == 0
    assert runs() == ["A/seed0", "B/seed0", "A/seed1", "B/seed1"]
    assert run_plan(plan, cells, command=fake("raise SystemExit(3)")) == 0
    assert len(runs()) == 4
    table = capsys.readouterr().out
    assert "| A        | 2/2     | 15.0 (10.0 to 20.0) [" in table
    joined = json.loads((plan.out / "results.json").read_text())
    cell = joined["cells"][0]
    assert cell["machine"].endswith("cores") or "cores, " in cell["machine"]
    assert datetime.fromisoformat(cell["ended"]).tzinfo is not None
    assert [(row["method"], row["seed"]) for row in joined["cells"]] == [
        (cell.method, cell.seed) for cell in cells
    ]
    assert joined["cells"][3]["result"]["metrics"]["mAP"]["value"] == 20.0


def test_results_are_joined_though_nobody_reads_the_table(plan, make_cell, fake, monkeypatch):
    cells = [make_cell(method) for method in "AB"]
    run_plan(plan, cells, command=fake(FINISH))

    def closed(*_, **__):
        raise BrokenPipeError("as of `| head -3`")

    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        run_plan(plan, cells[:1], command=fake(FINISH))
    joined = json.loads((plan.out / "results.json").read_text())
    assert [row["method"] for row in joined["cells"]] == ["A"]


def test_a_failure_is_recorded_and_the_rest_goes_on(plan, make_cell, fake, runs, capsys):
    cells = [make_cell(method) for method in "ABC"]
    assert run_plan(plan, cells, command=fake(FAIL_B)) == 1
    assert runs() == ["A/seed0", "B/seed0", "C/seed0"]
    output = capsys.readouterr()
    assert "| Set / B / seed 0 | B needs mending |" in output.out
    assert "2/3 cells, 1 failed" in output.err
    failure = json.loads((cells[1].folder / "failed.json").read_text())
    assert failure["exit_status"] == 1 and failure["error"] == "B needs mending"
    assert failure["log"] == str(cells[1].folder / "train.log")

    (plan.out / "mended").touch()
    assert run_plan(plan, cells, command=fake(FAIL_B)) == 0
    assert runs()[3:] == ["B/seed0"]
    assert not (cells[1].folder / "failed.json").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL (memory?); last lines: the log is empty"),
        (
            "print('so far'); sys.stdout.flush(); os.abort()",
            "killed by SIGABRT; last lines: so far",
        ),
        ("print('a\\nb\\nc\\nd'); sys.exit(2)", "b / c / d"),
        (
            "print('error: no x\\nexpected:\\n  a/\\ntry: b\\n(FED_PLUGIN_DEBUG=1 ...)'); exit(1)",
            "no x\nexpected:\n  a/\ntry: b",
        ),
        ("print('a'); raise TypeError('a bug')", "TypeError: a bug"),
        ("print('hm')", "ended with status 0 but wrote no result.json; last lines: hm"),
        ("(folder / 'result.json').write_text(result[:50])", "ended with status 0 but wrote no"),
    ],
)
def test_a_cell_that_dies_leaves_its_last_words(
    plan, make_cell, fake, runs, script, message, capsys
):
    cell = make_cell()
    assert run_plan(plan, [cell], command=fake(script)) == 1
    error = json.loads((cell.folder / "failed.json").read_text())["error"]
    assert error.startswith(message)
    first = message.partition("\n")[0]
    assert look(cell).kind == "failed"
    table = capsys.readouterr().out
    assert f"| Set / A / seed 0 | {first}" in table
    assert run_plan(plan, [cell], command=fake(FINISH)) == 0
    assert len(runs()) == 2


def test_a_result_counts_even_if_the_process_ends_badly_after_it(plan, make_cell, fake):
    assert run_plan(plan, [make_cell()], command=fake("finish(); sys.exit(1)")) == 0


def test_two_jobs_run_at_a_time(plan, make_cell, fake):
    meet = """
(folder / "here").touch()
give_up = time.time() + 30
while len(list(out.glob("*/*/*/here"))) < 2 and time.time() < give_up:
    time.sleep(0.02)
if time.time() < give_up:
    finish()
"""
    cells = [make_cell(seed=seed) for seed in range(2)]
    assert run_plan(plan, cells, jobs=2, command=fake(meet)) == 0


def test_one_job_runs_alone(plan, make_cell, fake, runs):
    alone = """
busy = out / "busy"
os.close(os.open(busy, os.O_CREAT | os.O_EXCL))
time.sleep(0.1)
busy.unlink()
finish()
"""
    cells = [make_cell(seed=seed) for seed in range(3)]
    assert run_plan(plan, cells, jobs=1, command=fake(alone)) == 0


def test_what_a_cell_leaves_running_is_ended(plan, make_cell, fake):
    script = """
import subprocess
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(out / "worker").write_text(str(worker.pid))
finish()
"""
    assert run_plan(plan, [make_cell()], command=fake(script)) == 0
    assert is_gone(int((plan.out / "worker").read_text()))


def test_a_changed_plan_is_refused_by_name_and_nothing_runs(plan, make_cell, fake, runs):
    run_plan(plan, [make_cell()], command=fake(FINISH))
    cells = [make_cell(**{"SOLVER.MAX_EPOCH": 3}), make_cell("B")]
    with pytest.raises(ValueError) as refused:
        run_plan(plan, cells, command=fake(FINISH))
    message = str(refused.value)
    assert "Set / A / seed 0: SOLVER.MAX_EPOCH was 2, the plan says 3" in message
    assert "--out" in message and str(cells[0].folder) in message
    assert runs() == ["A/seed0"]


def test_finished_cells_of_other_methods_are_joined(plan, make_cell, fake, capsys):
    run_plan(plan, [make_cell("A")], command=fake(FINISH))
    others = [make_cell("A"), make_cell("C")]
    run_plan(plan, [make_cell("B")], others=others, command=fake(FINISH))
    joined = json.loads((plan.out / "results.json").read_text())
    assert [row["method"] for row in joined["cells"]] == ["B", "A"]


def test_a_cell_whose_folder_is_somebody_elses_fails_alone(plan, make_cell, fake):
    cells = [make_cell("A"), make_cell("B")]
    cells[0].folder.mkdir(parents=True)
    (cells[0].folder / "thesis.tex").write_text("mine")
    assert run_plan(plan, cells, command=fake(FINISH)) == 1
    assert (cells[0].folder / "thesis.tex").exists()
    assert (cells[1].folder / "result.json").exists()


def is_gone(pid):
    """Is this process no more, or a zombie that nobody of ours has to wait for?"""
    import time
    from pathlib import Path

    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False
