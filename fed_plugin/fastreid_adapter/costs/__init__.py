"""What methods cost: parameters, multiplications, time, memory, bytes of a descriptor.

Timed in turns on batches that lie in memory, so that neither the disk nor the hour has a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
COUNTS = 4
"""Progress that counting a method is worth, in timed steps."""


@dataclass(frozen=True)
class CostedMethod:
    """What is to be measured.

    Attributes:
        cfg: config.
        num_classes: training identities.
        train_batch: images of a training step.
        test_batch: images of a test step.
    """

    cfg: Any
    num_classes: int
    train_batch: int
    test_batch: int

    @property
    def cost_key(self) -> tuple[str, ...]:
        """Equal for methods that differ in nothing that is measured: data, drawing, seeds."""
        network = (self.cfg.MODEL, self.cfg.SOLVER, self.cfg.TEST.FLIP, self.cfg.INPUT.SIZE_TRAIN)
        images = (self.cfg.INPUT.SIZE_TEST, self.cfg.INPUT.CROP, self.cfg.INPUT.EXTRA_TRANSFORMS)
        batches = (self.num_classes, self.train_batch, self.test_batch)
        views = (self.cfg.INPUT.NPO.VIEWS, self.cfg.DATALOADER.NUM_INSTANCE)
        return tuple(str(part) for part in (*network, *images, *batches, *views))


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
        By method, the figures of a row of ``costs.json`` (docs/costs.md), and its ``device``,
        ``precision``, ``training_batch`` and ``test_batch``.

    Raises:
        ValueError: a config cannot be run; the message names the method.
    """
    first: dict[tuple[str, ...], str] = {}
    stands_for = {name: first.setdefault(one.cost_key, name) for name, one in methods.items()}
    total = len(first) * (COUNTS + 2 * rounds)
    done = 0

    def step_done(name: str, steps: int = 1) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(done, total, name)

    running: dict[str, RunningMethod] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name in first.values():
        one = methods[name]
        try:
            running[name] = RunningMethod(one.cfg, one.num_classes, one.train_batch, one.test_batch)
            rows[name] = _counts(running[name])
        except (ValueError, RuntimeError, AssertionError, KeyError) as error:
            raise ValueError(f"{name}: {error}") from error
        step_done(name, COUNTS)
    training = {
        name: [seconds / methods[name].train_batch for seconds in taken]
        for name, taken in time_in_turns(
            {name: one.train_step for name, one in running.items()}, rounds, step_done
        ).items()
    }
    test = {
        name: [seconds / methods[name].test_batch for seconds in taken]
        for name, taken in time_in_turns(
            {name: one.test_step for name, one in running.items()}, rounds, step_done
        ).items()
    }
    beside = stands_for[baseline]
    for name, row in rows.items():
        row["training_images_per_second"] = spread([1 / taken for taken in training[name]])
        row["training_ratio"] = ratios(training[name], training[beside])
        row["test_milliseconds_per_image"] = spread([1000 * taken for taken in test[name]])
        row["test_ratio"] = ratios(test[name], test[beside])
    return {
        name: rows[other] if other == name else {**rows[other], "shares": other}
        for name, other in stands_for.items()
    }


def _counts(method: RunningMethod) -> dict[str, Any]:
    """Return the figures that are counted, not timed; they also warm the method up."""
    train_batch, test_batch = len(method.on_training.images), len(method.on_test.images)
    macs_training = count_macs(method.losses) / train_batch
    method.train_step()  # optimizers make their state in their first step
    peak_training = peak_above_before(method.train_step, method.device)
    read = tensors_read(method.model, lambda: method.test_step(1))
    peak_test = peak_above_before(method.test_step, method.device)
    return {
        "parameters_training": sum(p.numel() for p in method.model.parameters()),
        "parameters_test": sum(p.numel() for p in read if isinstance(p, nn.Parameter)),
        "macs_training": round(macs_training),
        "macs_test": count_macs(lambda: method.test_step(1)),
        "peak_training_bytes": storage_bytes(method.training_state()) + peak_training,
        "peak_test_bytes": peak_test
        + sum(tensor.nbytes for tensor in [*read, method.on_test.images]),
        "descriptor_bytes": FLOAT32 * method.test_step(1).shape[1],
        "device": str(method.device),
        "precision": method.precision,
        "training_batch": train_batch,
        "test_batch": test_batch,
    }
