"""A traceback of a stock training holds one frame of this project between two of the host's."""

from __future__ import annotations

import traceback
from pathlib import Path

import fastreid
import pytest
import torch
from fastreid.data import build
from fastreid.engine import DefaultTrainer
from fastreid.evaluation import ReidEvaluator

import fed_plugin

HOST, OURS = (str(Path(package.__file__).parent) for package in (fastreid, fed_plugin))


def most_of_ours_between_two_of_the_host(error):
    """Count frames of this project between two of the host's, in an error and in its causes."""
    most = 0
    while error is not None:
        since_host = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            path = frame.f_code.co_filename
            if path.startswith(HOST):
                most = max(most, since_host or 0)
                since_host = 0
            elif path.startswith(OURS) and since_host is not None:
                since_host += 1
        error = error.__cause__ or error.__context__
    return most


class BrokenError(Exception):
    """What the tests break a training with."""


def fail(*args, **kwargs):
    raise BrokenError("broken on purpose")


def train(cfg):
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=True)
    trainer.train()


def host_frames(error):
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return sum(path.startswith(HOST) for path in frames)


def caught(cfg):
    with pytest.raises((BrokenError, RuntimeError, ValueError)) as info:
        train(cfg)
    assert host_frames(info.value) > 2
    return info.value


@pytest.mark.parametrize("what", ["transform", "read", "forward", "evaluation", "flip test"])
def test_an_error_within_a_stock_training(market_root, tiny_cfg, monkeypatch, what):
    cfg = tiny_cfg(**{"DATASETS.TESTS": ("Market1501",), "TEST.FLIP.ENABLED": True})
    if what == "transform":
        monkeypatch.setattr("fastreid.data.transforms.transforms.ToTensor.__call__", fail)
    elif what == "read":
        monkeypatch.setattr("PIL.Image.open", fail)
    elif what == "forward":
        monkeypatch.setattr("fastreid.modeling.meta_arch.Baseline.losses", fail)
    elif what == "evaluation":
        monkeypatch.setattr(ReidEvaluator, "evaluate", fail)
    else:
        monkeypatch.setattr(ReidEvaluator, "process", fail)
    assert most_of_ours_between_two_of_the_host(caught(cfg)) == 1


@pytest.mark.parametrize("name", ["build_transforms", "DataLoaderX", "CommDataset"])
def test_an_error_while_a_stock_trainer_is_built(market_root, tiny_cfg, monkeypatch, name):
    monkeypatch.setattr(build, name, fail)
    assert most_of_ours_between_two_of_the_host(caught(tiny_cfg())) == 1


def test_an_error_in_the_evaluation_of_a_finished_run_and_in_a_resume(
    market_root, tiny_cfg, monkeypatch
):
    cfg = tiny_cfg(**{"DATASETS.TESTS": ("Market1501",), "SOLVER.MAX_EPOCH": 2})
    train(cfg)
    with monkeypatch.context() as patch:
        patch.setattr(ReidEvaluator, "evaluate", fail)
        assert most_of_ours_between_two_of_the_host(caught(cfg)) == 1
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fail)
    assert most_of_ours_between_two_of_the_host(caught(cfg)) == 1


def test_two_frames_would_be_counted():
    call = fail
    for path in (f"{HOST}/a.py", f"{OURS}/b.py", f"{OURS}/c.py", f"{HOST}/d.py"):
        names = {"inner": call}
        exec(compile("def call():\n    inner()\n", path, "exec"), names)
        call = names["call"]
    with pytest.raises(BrokenError) as info:
        call()
    assert most_of_ours_between_two_of_the_host(info.value) == 2
