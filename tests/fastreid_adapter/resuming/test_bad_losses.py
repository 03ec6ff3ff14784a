"""A loss that is not a number stops with its images, and the state before it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch


@pytest.fixture
def poisoned(run, monkeypatch):
    """Run with white pixels that are not numbers in one step; return the error and the trainer."""
    from fed_plugin.fastreid_adapter.meta_arch import FED

    def make(iteration, value=float("nan")):
        found = {}
        stock = FED.tokens

        def tokens(self, images):
            trainer = found["trainer"]
            return stock(self, images * value if trainer.iter == iteration else images)

        def note(trainer):
            found["trainer"] = trainer
            if trainer.iter == iteration:
                found["before"] = {n: t.clone() for n, t in trainer.model.state_dict().items()}

        monkeypatch.setattr(FED, "tokens", tokens)
        monkeypatch.setattr(FED, "_initialize_memories", lambda self: None)
        with pytest.raises(FloatingPointError) as caught:
            run("bad", stop=note)
        trainer, found["trainer"] = (
            found["trainer"],
            SimpleNamespace(iter=-1),
        )  # later runs are well
        return str(caught.value), trainer, found["before"]

    return make


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_loss_names_step_loss_and_images_and_keeps_the_state_before_it(poisoned, value):
    sentence, trainer, before = poisoned(5, value)
    folder = Path(trainer.cfg.OUTPUT_DIR)
    assert sentence.startswith("iteration 5: ") and "loss_id_erased is nan" in sentence
    report = json.loads((folder / "bad_loss_iter_0000005.json").read_text())
    assert len(report["images"]) == 8 and all(Path(path).is_file() for path in report["images"])
    assert report["images"][0] in sentence
    kept = torch.load(folder / "model_iter_0000005.pth", weights_only=torch.__version__ >= (2, 0))
    assert (folder / "last_checkpoint").read_text() == "model_iter_0000005.pth"
    assert kept["run_state"]["done"] == 5
    changed = [n for n, t in before.items() if not torch.equal(t, kept["model"][n])]
    assert changed == []


def test_the_run_goes_on_from_the_state_before_a_bad_loss(poisoned, run):
    poisoned(5)
    resumed = run("bad", resume=True)
    assert resumed.start_iter == 5
    assert all(torch.isfinite(p).all() for p in resumed.model.parameters())


def test_weights_that_are_bad_already_are_not_kept(run, tmp_path):
    def spoil(trainer):
        if trainer.iter == 3:
            with torch.no_grad():
                trainer.model.heads.global_classifier.weight.fill_(torch.nan)

    with pytest.raises(FloatingPointError, match="were not finite before this step either"):
        run("bad", stop=spoil)
    assert not list((tmp_path / "bad").glob("model_iter_*"))
