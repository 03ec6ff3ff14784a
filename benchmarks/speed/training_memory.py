"""Peak memory of a training step, FED's and the bare stock ViT's, each in a process of its own.

    python benchmarks/speed/training_memory.py

writes ``benchmarks/results/speed/training_memory.json``. Tensors are counted from PyTorch's record
of every allocation (on a GPU by its allocator); resident memory is what the system saw, interpreter
and libraries included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from interleaved import peak_resident, write_row
from steps import BF16, RECOMPUTED, THREADS, BareViT, device, fed, named
from tabulate import tabulate
from torch import Tensor, nn
from training_floor import VIT_PARAMETERS, fed_parameters

from fed_plugin.costs.measure import peak_above_before, storage_bytes

TARGET = "<= 1.08 of the bare stock ViT's peak plus FED's own weights, gradients and momentum"
COLUMNS = ["step", "stays", "peak", "resident", "ratio", "resident ratio", "CPU s of a step"]
COPIES = 3  # weight, gradient, momentum
FLOAT32 = 4
BARE = "bare stock ViT"
WORDS = {"FED, fp32": (), "FED, bf16": BF16, "FED, fp32, recomputed": RECOMPUTED}
NAMES = (BARE, *WORDS)


def main() -> None:
    """Measure each in a new process, compare and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64 if device().type == "cuda" else 8)
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.batch)))
        return
    found = {name: in_new_process(name, args.batch) for name in NAMES}
    own = FLOAT32 * COPIES * fed_parameters()
    for row in found.values():
        for kind in ("tensors", "resident") if device().type == "cpu" else ("tensors",):
            allowed = found[BARE][kind] + (0 if row is found[BARE] else own)
            row[f"{kind}_ratio"] = round(row[kind] / allowed, 4)
    print(f"B = {args.batch}, FED's own weights, gradients and momentum {own / 1e6:.0f} MB; in MB")
    cells = [
        [name, *(round(row[key] / 1e6) for key in ("stays", "tensors", "resident"))]
        + [row["tensors_ratio"], row.get("resident_ratio", "-"), row["cpu_seconds"]]
        for name, row in found.items()
    ]
    print(tabulate(cells, COLUMNS))
    floor = (
        f"1.00: FED's {fed_parameters() / 1e6:.1f} M values three times, {own / 1e6:.0f} MB; its "
        "activations, 16 samples of 3072 numbers and 8 neighbours each, are 2 MB a layer and live "
        f"while the ViT's gigabytes do; the ViT's own {VIT_PARAMETERS / 1e6:.1f} M values stay "
        "as they are"
    )
    write_row(
        named("training_memory"), TARGET, floor, {"batch": args.batch, "own_bytes": own, **found}
    )


def in_new_process(name: str, batch: int) -> dict[str, Any]:
    """Measure one in a process of its own."""
    command = [sys.executable, __file__, "--batch", str(batch), "--one", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, batch: int) -> dict[str, float]:
    """Take three steps, the last one recorded.

    Returns:
        Bytes: ``stays`` between steps, ``tensors`` at the peak, ``resident`` at its peak before the
        recording, which takes memory of its own. And ``cpu_seconds`` of one step.
    """
    torch.set_num_threads(THREADS)
    step, stays = prepare(name, batch)
    step()
    start = time.process_time()
    step()
    seconds = time.process_time() - start
    seen = peak_resident() if device().type == "cpu" else 0
    rise = peak_above_before(step, device())
    kept = storage_bytes(stays())
    return {"stays": kept, "tensors": kept + rise, "resident": seen, "cpu_seconds": seconds}


def prepare(name: str, batch: int) -> tuple[Callable[[], Any], Callable[[], list[Tensor]]]:
    """Return a step and a function that lists the tensors that stay between steps."""
    if name != BARE:
        method = fed(batch, *WORDS[name])
        return method.train_step, method.training_state
    bare = BareViT(batch)

    def stays() -> list[Tensor]:
        momenta = [state["momentum_buffer"] for state in bare.optimizer.state.values()]
        parameters = list(bare.model.parameters())
        gradients: list[Tensor | nn.Parameter] = [p.grad for p in parameters]
        return [*parameters, *gradients, *momenta, bare.images]

    return bare.train_step, stays


if __name__ == "__main__":
    main()
