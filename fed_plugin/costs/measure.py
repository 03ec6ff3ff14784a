"""Costs of several methods: counted operations and memory, and time measured in turns."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from fed_plugin.fastreid_adapter.running_method import RunningMethod, tensors_read

# Multiplications of a forward pass, and the tensors of a model that the pass reads.
#
# Shape shorthand: ``B`` images, ``H`` heads, ``S, T`` tokens, ``E, F`` channels of a head.


def _attention_flops(q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any, **__: Any):
    # two products of q (B, H, S, E), k (B, H, T, E) and v (B, H, T, F)
    B, H, S, E = q
    return 2 * B * H * S * k[2] * (E + v[3])


def _vector_flops(a: Sequence[int], b: Sequence[int], *_: Any, **__: Any) -> int:
    # product of (S, E) or (E,) with (E,)
    return 2 * torch.Size(a).numel()


NOT_COUNTED_BY_TORCH = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention_flops,
    "mv": _vector_flops,
    "dot": _vector_flops,
}
"""PyTorch 2.14 counts nothing for these operations, such as fused attention on the CPU."""


def count_macs(function: Callable[[], Any]) -> int:
    """Run a function once, and count its multiply-accumulate operations.

    Convolutions, matrix products and attention count; elementwise operations, sums and sorting do
    not. One operation is two floating-point operations of PyTorch's counter.
    """
    formulas = {getattr(torch.ops.aten, name): f for name, f in NOT_COUNTED_BY_TORCH.items()}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        function()
    return counter.get_total_flops() // 2


# Time in turns: a slow phase of the machine slows all methods alike.


def time_in_turns(
    steps: Mapping[str, Callable[[], Any]],
    rounds: int,
    progress: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds by method, one per round; each round runs one step of every method.

    A step returns when its work is done, also the work of a GPU. Every second round runs backwards.
    Therefore a machine that slows down evenly favours no method. ``progress`` gets the method after
    each step.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(rounds):
        for name in order:
            start = clock()
            steps[name]()
            seconds[name].append(clock() - start)
            if progress is not None:
                progress(name)
        order.reverse()
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(values: Sequence[float], baseline: Sequence[float]) -> dict[str, float]:
    """Return the spread of the ratios to the baseline's values of the same rounds."""
    return spread([a / b for a, b in zip(values, baseline, strict=True)])


# Peak memory of tensors above the memory before.
#
# On the CPU the peak is the sum of PyTorch's records of allocations, on CUDA the allocator's own
# count. Memory of the interpreter and of libraries without PyTorch's allocator is not counted.


def peak_above_before(function: Callable[[], Any], device: torch.device) -> int:
    """Run a function once, and return the peak of tensors' memory in bytes above the start."""
    if device.type != "cuda":
        return max(accumulate(_allocations(function), initial=0))
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the tensors' storages; a shared storage counts once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def _allocations(function: Callable[[], Any]) -> list[int]:
    """Return allocated (above 0) and freed (below 0) bytes on the CPU, in order."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        record.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(errors="replace"))["traceEvents"]
    events = [event for event in events if event.get("name") == "[memory]"]
    return [event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["ts"])]


FLOAT32 = 4
MEASURED = (
    *("parameters_training", "parameters_test", "macs_training", "macs_test"),
    *("training_images_per_second", "training_ratio"),
    *("test_milliseconds_per_image", "test_ratio", "peak_training_bytes", "peak_test_bytes"),
    "descriptor_bytes",
)
SETTINGS = ("device", "precision", "identities", "training_batch", "test_batch")
COUNTING = 4
"""Steps of the progress that stand for the counting of one method."""


@dataclass(frozen=True)
class CostedMethod:
    """Config to measure with, training identities, and images of a training and a test step."""

    cfg: Any
    num_classes: int
    training_batch: int
    test_batch: int

    @property
    def cost_key(self) -> tuple[str, ...]:
        """Key that is equal for methods that differ only in data, augmentation or seeds."""
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
    """Measure the costs of methods, all of them on this machine and in the same rounds.

    A method with the ``cost_key`` of an earlier method gets the figures of the earlier method, and
    its name under ``shares``. ``progress`` gets steps done, steps in all and the method.

    Returns:
        By method, the figures of a row of ``costs.json`` (docs/costs.md), and its ``SETTINGS``.

    Raises:
        ValueError: A config cannot be run; the message names the method.
    """
    first: dict[tuple[str, ...], str] = {}
    stands_for = {name: first.setdefault(one.cost_key, name) for name, one in methods.items()}
    total, done = len(first) * (COUNTING + 2 * rounds), 0

    def count(name: str, steps: int = 1) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(done, total, name)

    running: dict[str, RunningMethod] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name in first.values():
        one = methods[name]
        batches = one.training_batch, one.test_batch
        with _errors_name(name):
            running[name] = RunningMethod(one.cfg, one.num_classes, *batches)
    for name, method in running.items():
        with _errors_name(name):
            rows[name] = _counts(method)
        count(name, COUNTING)
    training = time_in_turns({n: one.train_step for n, one in running.items()}, rounds, count)
    test = time_in_turns({n: one.test_step for n, one in running.items()}, rounds, count)
    for seconds, batch in ((training, "training_batch"), (test, "test_batch")):
        for name, row in rows.items():  # of an image
            seconds[name] = [one / row[batch] for one in seconds[name]]
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
    try:
        yield
    except (ValueError, RuntimeError, AssertionError, KeyError, OSError) as error:
        if not str(error):
            raise
        raise ValueError(f"{method}: {error}") from error


def _counts(method: RunningMethod) -> dict[str, Any]:
    """Return the counted figures; the counting also warms the method up."""
    training_batch, test_batch = len(method.on_training.images), len(method.on_test.images)
    macs_training = count_macs(method.losses) / training_batch
    method.train_step()  # the first step makes the optimizer's state
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
