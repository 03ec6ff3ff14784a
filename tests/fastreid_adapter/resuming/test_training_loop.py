"""A run that is stopped and resumed ends with the bits of one that never was."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path

import pytest
import torch

from fed_plugin.console import sentence
from fed_plugin.fastreid_adapter.seeding import SeededIndex


def iterations(trainer):
    lines = (Path(trainer.cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    return [json.loads(line)["iteration"] for line in lines]


@pytest.mark.parametrize(("stopped", "workers"), [(3, 0), (8, 0), (13, 1)])
def test_a_resumed_run_ends_bit_identical(run, stop_at, saved, stopped, workers):
    words = ("SOLVER.CHECKPOINT_ITERS", 2)
    whole = run("whole", *words)
    assert whole.iters_per_epoch == 8 and whole.iter == 16
    weights = torch.nn.utils.parameters_to_vector(whole.model.parameters())
    run("parts", *words, "DATALOADER.NUM_WORKERS", workers, stop=stop_at(stopped))
    parts = run("parts", *words, "DATALOADER.NUM_WORKERS", workers, resume=True)
    assert parts.start_iter == stopped // 2 * 2
    assert torch.equal(weights, torch.nn.utils.parameters_to_vector(parts.model.parameters()))
    for name in ("model_final", "model_best"):
        one, other = saved(whole, name), saved(parts, name)
        assert one.keys() == other.keys()
        assert [key for key in one if one[key] != other[key]] == []
    assert iterations(parts) == sorted(set(iterations(parts)))


def test_without_the_key_a_run_goes_on_from_its_last_epoch_bit_by_bit(run, stop_at, saved):
    whole = run("whole")
    run("parts", stop=stop_at(12))
    parts = run("parts", resume=True)
    assert parts.start_iter == 8
    assert saved(whole) == saved(parts)


def test_the_random_states_matter(run, stop_at, saved, monkeypatch):
    from fed_plugin.fastreid_adapter.resuming import run_state

    whole = run("whole")
    run("parts", stop=stop_at(9))
    monkeypatch.setattr(run_state, "restore_streams", lambda saved: None)
    assert saved(whole) != saved(run("parts", resume=True))


def test_the_place_in_the_data_matters(run, stop_at, saved, monkeypatch):
    from fed_plugin.fastreid_adapter.seeding import SeededSampler

    whole = run("whole")
    run("parts", stop=stop_at(9))
    monkeypatch.setattr(SeededSampler, "start_from", lambda self, position: None)
    assert saved(whole) != saved(run("parts", resume=True))


def test_images_go_on_where_they_stopped(run, stop_at):
    first = run("parts", "SOLVER.CHECKPOINT_ITERS", 3, stop=stop_at(9))
    sampler = first.data_loader.batch_sampler.sampler
    sampler.start_from(0)
    stream = iter(sampler)
    expected = [next(stream) for _ in range(80)][72:]
    resumed = run("parts", "SOLVER.CHECKPOINT_ITERS", 3, resume=True)
    again = iter(resumed.data_loader.batch_sampler.sampler)
    got = [next(again) for _ in range(8)]
    assert all(isinstance(index, SeededIndex) for index in got)
    assert [(int(i), i.entropy) for i in got] == [(int(i), i.entropy) for i in expected]


def test_only_two_checkpoints_within_epochs_are_kept_and_none_of_a_finished_run(run, stop_at):
    words = ("SOLVER.CHECKPOINT_ITERS", 1)
    stopped = run("parts", *words, stop=stop_at(5))
    folder = Path(stopped.cfg.OUTPUT_DIR)
    names = sorted(path.name for path in folder.glob("model_iter_*"))
    assert names == ["model_iter_0000004.pth", "model_iter_0000005.pth"]
    assert (folder / "last_checkpoint").read_text() == names[-1]
    run("parts", *words, resume=True)
    assert list(folder.glob("model_iter_*")) == []


def test_a_clock_that_went_back_does_not_remove_what_was_just_written(run, stop_at):
    words = ("SOLVER.CHECKPOINT_ITERS", 1)
    folder = Path(run("parts", *words, stop=stop_at(5)).cfg.OUTPUT_DIR)
    for path in folder.glob("model_iter_*"):
        os.utime(path, (4e9, 4e9))
    resumed = run("parts", *words, resume=True, stop=stop_at(7))
    assert resumed.start_iter == 5
    newest = (folder / "last_checkpoint").read_text()
    assert newest == "model_iter_0000007.pth" and (folder / newest).is_file()


def test_a_training_loop_of_somebody_s_own_leaves_checkpoints_that_know_their_place(
    run, stop_at, monkeypatch
):
    from fastreid.engine import DefaultTrainer
    from fastreid.utils.events import EventStorage

    def train(self):
        self.iter = self.start_iter = self.start_epoch * self.iters_per_epoch
        with EventStorage(self.iter) as self.storage:
            self.before_train()
            for epoch in range(self.start_epoch, self.max_epoch):
                self.epoch = epoch
                self.before_epoch()
                for _ in range(self.iters_per_epoch):
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1
                self.after_epoch()

    with monkeypatch.context() as patch:
        patch.setattr(DefaultTrainer, "train", train)
        run("parts", "SOLVER.CHECKPOINT_ITERS", 5, stop=stop_at(11))
    assert run("parts", "SOLVER.CHECKPOINT_ITERS", 5, resume=True).start_iter == 10


def test_another_batch_size_starts_the_epoch_again_and_says_so(run, stop_at, caplog):
    run("parts", "SOLVER.CHECKPOINT_ITERS", 2, stop=stop_at(11))
    log = logging.getLogger("fastreid.fed_plugin.resuming")
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger=log.name)
    resumed = run("parts", "SOLVER.IMS_PER_BATCH", 12, "SOLVER.CHECKPOINT_ITERS", 2, resume=True)
    log.removeHandler(caplog.handler)
    assert resumed.start_iter == 5  # epoch 1 of 5 iterations each
    assert "lies 2 iterations within epoch 1" in caplog.text
    assert "the epoch starts again" in caplog.text
    assert "images in another order" in caplog.text


def test_a_run_with_one_step_left_prints_its_last_line(run, stop_at):
    run("parts", "SOLVER.CHECKPOINT_ITERS", 1, stop=stop_at(15))
    assert run("parts", "SOLVER.CHECKPOINT_ITERS", 1, resume=True).start_iter == 15


def test_a_worse_model_does_not_become_the_best_one(run, stop_at, saved, monkeypatch):
    values = iter([30.0, 20.0, 20.0])

    def evaluate(cls, cfg, model):
        return {"metric": next(values)}

    monkeypatch.setattr("fastreid.engine.DefaultTrainer.test", classmethod(evaluate))
    run("parts", stop=stop_at(8))
    resumed = run("parts", resume=True)
    assert saved(resumed, "model_best")[".metric"] == 30.0
    assert saved(resumed)[".run_state.best_metric"] == 30.0


def test_a_checkpoint_of_fast_reid_alone_takes_the_best_metric_from_the_disk(
    run, stop_at, saved, monkeypatch
):
    values = iter([30.0, 20.0])

    def evaluate(cls, cfg, model):
        return {"metric": next(values)}

    monkeypatch.setattr("fastreid.engine.DefaultTrainer.test", classmethod(evaluate))
    folder = Path(run("parts", stop=stop_at(8)).cfg.OUTPUT_DIR)
    for path in folder.glob("*.pth"):
        content = torch.load(path, weights_only=True)
        del content["run_state"]
        torch.save(content, path)
    assert saved(run("parts", resume=True), "model_best")[".metric"] == 30.0


def test_a_finished_run_evaluates_once_more(run):
    first = run("whole")
    again = run("whole", resume=True)
    assert again.start_epoch == again.max_epoch
    assert again._last_eval_results["mAP"] == first._last_eval_results["mAP"]


def test_a_run_that_failed_in_its_last_epoch_is_not_evaluated(run):
    def fail(trainer):
        if trainer.iter == 7:
            raise RuntimeError("a step that fails")

    with pytest.raises(RuntimeError, match="a step that fails"):
        run("failing", "TEST.EVAL_PERIOD", 5, stop=fail)


def test_a_hook_that_fails_at_the_end_does_not_hide_why_the_run_failed(run, monkeypatch):
    from fastreid.utils.events import JSONWriter

    def fail(trainer):
        if trainer.iter == 7:
            raise RuntimeError("a step that fails")

    def close(self):
        raise OSError("No space left on device")

    monkeypatch.setattr(JSONWriter, "close", close)
    with pytest.raises(RuntimeError, match="a step that fails"):
        run("failing", stop=fail)
    with pytest.raises(OSError, match="No space left"):
        run("whole")


def test_the_freeze_of_layers_is_not_repeated():
    from fastreid.solver.build import _generate_optimizer_class_with_freeze_layer

    from fed_plugin.fastreid_adapter.resuming.run_state import frozen_steps, set_frozen_steps

    def optimizer():
        weight = torch.nn.Parameter(torch.ones(1))
        kind = _generate_optimizer_class_with_freeze_layer(torch.optim.SGD, freeze_iters=3)
        group = {"params": [weight], "freeze_status": "freeze"}
        return weight, kind([group], lr=1.0)

    weight, first = optimizer()
    for _ in range(2):
        weight.grad = torch.ones(1)
        first.step()
    assert frozen_steps(first) == 2 and weight.item() == 1.0
    weight, resumed = optimizer()
    set_frozen_steps(resumed, frozen_steps(first))
    for expected in (1.0, 0.0):
        weight.grad = torch.ones(1)
        resumed.step()
        assert weight.item() == expected
    assert frozen_steps(torch.optim.SGD([weight], lr=1.0)) is None


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="no scaler for the CPU")
def test_the_scaler_of_mixed_precision_goes_on(run, stop_at):
    def grow(trainer):
        trainer._trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        stop_at(9)(trainer)

    run("parts", stop=grow)
    checkpoint = torch.load(
        run("other", stop=stop_at(0)).cfg.OUTPUT_DIR + "/../parts/model_0000.pth"
    )
    assert checkpoint["run_state"]["grad_scaler"]["scale"] == 8.0
    resumed = run("other", stop=stop_at(0))
    resumed._trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    resumed.run_state.load_state_dict(checkpoint["run_state"])
    resumed.run_state.resume({})
    assert resumed.grad_scaler.get_scale() == 8.0


@pytest.mark.parametrize("clips", [False, True])
def test_layers_stay_frozen_through_evaluations_and_resumes(run, stop_at, saved, clips):
    words = ("MODEL.FREEZE_LAYERS", ("backbone",), "SOLVER.FREEZE_ITERS", 12)
    words = (*words, "SOLVER.CHECKPOINT_ITERS", 2, "SOLVER.CLIP_GRADIENTS.ENABLED", clips)
    modes = []

    def note(trainer):
        modes.append((trainer.iter, trainer.model.backbone.training))

    whole = run("whole", *words, stop=note)
    assert modes == [(i, i >= 12) for i in range(16)]
    run("parts", *words, stop=stop_at(5))
    run("parts", *words, resume=True, stop=stop_at(11))
    assert saved(whole) == saved(run("parts", *words, resume=True))


def test_a_full_disk_names_the_folder_of_a_writer_of_the_host(run, tmp_path, monkeypatch):
    def fill(writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fastreid.utils.events.JSONWriter.write", fill)
    with pytest.raises(OSError, match="No space left") as full:
        run("full")
    assert sentence(full.value).startswith(
        f"{tmp_path / 'full'}: could not be written (No space left on device); expected room; try"
    )
