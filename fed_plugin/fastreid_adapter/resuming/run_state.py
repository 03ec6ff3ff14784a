"""State of a run in a checkpoint, beyond weights, optimizer and schedule.

The state holds the place in the stream of images, the random states and the best metric. With a
``SEED`` and one process, a killed and resumed run therefore ends with the bits of a run that never
stopped.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from types import CellType
from typing import Any

import torch
import yaml
from fastreid.config import get_cfg
from fastreid.engine.hooks import PeriodicWriter
from fastreid.utils import comm
from fastreid.utils.checkpoint import PeriodicCheckpointer

from fed_plugin.fastreid_adapter.mends.mending import Call
from fed_plugin.fastreid_adapter.seeding import (
    SeededSampler,
    restore_streams,
    restored_stream_states,
    saved_streams,
    seed_streams,
)
from fed_plugin.files import flatten, load_yaml, write_file

# How long layers have been frozen (``SOLVER.FREEZE_ITERS``): the host counts in a closure.
#
# Without this state a resumed run counts from zero and freezes the layers once more.

_COUNTER = "cnt"


def frozen_steps(optimizer: Any) -> int | None:
    """Return the number of steps of a freezing optimizer; None for another optimizer."""
    cell = _counter(optimizer)
    return None if cell is None else int(cell.cell_contents)


def set_frozen_steps(optimizer: Any, steps: int) -> None:
    """Let a freezing optimizer count from ``steps``; another optimizer does not change."""
    cell = _counter(optimizer)
    if cell is not None:
        cell.cell_contents = steps


def _counter(optimizer: Any) -> CellType | None:
    step = inspect.unwrap(type(optimizer).step)
    names = step.__code__.co_freevars
    if _COUNTER not in names or step.__closure__ is None:
        return None
    return step.__closure__[names.index(_COUNTER)]


# The host's ``metrics.json`` in a resumed run: each iteration is there once.

NAME = "metrics.json"


def forget_lines_from(first: int, trainer: Any) -> None:
    """Cut off what a killed run wrote of the iterations from ``first``, which are run again."""
    path = os.path.join(trainer.cfg.OUTPUT_DIR, NAME)
    if os.path.isfile(path):
        with open(path, "rb+") as file:
            file.truncate(_end_of_lines_before(first, file.read()))
    for hook in trainer._hooks:
        for writer in hook._writers if isinstance(hook, PeriodicWriter) else ():
            if isinstance(getattr(writer, "_last_write", None), int):
                writer._last_write = first - 1


def _end_of_lines_before(first: int, content: bytes) -> int:
    """Return the length up to the last whole line before iteration ``first``.

    Only the end is cut off: earlier lines may be those of an earlier run in the same folder.
    """
    end = len(content)
    for line in reversed(content.splitlines(keepends=True)):
        if line.endswith(b"\n") and _iteration(line) < first:
            break
        end -= len(line)
    return end


def _iteration(line: bytes) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


# A run that is resumed with another config is refused where the config cannot work.

logger = logging.getLogger("fastreid.fed_plugin.resuming")
compat_logger = logging.getLogger("fastreid.compat")


def check_all_ranks_resume(path: str) -> None:
    """Refuse ranks that resume at different places: they would wait for each other for ever.

    Raises:
        ValueError: The names of the ranks' checkpoints differ; every rank raises this error.
    """
    if comm.get_world_size() == 1:
        return
    names = [Path(one).name for one in comm.all_gather(path)]
    if len(set(names)) > 1:
        listed = ", ".join(f"rank {i}: {name or 'none'}" for i, name in enumerate(names))
        raise ValueError(
            f"--resume: ranks read different checkpoints ({listed}); expected one OUTPUT_DIR that "
            "all machines share; try a folder on a shared disk, or copy it to every machine"
        )


def fuse_as_configured(optimizer: Any, configured: list[Any]) -> None:
    """Set the switches of a loaded optimizer as this config asks, not as its file does."""
    switches = {k: v for k, v in optimizer.defaults.items() if isinstance(v, bool)}
    for group, fused in zip(optimizer.param_groups, configured, strict=False):
        group.update(switches)
        if "fused" in group or fused is not None:
            group["fused"] = fused


# Parts of a checkpoint that no run can go on from.

_LARGEST = 1 << 53  # a larger number is no count, and no rate


def odd_value(content: dict[str, Any], checkpointables: dict[str, Any]) -> str:
    """Return what in a checkpoint no run can go on from; empty if nothing is wrong.

    Args:
        content: the whole checkpoint.
        checkpointables: optimizer and schedules by their key in the checkpoint; their own state
            shows of which kind each value has to be.
    """
    epoch, metric = content.get("epoch", -1), content.get("metric", -1)
    if not isinstance(epoch, Integral) or not -1 <= epoch < _LARGEST:
        return f"its epoch is {epoch!r:.60}, expected a whole number"
    if not (isinstance(metric, Real) or (torch.is_tensor(metric) and metric.numel() == 1)):
        return f"its metric is {metric!r:.60}, expected a number"
    for key, holder in checkpointables.items():
        if key in content and (why := _unlike(content[key], holder.state_dict(), key)):
            return f"its {why}"
    return ""


def _unlike(value: Any, example: Any, where: str) -> str:
    """Return which part of a value is of another kind than the same part of an example."""
    if isinstance(example, dict):
        if not isinstance(value, dict):
            return f"{where} is {value!r:.60}, expected a table"
        below = [
            (value[key], one, f"{where}.{key}") for key, one in example.items() if key in value
        ]
    elif isinstance(example, (list, tuple)):
        pair = isinstance(example, tuple)  # such as betas; a list may have any length
        if not isinstance(value, (list, tuple)) or (pair and len(value) != len(example)):
            return f"{where} is {value!r:.60}, expected a list such as {example!r:.60}"
        below = [(one, example[0], f"{where}[{i}]") for i, one in enumerate(value) if example]
    elif isinstance(example, Real):
        good = value is None and isinstance(example, bool)  # a switch that nobody set
        good = good or (isinstance(value, Real) and abs(value) < _LARGEST)  # no NaN, either
        return "" if good else f"{where} is {value!r:.60}, expected a number such as {example}"
    else:
        below = []
    return next(filter(None, (_unlike(*one) for one in below)), "")


def check_optimizer(optimizer: Any, path: str) -> None:
    """Refuse the state of another optimizer, or of other weights, which PyTorch does not check.

    Raises:
        ValueError: The next step would fail with an error that names neither file nor key.
    """
    why, kinds = "", (torch.Tensor, int, float)
    moments = {"step", "exp_avg", "exp_avg_sq"} if "betas" in optimizer.defaults else set()
    for group in optimizer.param_groups:
        missing = sorted(optimizer.defaults.keys() - group.keys())
        if missing:
            why = f"its optimizer has no {missing[0]}, which {type(optimizer).__name__} needs"
        for weights in group["params"]:
            state = dict(optimizer.state.get(weights, {}))
            for name, value in state.items():
                is_per_weight = torch.is_tensor(value) and value.ndim > 0
                if is_per_weight and value.shape != weights.shape:
                    why = f"its {name} is of {value.numel()} weights, here are {weights.numel()}"
                good = torch.is_tensor(value) if "exp_avg" in name else isinstance(value, kinds)
                if not good and name != "momentum_buffer":  # None before the first gradient
                    why = f"its {name} is {value!r:.60}, expected numbers"
            lacks = sorted(moments - state.keys()) if state else []
            why = f"its optimizer has no {lacks[0]} of some weights" if lacks else why
    if why:
        raise ValueError(
            f"{path}: not of a run with this config: {why}; expected SOLVER.OPT, the model and its "
            "identities as they were; try the config of the first training, another OUTPUT_DIR, "
            "or MODEL.WEIGHTS without --resume to load the weights alone"
        )


def cosine_epochs(scheduler: Any) -> int | None:
    """Return the number of epochs of a cosine schedule; None for another schedule."""
    return getattr((scheduler or {}).get("lr_sched"), "T_max", None)


def warn_of_another_cosine(configured: int | None, scheduler: Any) -> None:
    """Warn that a run with more epochs keeps the learning rates of its first schedule."""
    loaded = cosine_epochs(scheduler)
    if configured is not None and loaded is not None and loaded != configured:
        logger.warning(
            "SOLVER.SCHED=CosineAnnealingLR goes on as it began, over %d epochs after the "
            "warm-up, not the %d of this config: afterwards the learning rate rises again; to "
            "train with another schedule, start from MODEL.WEIGHTS without --resume",
            loaded,
            configured,
        )


# Keys that a resumed run may not change, and keys that it may: the folder's ``config.yaml`` tells.

CONFIG = "config.yaml"
_OTHER_MODEL = re.compile(r"MODEL\.|SOLVER\.(OPT|SCHED)$|DATASETS\.(NAMES|COMBINEALL)$")
_SAME_MODEL = re.compile(
    r"MODEL\.(DEVICE|WEIGHTS|HEADS\.NUM_CLASSES|BACKBONE\.PRETRAIN(_PATH)?|FED\.PRECISION|"
    r"FED\.MEMORY\.INIT|FED\.VIT\.(RECOMPUTE|PRETRAIN_GRID))$"
)
"""Keys of the model that change no weight and no state; the count of the identities is checked."""
_SAME_NUMBERS = re.compile(
    r"(OUTPUT_DIR|DATALOADER\.NUM_WORKERS|SOLVER\.CHECKPOINT_(PERIOD|ITERS)|MODEL\.WEIGHTS|"
    r"MODEL\.BACKBONE\.PRETRAIN(_PATH)?)$"
)
_earlier: dict[str, str] = {}
"""Text of the ``config.yaml`` of an earlier run, by folder: the host writes over the file."""
Changes = dict[str, tuple[Any, Any]]


def note_earlier_config(cfg: Any, resumes: bool = False) -> None:
    """Keep the config of the run in ``OUTPUT_DIR`` before the host writes this one.

    Raises:
        ValueError: ``resumes`` is set, and the run was of another model.
    """
    folder = os.path.realpath(cfg.OUTPUT_DIR)
    _earlier.pop(folder, None)
    if os.path.isfile(os.path.join(folder, "last_checkpoint")):
        with suppress(OSError):
            _earlier[folder] = Path(folder, CONFIG).read_text(encoding="utf-8", errors="replace")
    if resumes:
        _refuse_another_model(cfg, changed_keys(cfg))


def changed_keys(cfg: Any) -> Changes:
    """Return old and new value of each key in which a config differs from the earlier run's."""
    text = _earlier.get(os.path.realpath(cfg.OUTPUT_DIR))
    if text is None:
        return {}
    default, now = flatten(get_cfg()), flatten(cfg)
    try:
        was = {**default, **flatten(load_yaml(text))}
    except (yaml.YAMLError, AttributeError):
        return {CONFIG: ("a file that cannot be read", "this config")}
    changes = {key: (was.get(key), now.get(key)) for key in sorted(was.keys() | now.keys())}
    count = "MODEL.HEADS.NUM_CLASSES"  # 0 until the trainer has counted
    return {k: v for k, v in changes.items() if v[0] != v[1] and not (k == count and 0 in v)}


