"""A folder that holds another run: one sentence where it cannot go on, a warning where it may."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from fastreid.engine import DefaultTrainer
from torch.optim import AdamW

from fed_plugin.fastreid_adapter.resuming.run_state import forget_lines_from
from fed_plugin.fastreid_adapter.training import _can_fuse


@pytest.fixture
def said(caplog):
    """Catch what resuming logs, whatever the host does to its loggers."""
    loggers = [logging.getLogger(n) for n in ("fastreid.compat", "fastreid.fed_plugin.resuming")]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    yield caplog
    for logger in loggers:
        logger.removeHandler(caplog.handler)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("SOLVER.OPT", "SGD"), "its optimizer has no dampening, which SGD needs"),
        (("MODEL.FED.FDM.ENABLED", False), r"its exp_avg\w* is of \d+ weights, here are \d+"),
        (("MODEL.FED.VIT.NUM_LAYERS", 3), "12 of its weights are missing"),
    ],
)
def test_another_config_is_refused_with_the_checkpoint_s_name(run, stop_at, words, why):
    run("parts", stop=stop_at(9))
    refused = r"model_0000\.pth: not of a run with this config: .*"
    with pytest.raises(ValueError, match=refused + why):
        run("parts", *words, resume=True)


@pytest.mark.parametrize("fused", [True, False])
def test_a_resumed_run_fuses_as_its_config_says(run, stop_at, fused):
    def has_fused(trainer):
        return {bool(group.get("fused")) for group in trainer.optimizer.param_groups}

    begun = run("parts", "SOLVER.FUSED", not fused, stop=stop_at(9))
    resumed = run("parts", "SOLVER.FUSED", fused, resume=True)
    can = _can_fuse(AdamW, "cpu")
    assert (has_fused(begun), has_fused(resumed)) == ({not fused and can}, {fused and can})


def test_more_epochs_of_a_cosine_schedule_are_warned_of(run, said):
    run("parts")
    run("parts", resume=True)
    assert "CosineAnnealingLR goes on as it began" not in said.text
    run("parts", "SOLVER.MAX_EPOCH", 3, resume=True)
    assert "over 1 epochs after the warm-up, not the 2 of this config" in said.text


def test_a_fresh_run_in_the_folder_of_another_says_what_resume_would_take(run, stop_at, said):
    run("parts", stop=stop_at(9))
    assert "holds an earlier run" not in said.text
    run("parts", resume=True)
    assert "holds an earlier run" not in said.text
    run("parts", stop=stop_at(0))
    assert "holds an earlier run" in said.text


def test_a_newest_name_that_is_no_text_is_passed_over(run, stop_at, said):
    stopped = run("parts", stop=stop_at(9))
    (Path(stopped.cfg.OUTPUT_DIR) / "last_checkpoint").write_bytes(b"\xff\xfe\x00")
    assert run("parts", resume=True).start_iter == 8
    assert "last_checkpoint: not resumed from: not whole, or no checkpoint" in said.text


def test_lines_of_an_earlier_run_stay_in_the_metrics(run, stop_at):
    folder = Path(run("parts").cfg.OUTPUT_DIR)
    earlier = (folder / "metrics.json").read_text()
    fresh = run("parts", stop=stop_at(9))
    assert (folder / "metrics.json").read_text() != earlier
    (folder / "metrics.json").open("a").write('{"iteration": 8, "half')
    written = (folder / "metrics.json").read_text().splitlines(keepends=True)
    forget_lines_from(8, fresh)
    assert (folder / "metrics.json").read_text() == "".join(written[:-1])
    assert [json.loads(line)["iteration"] for line in written[:-1]] == [7, 15, 7]


def test_a_trainer_that_builds_itself_otherwise_resumes_as_fast_reid_does(run, stop_at):
    stopped = run("parts", stop=stop_at(9))
    other = DefaultTrainer.__new__(DefaultTrainer)
    other.__dict__.update({k: v for k, v in vars(stopped).items() if k != "run_state"})
    del other.checkpointer.checkpointables["run_state"]
    other.resume_or_load(resume=True)
    assert other.start_epoch == 1


def test_ranks_that_read_different_checkpoints_are_refused(monkeypatch):
    from fastreid.utils import comm

    from fed_plugin.fastreid_adapter.resuming.run_state import check_all_ranks_resume

    found = []
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    monkeypatch.setattr(comm, "all_gather", lambda path: [path, found[-1]])
    for other in ("/mnt/there/model_final.pth", ""):
        found.append(other)
        check_all_ranks_resume("/mnt/here/model_final.pth" if other else "")
        with pytest.raises(ValueError, match=r"rank 0: model_0001\.pth, rank 1: (model|none)"):
            check_all_ranks_resume("/mnt/here/model_0001.pth")
