"""A small FED training on SynthOcc that stops where it is told to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fastreid.engine import DefaultTrainer, default_setup


class Stopped(BaseException):
    """As a kill: no handler of errors sees it."""


@pytest.fixture
def run(tiny_cfg, on_synthocc, tmp_path):
    """Train in a folder: ``run(name, *overrides, resume=False, stop=None)`` -> trainer.

    ``stop(trainer)`` is called before every step, and raises :class:`Stopped` where it will.
    """

    def make(name, *overrides, resume=False, stop=None):
        torch.set_num_threads(1)
        settings = ("MODEL.HEADS.NUM_CLASSES", 0, "SEED", 7, "OUTPUT_DIR", str(tmp_path / name))
        draws = ("MODEL.FED.VIT.NUM_LAYERS", 2, "MODEL.BACKBONE.DROP_PATH_RATIO", 0.2)
        cfg = tiny_cfg(*settings, *draws, *overrides)
        default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
        trainer = DefaultTrainer(cfg)
        trainer.resume_or_load(resume=resume)
        stock = trainer.run_step

        def run_step():
            if stop is not None:
                stop(trainer)
            stock()

        trainer.run_step = run_step
        try:
            trainer.train()
        except Stopped:
            trainer.data_loader.shutdown()
        return trainer

    return make


@pytest.fixture
def stop_at():
    """Return a function that stops a run before an iteration."""

    def make(iteration):
        def stop(trainer):
            if trainer.iter == iteration:
                raise Stopped

        return stop

    return make


@pytest.fixture
def saved():
    """Return a function that loads a checkpoint's values by name, nested names joined by dots."""

    def flat(prefix, value):
        if isinstance(value, dict):
            for key, item in value.items():
                yield from flat(f"{prefix}.{key}", item)
        elif isinstance(value, (list, tuple)) and len(value) < 50:
            for place, item in enumerate(value):
                yield from flat(f"{prefix}.{place}", item)
        else:
            yield prefix, value.tolist() if torch.is_tensor(value) else value

    def load(trainer, name="model_final"):
        path = Path(trainer.cfg.OUTPUT_DIR) / f"{name}.pth"
        return dict(flat("", torch.load(path, weights_only=True)))

    return load
