"""All figures of several methods, those of time measured in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from fed_plugin.fastreid_adapter.costs.counting import count_macs, tensors_read
from fed_plugin.fastreid_adapter.costs.interleaving import ratios, spread, time_in_turns
from fed_plugin.fastreid_adapter.costs.peak_memory import peak_above_before, storage_bytes
from fed_plugin.fastreid_adapter.costs.running_method import RunningMethod

FLOAT32 = 4
MEASURED = (
    *("parameters_training", "parameters_test", "macs_training", "macs_test"),
    *("training_images_per_second", "training_ratio"),
    *("test_milliseconds_per_image", "test_ratio", "peak_training_bytes", "peak_test_bytes"),
    "descriptor_bytes",
)
SETTINGS = ("device", "precision", "identities", "training_batch", "test_batch")
COUNTING = 4
"""Progress that counting a method is worth, in timed steps."""


@dataclass(frozen=True)
class CostedMethod:
    """What is to be measured.

    Attributes:
        cfg: config.
        num_classes: training identities.
        training_batch: images of a training step.
        test_batch: images of a test step.
    """

    cfg: Any
    num_classes: int
    training_batch: int
    test_batch: int

    @property
    def cost_key(self) -> tuple[str, ...]:
        """Equal for methods that differ in nothing that is measured: data, drawing, seeds."""
        network = (self.cfg.MODEL, self.cfg.SOLVER, self.cfg.TEST.FLIP, self.cfg.CUDNN_BENCHMARK)
        given = self.cfg.INPUT
        sizes = (given.SIZE_TRAIN, given.SIZE_TEST, given.CROP)
        views = (given.EXTRA_TRANSFORMS, given.NPO.VIEWS)
        batches = (self.training_batch, self.test_batch, self.cfg.DATALOADER.NUM_INSTANCE)
        return tuple(map(str, (*network, *sizes, *views, *batches, self.num_classes)))


def measure_costs(
    methods: Mapping[str, CostedMethod],
    baseline: str,
    rounds: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure what methods cost, all of them on this machine and at the same time.

    A method whose config differs from an earlier one's in nothing that is measured gets its figures
    and says so under ``shares``.

    Args:
        methods: by name.
        baseline: one of them, which ratios of time are to.
        rounds: timed steps of each method, at least 1.
        progress: called with steps done, steps in all and the method.

    Returns:
        By method, the figures of a row of ``costs.json`` (docs/costs.md), and its ``SETTINGS``.

    Raises:
        ValueError: a config cannot be run; the message names the method.
    """
    first: dict[tuple[str, ...], str] = {}
    stands_for = {name: first.setdefault(one.cost_key, name) for name, one in methods.items()}
    steps = _Steps(len(first) * (COUNTING + 2 * rounds), progress)
    running: dict[str, RunningMethod] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name in first.values():
        one = methods[name]
        with _errors_name(name):
            running[name] = RunningMethod(
                one.cfg, one.num_classes, one.training_batch, one.test_batch
            )
    for name, method in running.items():
        with _errors_name(name):
            rows[name] = _counts(method)
        steps.done(name, COUNTING)
    training = time_in_turns({n: one.train_step for n, one in running.items()}, rounds, steps.done)
    test = time_in_turns({n: one.test_step for n, one in running.items()}, rounds, steps.done)
    for name, row in rows.items():
        training[name] = [seconds / row["training_batch"] for seconds in training[name]]
        test[name] = [seconds / row["test_batch"] for seconds in test[name]]
    beside = stands_for[baseline]
    for name, row in rows.items():
        row["training_images_per_second"] = spread([1 / seconds for seconds in training[name]])
        row["training_ratio"] = ratios(training[name], training[beside])
        row["test_milliseconds_per_image"] = spread([1000 * seconds for seconds in test[name]])
        row["test_ratio"] = ratios(test[name], test[beside])
    return {
        name: rows[other] if other == name else {**rows[other], "shares": other}
        for name, other in stands_for.items()
    }


@contextmanager
def _errors_name(method: str) -> Iterator[None]:
    """Put a method's name before what goes wrong with it."""
    try:
        yield
    except (ValueError, RuntimeError, AssertionError, KeyError, OSError) as error:
        if not str(error):
            raise
        raise ValueError(f"{method}: {error}") from error


class _Steps:
    """Count steps and hand the count on."""

    def __init__(self, total: int, progress: Callable[[int, int, str], None] | None) -> None:
        self.total, self.progress = total, progress
        self.count = 0

    def done(self, name: str, steps: int = 1) -> None:
        self.count += steps
        if self.progress is not None:
            self.progress(self.count, self.total, name)


def _counts(method: RunningMethod) -> dict[str, Any]:
    """Return the figures that are counted, not timed; they also warm the method up."""
    training_batch, test_batch = len(method.on_training.images), len(method.on_test.images)
    macs_training = count_macs(method.losses) / training_batch
    method.train_step()  # optimizers make their state in their first step
    peak_training = peak_above_before(method.train_step, method.device)
    read = tensors_read(method.model, lambda: method.test_step(1))
    peak_test = peak_above_before(method.test_step, method.device)
    stays_at_test = sum(tensor.nbytes for tensor in (*read, method.on_test.images))
    return {
        "parameters_training": sum(p.numel() for p in method.model.parameters()),
        "parameters_test": sum(p.numel() for p in read if isinstance(p, nn.Parameter)),
        "macs_training": round(macs_training),
        "macs_test": count_macs(lambda: method.test_step(1)),
        "peak_training_bytes": storage_bytes(method.training_state()) + peak_training,
        "peak_test_bytes": stays_at_test + peak_test,
        "descriptor_bytes": FLOAT32 * method.test_step(1).shape[1],
        "device": str(method.device),
        "precision": method.precision,
        "identities": method.num_classes,
        "training_batch": training_batch,
        "test_batch": test_batch,
    }
