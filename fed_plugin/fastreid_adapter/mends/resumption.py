"""Mends of resuming: what a resumed run forgets, and losses that are not numbers.

The parts that the mends put into the host's trainer are in ``fastreid_adapter/resuming``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Call, add_step, mend, mentions


@mend("A resumed run forgets where it was", after="fastreid.engine.defaults")
def checkpoints_hold_the_whole_run(module: ModuleType) -> bool:
    """Let checkpoints of ``DefaultTrainer`` hold all that a run needs to go on, and load it."""

    def hold(call: Call) -> Iterator[None]:
        yield
        if call.error is None:
            from fed_plugin.fastreid_adapter.resuming.training_loop import hold_the_run

            hold_the_run(call.args[0])

    def load(call: Call) -> Iterator[None]:
        from fed_plugin.fastreid_adapter.resuming.run_state import take_over

        yield from take_over(call)

    def note(call: Call) -> Iterator[None]:
        checkpointer = call.args[0]
        yield
        checkpointer.resumed = call.result

    def keep_config(call: Call) -> Iterator[None]:
        from fastreid.utils import comm

        from fed_plugin.fastreid_adapter.resuming.run_state import note_earlier_config

        args = call.argument("args")
        if call.cfg.OUTPUT_DIR and comm.is_main_process():
            starts = not getattr(args, "eval_only", False)
            note_earlier_config(call.cfg, starts and getattr(args, "resume", False))
        yield

    if mentions(module.DefaultTrainer.__init__, "run_state"):
        return False
    add_step(module, "default_setup", keep_config)
    add_step(module.Checkpointer, "resume_or_load", note)
    add_step(module.DefaultTrainer, "resume_or_load", load)
    return add_step(module.DefaultTrainer, "__init__", hold)


@mend(
    "Training starts at whole epochs, and a finished run raises an error",
    after="fastreid.engine.train_loop",
)
def training_goes_on_within_an_epoch(module: ModuleType) -> bool:
    """Replace the loop of ``TrainerBase.train`` by `train`, which starts at any iteration."""
    if mentions(module.TrainerBase.train, "training_loop"):
        return False
    module.TrainerBase.train = train
    return True


def train(self: Any, start_epoch: int, max_epoch: int, iters_per_epoch: int) -> None:
    """Train from ``start_epoch``, or from where in this epoch the checkpoint was written.

    The hooks are called in the host's order. A finished run is evaluated, and a failed run is not.
    This function itself calls all steps and hooks: a traceback holds one frame of this project.

    Raises:
        FolderInUseError: Another process trains into the folder.
        Exception: Whatever a step or a hook raises.
    """
    from fed_plugin.fastreid_adapter.resuming import training_loop

    with training_loop.begun(self, start_epoch, max_epoch, iters_per_epoch):
        with training_loop.failures_handled(self):
            self.before_train()
            for hook in training_loop.nothing_left_to_train(self, start_epoch, max_epoch):
                recipe = getattr(getattr(self, "optimizer", None), "recipe", None)
                with recipe.averaged() if recipe is not None else nullcontext():
                    hook._do_eval()
            for epoch in range(start_epoch, max_epoch):
                self.epoch = epoch
                self.before_epoch()
                while self.iter < (epoch + 1) * iters_per_epoch:
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1
                self.storage.iter = self.iter - 1  # also where no step of the epoch was left
                self.after_epoch()
        self.after_train()


@mend("An evaluation half ends the freeze of layers", after="fastreid.engine.hooks")
def frozen_layers_stay_in_evaluation_mode(module: ModuleType) -> bool:
    """Set frozen layers to evaluation mode at every step: an evaluation sets all to training."""

    def freeze_again(call: Call) -> Iterator[None]:
        yield
        hook = call.args[0]
        for name in hook.freeze_layers if hook.is_frozen else ():
            layer = getattr(hook.model, name, None)
            if layer is not None and layer.training:
                layer.eval()

    known = mentions(module.LayerFreeze.before_step, "training")
    return not known and add_step(module.LayerFreeze, "before_step", freeze_again)


@mend("A loss that is not a number names no image", after="fastreid.engine.train_loop")
def bad_losses_name_their_images(module: ModuleType) -> bool:
    """Let ``SimpleTrainer`` note what a step began with, and name it when the loss is bad."""

    def begin(call: Call) -> Iterator[None]:
        from fed_plugin.fastreid_adapter.resuming.training_loop import StepBegin

        trainer, model = call.args[0], call.argument("model")
        yield
        trainer.step_begin = StepBegin(model)

    def name(call: Call) -> Iterator[None]:
        from fed_plugin.fastreid_adapter.resuming import training_loop

        trainer, losses = call.args[0], call.argument("loss_dict")
        step = getattr(trainer, "step_begin", None)
        if step is not None:
            training_loop.report_own_bad_losses(losses, step, getattr(trainer, "iter", -1))
        yield
        if step is not None and isinstance(call.error, FloatingPointError):
            training_loop.describe_bad_losses(losses, step, call.error)

    if mentions(module.SimpleTrainer._write_metrics, "img_paths"):
        return False
    add_step(module.SimpleTrainer, "__init__", begin)
    return add_step(module.SimpleTrainer, "_write_metrics", name)
