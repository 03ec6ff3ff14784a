"""A damaged checkpoint ends a resume in one sentence with its name, or is passed over."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2]))
from fuzzing import damaged, seconds_at_most

ODD = (None, True, -7, 1.5, "x", "", [], {}, ["x"], {"x": 1}, 10**30, float("inf"), float("nan"))
DEEP_PARTS = ("model", "random")


def places(value, way=()):
    """Yield the way to every part; of many alike, the first two."""
    yield way
    if isinstance(value, (dict, list, tuple)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for step, below in list(parts)[: 2 if "params" in way or "state" in way else 12]:
            if not (len(way) and way[-1] in DEEP_PARTS and len(value) > 10):
                yield from places(below, (*way, step))


def changed(value, way, new):
    if not way:
        return new
    made = list(value) if isinstance(value, (list, tuple)) else dict(value)
    made[way[0]] = changed(made[way[0]], way[1:], new)
    return tuple(made) if isinstance(value, tuple) else made


@pytest.fixture
def half(run, stop_at):
    """A trainer stopped within its second epoch, and its folder with one checkpoint."""
    trainer = run("half", "SOLVER.CHECKPOINT_ITERS", 5, stop=stop_at(13))
    folder = Path(trainer.cfg.OUTPUT_DIR)
    newest = folder / (folder / "last_checkpoint").read_text()
    for path in folder.glob("*.pth"):
        if path != newest:
            path.unlink()
    return trainer, newest


@pytest.fixture
def resumes(half):
    """Resume a trainer from the file as far as the next step; return the error's sentence."""
    trainer, path = half
    trainer.data_loader.shutdown()
    holders = [trainer.model, trainer.optimizer, *trainer.scheduler.values()]
    fresh = [copy.deepcopy(holder.state_dict()) for holder in holders]
    fresh[1]["state"] = {}

    def resume():
        for holder, state in zip(holders, fresh, strict=True):
            holder.load_state_dict(copy.deepcopy(state))
        trainer.run_state._loaded = None
        try:
            trainer.resume_or_load(resume=True)
            trainer.iter = trainer.run_state.first_iteration(trainer.start_epoch, 8)
            trainer.run_state.go_on(trainer.iter)
            for schedule in trainer.scheduler.values():
                schedule.step()
            for weights in trainer.model.parameters():
                weights.grad = torch.zeros_like(weights)
            trainer.optimizer.step()
        except ValueError as error:
            assert path.parent.name in str(error) and len(str(error)) < 1500, str(error)
            assert "\n" not in str(error)
            return str(error)
        return ""

    return resume


def test_every_part_may_be_anything(half, resumes):
    logging.disable(logging.CRITICAL)
    _, path = half
    content, refused, faults = torch.load(path, weights_only=True), [], []
    assert resumes() == ""
    ways = [way for way in places(content) if way[:1] != ("model",) or len(way) == 1]
    for number, way in enumerate(ways):
        for odd in ODD[number % 3 :: 3] if len(way) > 1 else ODD:
            torch.save(changed(content, way, odd), path)
            try:
                with seconds_at_most(20):
                    refused.append(resumes() != "")
            except Exception as error:
                faults.append(f"{way} = {odd!r}: {type(error).__name__}: {error!s:.200}")
    torch.save(content, path)
    assert not faults, "\n".join(faults)
    assert resumes() == ""
    assert len(refused) > 300 and any(refused) and not all(refused)
    logging.disable(logging.NOTSET)


def test_every_byte_may_be_wrong(half, resumes):
    logging.disable(logging.CRITICAL)
    _, path = half
    content = path.read_bytes()
    for broken in damaged(content, 40):
        path.write_bytes(broken)
        with seconds_at_most(20):
            resumes()
    path.write_bytes(content)
    assert resumes() == ""
    logging.disable(logging.NOTSET)
