"""What each rank of ``ranks.py`` does: ``rank_scenes.py SETTINGS RANKS``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import small_run
import torch

import projects_registry  # noqa: F401 - arms the mends


def main(settings: dict[str, Any]) -> None:
    """Play a scene in one rank."""
    torch.set_num_threads(1)
    settings = dict(settings)
    scene, out = settings.pop("scene"), Path(settings.pop("out"))
    {"train": train, "losses": losses, "evaluate": evaluate}[scene](out, **settings)


def train(out: Path, victim: int | None = None, **settings: Any) -> None:
    """Train; a victim kills itself within a step; rank 0 prints how many tensors are equal."""
    from fastreid.utils import comm

    cfg = small_run.configure(out, **settings)
    trainer = _trainer(cfg)
    model = trainer.model.module
    before = {n: t.clone() for n, t in model.state_dict().items() if "running" not in n}
    if victim == comm.get_rank():
        stock = trainer.optimizer.zero_grad

        def zero_grad(*args: Any, **kwargs: Any) -> None:
            if trainer.iter == 5:
                (out / "killed").write_text(str(time.monotonic()))
                os.kill(os.getpid(), signal.SIGKILL)
            stock(*args, **kwargs)

        trainer.optimizer.zero_grad = zero_grad
    trainer.train()
    state = {n: t for n, t in model.state_dict().items() if "running" not in n}
    others = comm.all_gather(state)
    equal = sum(all(torch.equal(t, other[n]) for other in others) for n, t in state.items())
    moved = sum(not torch.equal(t, before[n]) for n, t in state.items())
    if comm.is_main_process():
        found = {"tensors": len(state), "equal": equal, "moved": moved, "steps": trainer.iter}
        print(json.dumps(found))


def losses(out: Path, batch: str, **settings: Any) -> None:
    """Compute the losses of this rank's share of a global batch; rank 0 prints their means."""
    from fastreid.modeling import build_model
    from fastreid.utils import comm

    layout = {"MODEL__FED__FDM__HEAD_LAYOUT": "per_sample", "MODEL__BACKBONE__DROP_PATH_RATIO": 0.0}
    cfg = small_run.configure(out, MODEL__HEADS__NUM_CLASSES=8, **layout, **settings)
    cfg.MODEL.FED.MEMORY.INIT = "zeros"
    torch.manual_seed(0)
    model = build_model(cfg).train()
    model.heads.memory("erased").fill(torch.randn_like(model.heads.memory("erased").features))
    images = torch.randint(0, 256, (8, 2, 3, 64, 32)).float()
    targets = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    if batch == "copies":
        images, targets = images[:4].repeat(2, 1, 1, 1, 1), targets[:4].repeat(2)
    share = slice(comm.get_rank(), None, 1) if comm.get_world_size() == 1 else None
    chunk = 8 // comm.get_world_size()
    share = slice(comm.get_rank() * chunk, (comm.get_rank() + 1) * chunk)
    found = model({"images": images[share], "targets": targets[share]})
    all_ranks = comm.all_gather({name: float(value) for name, value in found.items()})
    if comm.is_main_process():
        means = {name: sum(one[name] for one in all_ranks) / len(all_ranks) for name in found}
        print(json.dumps(means))


def evaluate(out: Path, images: int, **settings: Any) -> None:
    """Evaluate the first ``images`` of the test set; rank 0 prints the results."""
    from fastreid.data import build
    from fastreid.engine import DefaultTrainer
    from fastreid.modeling import build_model
    from fastreid.utils import comm

    cfg = small_run.configure(out, MODEL__HEADS__NUM_CLASSES=8, **settings)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    dataset = build.DATASET_REGISTRY.get("SynthOcc")
    stock = dataset.__init__

    def fewer(self: Any, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        query = self.query[: max(2, images // 5)]
        pids = {item[1] for item in query}
        gallery = sorted(self.gallery, key=lambda item: item[1] not in pids)
        self._query, self._gallery = query, gallery[: images - len(query)]

    dataset.__init__ = fewer
    results = DefaultTrainer.test(cfg, model)
    if comm.is_main_process():
        values = {name: round(float(results[name]), 4) for name in ("Rank-1", "mAP", "mINP")}
        print(json.dumps(values))


def _trainer(cfg: Any) -> Any:
    from types import SimpleNamespace

    from fastreid.engine import DefaultTrainer, default_setup

    default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=True)
    return trainer


if __name__ == "__main__":
    from fastreid.engine import launch

    from fed_plugin.console import one_sentence_for_mistakes

    with one_sentence_for_mistakes() as outcome:
        launch(main, int(sys.argv[2]), dist_url="auto", args=(json.loads(sys.argv[1]),))
    raise SystemExit(outcome.status)
