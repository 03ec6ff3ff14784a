"""What is left when a run stops between its last step and its last checkpoint."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from fastreid.engine import DefaultTrainer

LAST_ONLY = ("SOLVER.CHECKPOINT_PERIOD", 2, "TEST.EVAL_PERIOD", 2, "SOLVER.CHECKPOINT_ITERS", 5)


@pytest.fixture
def evaluate(monkeypatch):
    """Let evaluations return, or raise, what is handed over, one after the other."""

    def plan(*results):
        found = iter(results)

        def test(cls, cfg, model):
            result = next(found)
            if isinstance(result, BaseException):
                raise result
            return {"metric": result}

        monkeypatch.setattr(DefaultTrainer, "test", classmethod(test))

    return plan


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("an image that is broken")])
def test_an_evaluation_that_stops_the_last_epoch_leaves_a_checkpoint(
    run, evaluate, saved, tmp_path, error
):
    evaluate(20.0)
    whole = run("whole", *LAST_ONLY)
    evaluate(error, 20.0)
    with pytest.raises(type(error)):
        run("parts", *LAST_ONLY)
    assert (tmp_path / "parts" / "last_checkpoint").read_text() == "model_iter_0000016.pth"
    parts = run("parts", *LAST_ONLY, resume=True)
    assert parts.start_iter == 16
    assert saved(whole) == saved(parts)
    assert not list((tmp_path / "parts").glob("model_iter_*"))


def test_a_run_killed_between_its_last_two_checkpoints_gets_both(
    run, evaluate, saved, stop_at, tmp_path, monkeypatch
):
    evaluate(10.0, 20.0)
    whole = run("whole")
    stock, stopped = os.replace, type("Stopped", (BaseException,), {})

    def replace(source, target):
        if Path(target).name == "model_final.pth":
            raise stopped
        stock(source, target)

    evaluate(10.0, 20.0)
    with monkeypatch.context() as patch, pytest.raises(stopped):
        patch.setattr(os, "replace", replace)
        run("parts")
    assert (tmp_path / "parts" / "last_checkpoint").read_text() == "model_best.pth"
    evaluate(20.0)
    parts = run("parts", resume=True)
    assert saved(whole) == saved(parts)
    assert saved(whole, "model_best") == saved(parts, "model_best")
    assert (tmp_path / "parts" / "last_checkpoint").read_text() == "model_final.pth"


def test_fewer_epochs_than_are_done_neither_train_nor_write(run, evaluate, tmp_path, caplog):
    evaluate(10.0, 20.0, 15.0, 15.0)
    run("parts", "SOLVER.MAX_EPOCH", 3)
    before = {p.name: p.read_bytes() for p in (tmp_path / "parts").glob("*.pth")}
    log = logging.getLogger("fastreid.engine.train_loop")
    log.addHandler(caplog.handler)
    assert run("parts", resume=True).start_epoch == 3
    log.removeHandler(caplog.handler)
    assert "Training is finished: 3 of 2 epochs" in caplog.text
    assert {p.name: p.read_bytes() for p in (tmp_path / "parts").glob("*.pth")} == before
