"""A training small enough to be killed a hundred times: FED on SynthOcc tiny, seconds a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: what forks must hold no threads


ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "FED" / "synthocc_vit_tiny.yml"
SETTINGS: dict[str, Any] = {
    "SEED": 7,
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.FEAT_DIM": 32,
    "MODEL.BACKBONE.STRIDE_SIZE": (8, 8),
    "MODEL.BACKBONE.DROP_PATH_RATIO": 0.1,  # draws in the model
    "MODEL.FED.VIT.NUM_LAYERS": 2,
    "MODEL.FED.VIT.EMBED_DIM": 32,
    "MODEL.FED.VIT.NUM_HEADS": 2,
    "MODEL.FED.VIT.PATCH_SIZE": 8,
    "MODEL.FED.FDM.NUM_NEIGHBORS": 3,
    "INPUT.SIZE_TRAIN": (64, 32),
    "INPUT.SIZE_TEST": (64, 32),
    "SOLVER.IMS_PER_BATCH": 8,
    "SOLVER.WARMUP_ITERS": 4,
    "SOLVER.MAX_EPOCH": 4,
    "SOLVER.CHECKPOINT_PERIOD": 1,
    "SOLVER.CHECKPOINT_ITERS": 2,
    "TEST.EVAL_PERIOD": 1,
    "DATALOADER.NUM_WORKERS": 0,
}


@contextmanager
def drawn_data() -> Iterator[Path]:
    """Draw SynthOcc tiny, where fast-reid will look for it."""
    from fed_plugin.synthocc import build_synthocc

    with tempfile.TemporaryDirectory() as folder:
        build_synthocc(Path(folder) / "SynthOcc", "tiny", workers=1)
        os.environ["FASTREID_DATASETS"] = folder
        yield Path(folder)


def configure(out: Path, **settings: Any) -> Any:
    """Return the config of a run in ``out``; keywords have ``__`` for the dots of keys."""
    from fastreid.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIG))
    changed = {name.replace("__", "."): value for name, value in settings.items()}
    values = {**SETTINGS, **changed, "OUTPUT_DIR": str(out)}
    cfg.merge_from_list([item for pair in values.items() for item in pair])
    return cfg


def train(cfg: Any, resume: bool = True) -> Any:
    """Train in this process as the stock script does; return the trainer."""
    from types import SimpleNamespace

    from fastreid.engine import DefaultTrainer, default_setup

    default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


def contents(path: Path) -> dict[str, Any]:
    """Return a checkpoint's values by name, nested names joined by dots."""
    return dict(_flat("", torch.load(path, weights_only=True)))


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name the values of two checkpoints that are not the same to the last bit."""
    names = {*one, *other}
    return sorted(name for name in names if not _same(one.get(name), other.get(name)))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}".lstrip("."), item)
    elif isinstance(value, (list, tuple)) and len(value) < 64:
        for place, item in enumerate(value):
            yield from _flat(f"{prefix}.{place}", item)
    else:
        yield prefix, value


def _same(one: Any, other: Any) -> bool:
    if torch.is_tensor(one) and torch.is_tensor(other):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other
