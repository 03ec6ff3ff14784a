"""The most memory that tensors take while something runs, above what they took before.

On the CPU it is summed up from PyTorch's record of every allocation, on CUDA it is the allocator's
own count. Both leave out what libraries take behind PyTorch's back, and the interpreter.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile


def peak_above_before(function: Callable[[], Any], device: torch.device) -> int:
    """Return by how many bytes the memory of tensors rises at most while a function runs.

    Args:
        function: run once.
        device: CPU or CUDA, where its tensors are.
    """
    if device.type != "cuda":
        return _highest(_allocations(function))
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes behind tensors, shared ones once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def _allocations(function: Callable[[], Any]) -> list[int]:
    """Return bytes allocated (above 0) and freed (below 0) on the CPU, in order."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        record.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(errors="replace"))["traceEvents"]
    events = [event for event in events if event.get("name") == "[memory]"]
    return [event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["ts"])]


def _highest(changes: Iterable[int]) -> int:
    level = highest = 0
    for change in changes:
        level += change
        highest = max(highest, level)
    return highest
