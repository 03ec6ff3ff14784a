"""A loss that is not a number stops with its images, and the state before it is kept."""

from __future__ import annotations

import json
import textwrap
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
        stock = FED.features

        def features(self, images):
            trainer = found["trainer"]
            return stock(self, images * value if trainer.iter == iteration else images)

        def note(trainer):
            found["trainer"] = trainer
            if trainer.iter == iteration:
                found["before"] = {n: t.clone() for n, t in trainer.model.state_dict().items()}

        monkeypatch.setattr(FED, "features", features)
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
    kept = torch.load(folder / "model_iter_0000005.pth", weights_only=True)
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

    with pytest.raises(FloatingPointError, match=r"before this step either.*; the newest is none"):
        run("bad", stop=spoil)
    assert not list((tmp_path / "bad").glob("model_iter_*"))


def test_weights_that_a_step_spoiled_do_not_become_the_newest_checkpoint(run, tmp_path):
    def spoil(trainer):
        if trainer.iter == 3:
            trainer.model.heads.global_classifier.weight.register_hook(lambda g: g * torch.nan)

    with pytest.raises(FloatingPointError, match=r"the newest is model_iter_0000003\.pth"):
        run("bad", "SOLVER.CHECKPOINT_ITERS", 1, stop=spoil)
    assert run("bad", "SOLVER.CHECKPOINT_ITERS", 1, resume=True).start_iter == 3


def test_a_full_disk_does_not_hide_which_loss_was_bad(run, poisoned, monkeypatch):
    from fastreid.utils.checkpoint import Checkpointer

    from fed_plugin.fastreid_adapter.resuming import training_loop

    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(Checkpointer, "save", full)
    monkeypatch.setattr(training_loop, "write_file", full)
    sentence = poisoned(5)[0]
    assert "loss_id_erased is nan" in sentence
    assert "in no file: No space left" in sentence
    assert "the state before this step is lost: No space left" in sentence


RANK_ONE_IS_POISONED = """
    import sys

    import projects_registry
    import torch
    from fastreid.config import get_cfg
    from fastreid.engine import DefaultTrainer, default_setup, launch
    from fastreid.utils import comm


    def main(config_file, overrides):
        from fed_plugin.fastreid_adapter.meta_arch import FED

        torch.set_num_threads(1)
        cfg = get_cfg()
        cfg.merge_from_file(config_file)
        cfg.merge_from_list(overrides)
        default_setup(cfg, None)
        trainer = DefaultTrainer(cfg)
        trainer.resume_or_load(resume=True)
        stock, step = FED.features, trainer.run_step

        def features(self, images):
            fresh = trainer.start_iter == 0
            bad = self.training and fresh and trainer.iter == 3 and comm.get_rank() == 1
            return stock(self, images * torch.nan if bad else images)

        def run_step():
            if trainer.iter == 3 and not trainer.start_iter and comm.is_main_process():
                torch.save(trainer.model.module.state_dict(), cfg.OUTPUT_DIR + "/before.pt")
            step()

        FED.features, trainer.run_step = features, run_step
        trainer.train()


    if __name__ == "__main__":
        launch(main, 2, dist_url="auto", args=(sys.argv[1], sys.argv[2:]))
"""


def test_a_bad_loss_of_another_rank_names_its_images_and_keeps_the_memory_and_goes_on(
    run_python, tiny_cfg, synthocc_root, tmp_path
):
    script, config, out = tmp_path / "ranks.py", tmp_path / "tiny.yml", tmp_path / "out"
    script.write_text(textwrap.dedent(RANK_ONE_IS_POISONED))
    config.write_text(tiny_cfg("MODEL.HEADS.NUM_CLASSES", 0, "OUTPUT_DIR", str(out)).dump())
    result = run_python(script, config, root=synthocc_root, check=False)
    report = json.loads((out / "bad_loss_iter_0000003_rank1.json").read_text())
    own = json.loads((out / "bad_loss_iter_0000003.json").read_text())
    assert len(report["images"]) == 4 and not {*report["images"]} & {*own["images"]}
    said = f"images of rank 1: {report['images'][0]}"
    assert "iteration 3: loss_" in result.stderr and said in result.stderr
    kept = torch.load(out / "model_iter_0000003.pth", weights_only=True)
    before = torch.load(out / "before.pt", weights_only=True)
    assert [n for n, t in before.items() if not torch.equal(t, kept["model"][n])] == []
    resumed = run_python(script, config, root=synthocc_root)
    assert "Going on behind 3 iterations of 16; images as if the run had never" in resumed.stdout
    assert "random numbers of the model drawn anew" in resumed.stdout