def _listed(changes: Changes) -> str:
    return ", ".join(f"{key}: {old!r:.60} -> {new!r:.60}" for key, (old, new) in changes.items())


def _refuse_another_model(cfg: Any, changes: Changes) -> None:
    others = {k: v for k, v in changes.items() if _OTHER_MODEL.match(k)}
    others = {k: v for k, v in others.items() if v[1] is not None and not _SAME_MODEL.match(k)}
    if others:  # a key that nobody declares any more decides nothing
        raise ValueError(
            f"--resume: the run in OUTPUT_DIR={cfg.OUTPUT_DIR} is of another model "
            f"({_listed(others)}); expected these keys as they were; try them, another OUTPUT_DIR, "
            "or MODEL.WEIGHTS without --resume to load the weights alone"
        )


def take_over(call: Call) -> Iterator[None]:
    """Load the whole run when ``DefaultTrainer.resume_or_load`` resumes (a step).

    Raises:
        ValueError: The checkpoint is of another config, or another rank resumes from another one.
    """
    trainer, resume = call.args[0], call.argument("resume", True)
    fused = [group.get("fused") for group in trainer.optimizer.param_groups]
    folder = os.path.realpath(trainer.cfg.OUTPUT_DIR)
    changes = changed_keys(trainer.cfg) if resume else {}
    text = _earlier.pop(folder, None)
    yield
    try:
        if call.error is not None:
            raise call.error
        if resume:
            check_all_ranks_resume(getattr(trainer.checkpointer, "resumed_from", ""))
        if resume and trainer.checkpointer.has_checkpoint():
            _take_over(trainer, fused, changes)
        elif trainer.checkpointer.has_checkpoint():
            compat_logger.warning(
                "OUTPUT_DIR=%s holds an earlier run; until this one has written a checkpoint, "
                "`--resume` goes on with that one; try another OUTPUT_DIR if it is still wanted",
                trainer.cfg.OUTPUT_DIR,
            )
    except ValueError as error:
        if resume and text is not None and comm.is_main_process():
            write_file(os.path.join(folder, CONFIG), text)
        listed = f"; {CONFIG} differs in {_listed(changes)}" if changes else ""
        call.error = ValueError(str(error) + listed) if listed else error


