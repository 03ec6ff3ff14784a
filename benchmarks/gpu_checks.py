"""Checks of FED on a GPU: losses of the CPU, the memory's update twice, steps, one NCCL process.

    python benchmarks/gpu_checks.py --json checks.json

prints a line per check and writes them as JSON; the status is 1 if one fails. ``--device cpu``
runs the same code without a GPU, with gloo.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from fastreid.config import get_cfg
from torch import distributed

import fed_plugin.fastreid_adapter  # noqa: F401 - registers what the configs name
from fed_plugin.console import machine_words
from fed_plugin.fastreid_adapter.config_files import find_config
from fed_plugin.fastreid_adapter.running_method import RunningMethod

IDENTITIES, STEPS, TOLERANCE = 702, 5, 2e-3
NO_DROPS = ("MODEL.BACKBONE.DROP_PATH_RATIO", 0.0)
PRECISIONS: dict[str, tuple[Any, ...]] = {
    "fp32": (),
    "bf16": ("MODEL.FED.PRECISION", "bf16"),
    "host AMP": ("SOLVER.AMP.ENABLED", True),
}


def running(leaf: str, device: str, batch: int, *words: Any) -> RunningMethod:
    """Return a leaf's method on a device."""
    cfg = get_cfg()
    cfg.merge_from_file(find_config(leaf))
    cfg.merge_from_list(["MODEL.DEVICE", device, *words])
    return RunningMethod(cfg, IDENTITIES, batch, 2)


def same_losses(leaf: str, device: str, batch: int) -> dict[str, Any]:
    """Compare the losses of one batch with those of the CPU, from the same weights."""
    on_cpu = running(leaf, "cpu", batch, *NO_DROPS)
    there = running(leaf, device, batch, *NO_DROPS)
    there.model.load_state_dict(on_cpu.model.state_dict())
    for name, memory in there.model.heads.memories.items():  # a fresh run fills loaded ones anew
        memory.fill(on_cpu.model.heads.memories[name].features.to(device))
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        ours, theirs = ({k: v.item() for k, v in m.losses().items()} for m in (there, on_cpu))
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
    gaps = {name: abs(ours[name] - theirs[name]) / (1 + abs(theirs[name])) for name in theirs}
    return {"ok": max(gaps.values()) < TOLERANCE, "gaps": gaps, "losses": ours}


def same_memory_twice(leaf: str, device: str, batch: int) -> dict[str, Any]:
    """Update the memory twice from the same state; the bits must agree."""
    method = running(leaf, device, batch, *NO_DROPS)
    heads = method.model.heads
    start = {name: memory.features.clone() for name, memory in heads.memories.items()}
    noise = torch.Generator().manual_seed(1)
    width = next(iter(start.values())).shape[1]
    new = torch.randn(batch, width, generator=noise).to(device)
    targets = (torch.arange(batch) // 4).to(device)
    ends = []
    for _ in range(2):
        for name, memory in heads.memories.items():
            memory.fill(start[name].clone())
        heads.update_memories(new, new, targets)
        ends.append([memory.features.clone() for memory in heads.memories.values()])
    moved = any(not torch.equal(a, b) for a, b in zip(ends[0], start.values(), strict=True))
    equal = all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    return {"ok": equal and moved, "equal": equal, "moved": moved}


def steps(leaf: str, device: str, batch: int, *words: Any) -> dict[str, Any]:
    """Take steps; return images per second and the peak of the GPU's memory."""
    method = running(leaf, device, batch, *words)
    method.train_step()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        method.train_step()
        seconds.append(time.perf_counter() - start)
    images = method.on_training.images
    finite = all(torch.isfinite(p).all() for p in method.model.parameters())
    peak = torch.cuda.max_memory_allocated() if device != "cpu" else 0
    rate = images[..., 0, 0, 0].numel() / statistics.median(seconds)
    return {"ok": finite, "images_per_second": round(rate, 1), "peak_bytes": peak}


def group_of_one(leaf: str, device: str, batch: int) -> dict[str, Any]:
    """Take a step of ``DistributedDataParallel`` in a group of one process."""
    method = running(leaf, device, batch)
    with tempfile.TemporaryDirectory() as folder:
        backend = "gloo" if device == "cpu" else "nccl"
        distributed.init_process_group(
            backend, init_method=f"file://{folder}/group", rank=0, world_size=1
        )
        try:
            model = torch.nn.parallel.DistributedDataParallel(method.model)
            method.trainer.model = model
            method.train_step()
        finally:
            distributed.destroy_process_group()
    return {"ok": True, "backend": backend}


def checks(args: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the checks by name, the short ones first."""
    device, leaf, batch = args.device, args.leaf, args.batch
    small = min(batch, 8)
    found: dict[str, Callable[[], dict[str, Any]]] = {
        "losses of the CPU": lambda: same_losses(leaf, device, small),
        "memory updated twice": lambda: same_memory_twice(leaf, device, batch),
        "one process of a group": lambda: group_of_one(leaf, device, small),
    }
    for method in (leaf, f"{leaf}_baseline"):
        for name, words in PRECISIONS.items():
            if name != "bf16" or method == leaf:  # the host's Baseline has no such key
                found[f"steps of {method}, {name}"] = lambda method=method, words=words: steps(
                    method, device, batch, *words
                )
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run all checks; write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--leaf", default="occluded_duke_vit_base")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args(words)
    os.makedirs(args.json.parent, exist_ok=True)
    record: dict[str, Any] = {"machine": machine_words(), "torch": torch.__version__, "checks": {}}
    for name, check in checks(args).items():
        start = time.perf_counter()
        try:
            row = check()
        except Exception as error:  # the others still tell something
            row = {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}
        row["seconds"] = round(time.perf_counter() - start, 1)
        record["checks"][name] = row
        args.json.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{'ok  ' if row['ok'] else 'FAIL'} {name}: {row}", flush=True)
    return 0 if all(row["ok"] for row in record["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