def _take_over(trainer: Any, fused: list[Any], changes: Changes) -> None:
    path = getattr(trainer.checkpointer, "resumed_from", "")
    check_optimizer(trainer.optimizer, path)
    _refuse_another_model(trainer.cfg, changes)
    fuse_as_configured(trainer.optimizer, fused)
    if changes:
        logger.warning("--resume: %s differs in %s", CONFIG, _listed(changes))
    if hasattr(trainer, "run_state"):  # not where a subclass builds itself otherwise
        trainer.run_state.changes = {k: v for k, v in changes.items() if not _SAME_NUMBERS.match(k)}
        try:
            trainer.run_state.resume(trainer.checkpointer.resumed)
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"{path}: its run_state cannot be used ({error})") from error


KEY = "run_state"
BEST = "model_best.pth"
_LAYOUT = ("iters_per_epoch", "images_per_rank", "ranks")


class RunState:
    """State of a trainer that the host's checkpointer saves and loads, like an optimizer's.

    Args:
        trainer: ``DefaultTrainer`` that holds this object; this object refers to it weakly.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = weakref.proxy(trainer)
        self._loaded: dict[str, Any] | None = None
        self.changes: Changes = {}
        """Keys that this run changed and that change its numbers."""
        self._cosine_epochs = cosine_epochs(trainer.scheduler)
        self.done = 0
        """Number of iterations that the weights have been trained."""

    def state_dict(self) -> dict[str, Any]:
        """Return plain values and tensors, which load without executing anything."""
        trainer, hook = self._trainer, self._checkpoint_hook()
        scaler = trainer.grad_scaler
        return {
            "done": self.done,
            **self._layout(),
            "seed": int(trainer.cfg.get("SEED", -1)),
            "best_metric": float(hook.best_metric) if hook else -1.0,
            "metric": self._latest_metric(hook),
            "random": saved_streams(),
            "grad_scaler": scaler.state_dict() if scaler is not None else None,
            "frozen_steps": frozen_steps(trainer.optimizer),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep a state until the run goes on; the host calls this method when it resumes.

        Raises:
            ValueError: A part is of another kind.
        """
        try:
            counts = {name: int(state[name]) for name in ("done", "seed", *_LAYOUT)}
            if max(map(abs, counts.values())) >= 1 << 62:
                raise ValueError(f"counts are {counts}")
            for name, kind in (("best_metric", float), ("frozen_steps", int)):
                kind(state.get(name) or 0)
            if state["metric"]:
                name, value, iteration = state["metric"]
                state = {**state, "metric": (str(name), float(value), int(iteration))}
            with restored_stream_states():
                restore_streams(state["random"])
        except Exception as error:  # PyTorch's and NumPy's generators raise several kinds
            raise ValueError(f"its {KEY} is damaged ({type(error).__name__}: {error})") from error
        self._loaded = {**state, **counts}

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Restore what does not wait for the first step, after the host has loaded a checkpoint."""
        trainer, hook, state = self._trainer, self._checkpoint_hook(), self._loaded or {}
        warn_of_another_cosine(self._cosine_epochs, trainer.scheduler)
        if state.get("grad_scaler") and trainer.grad_scaler is not None:
            trainer.grad_scaler.load_state_dict(state["grad_scaler"])
        if state.get("frozen_steps") is not None:
            set_frozen_steps(trainer.optimizer, state["frozen_steps"])
        if hook is not None:
            best = state.get("best_metric", self._best_on_disk())
            hook.best_metric = max(best, float(checkpoint.get("metric", -1)))

    def first_iteration(self, start_epoch: int, iters_per_epoch: int) -> int:
        """Return the first iteration: within ``start_epoch`` if the checkpoint lies within it."""
        first, state = start_epoch * iters_per_epoch, self._loaded
        if state is None:
            return first
        within = state["done"] - start_epoch * state["iters_per_epoch"]
        if self._has_the_layout_of(state) and 0 <= within <= iters_per_epoch:
            return state["done"]
        if within:
            logger.warning(
                "The checkpoint lies %d iterations within epoch %d, of a run with %s; this run has "
                "%s, therefore the epoch starts again",
                within,
                start_epoch,
                {name: state[name] for name in _LAYOUT},
                self._layout(),
            )
        return first

    def go_on(self, first: int) -> None:
        """Let images, random numbers and the log continue after ``first`` iterations."""
        self.done = first
        if not first:
            return
        trainer, state = self._trainer, self._loaded
        images_follow = self._skip_images(first * self._layout()["images_per_rank"])
        if state is not None and comm.get_rank() == 0:
            restore_streams(state["random"])
        elif images_follow:  # a checkpoint holds the streams of rank 0
            seed_streams((trainer.cfg.SEED, comm.get_rank(), first))
        metric = state and state["metric"]
        if metric:
            name, value, trainer.storage.iter = metric
            trainer.storage.put_scalar(name, value, smoothing_hint=False)
            trainer.storage.iter = first
        if comm.is_main_process():
            forget_lines_from(first, trainer)
        same = images_follow and state is not None and self._has_the_layout_of(state)
        same = same and state["seed"] == trainer.cfg.SEED and first == state["done"]
        how = (
            "images in another order than without the stop (expected the same SEED of 0 or more, "
            "batch size and ranks as before, and a checkpoint of this plugin)"
        )
        if same and comm.get_world_size() > 1:  # a checkpoint holds the streams of rank 0
            how = "images as if the run had never stopped, random numbers of the model drawn anew"
        elif same:
            how = "images and random numbers as if the run had never stopped"
        if same and self.changes:
            how = f"other keys than before the stop: {', '.join(self.changes)}"
        logger.info("Going on behind %d iterations of %d; %s", first, trainer.max_iter, how)

    def _skip_images(self, position: int) -> bool:
        """Start the stream of images at a position; False if the stream has no seed."""
        loader = self._trainer.data_loader
        sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        if not isinstance(sampler, SeededSampler):
            return False
        if hasattr(loader, "shutdown"):
            loader.shutdown()
        sampler.start_from(position)
        self._trainer._trainer._data_loader_iter = iter(loader)
        return True

    def _layout(self) -> dict[str, int]:
        ranks = comm.get_world_size()
        images = self._trainer.cfg.SOLVER.IMS_PER_BATCH // ranks
        values = (self._trainer.iters_per_epoch, images, ranks)
        return dict(zip(_LAYOUT, values, strict=True))

    def _has_the_layout_of(self, state: dict[str, Any]) -> bool:
        return self._layout() == {name: state[name] for name in _LAYOUT}

    def _checkpoint_hook(self) -> PeriodicCheckpointer | None:
        """Return the hook that holds the best metric; only the first rank has this hook."""
        hooks = (h for h in self._trainer._hooks if isinstance(h, PeriodicCheckpointer))
        return next(hooks, None)

    def _latest_metric(self, hook: Any) -> tuple[str, float, int] | None:
        """Return name, value and iteration of the metric that the next checkpoint needs."""
        storage = getattr(self._trainer, "storage", None)
        name = getattr(hook, "metric_name", None)
        latest = storage.latest().get(name) if storage is not None else None
        return None if latest is None else (name, float(latest[0]), int(latest[1]))

    def _best_on_disk(self) -> float:
        """Return the metric of ``model_best.pth``, for checkpoints of fast-reid without plugin."""
        checkpointer = self._trainer.checkpointer
        path = os.path.join(checkpointer.save_dir, BEST)
        if not os.path.isfile(path):
            return -1.0
        content = type(checkpointer)(torch.nn.Module())._load_file(path)
        return float(content.get("metric", -1))
