"""Choices inside a training step, each beside what it replaced: the optimizer and the attention.

``SOLVER.FUSED`` updates the weights of ViT-B/16 with FED's head; ``attend`` takes the fused
operation in fp32 and two products in bf16 on a CPU, here with the heads and tokens of that ViT.

    python benchmarks/speed/choices.py --rounds 20

writes ``benchmarks/results/speed/choices.json``; on a GPU ``choices_cuda.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from interleaved import compared, in_turns, print_table, write_row
from steps import THREADS, device, fed, named, wait
from torch import Tensor

from fed_plugin.modeling.fdm import attend_in_two_products

TARGET = "below 1 where it is chosen: SOLVER.FUSED, attention in fp32 (in bf16 on a CPU it is not)"
FLOOR = (
    "optimizer: weight, gradient and momentum read, weight and momentum written, 5 x 143 M x 4 "
    "bytes, 0.14 s at 20 GB/s. Attention: no floor, the products are the same"
)
HEADS, TOKENS, WIDTH = 12, 129, 64


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    measured: dict[str, Any] = {"optimizer": optimizer(args.rounds)}
    for dtype in (torch.float32, torch.bfloat16):
        name = f"attention, {str(dtype).removeprefix('torch.')}"
        measured[name] = attention(args.images, dtype, args.rounds)
    write_row(named("choices"), TARGET, FLOOR, measured)


def optimizer(rounds: int) -> dict[str, Any]:
    """Time an optimizer's step, fused and not."""
    steps: dict[str, Callable[[], None]] = {}
    for name, fused in (("not fused", False), ("fused", True)):
        method = fed(2, "SOLVER.FUSED", fused)
        method.train_step()  # gives every weight a gradient

        def step(method: Any = method) -> None:
            method.optimizer.step()
            wait()

        steps[name] = step
    return said("SOLVER.FUSED", compared(in_turns(steps, rounds, progress=False), "not fused"))


def attention(images: int, dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Time forward and backward of one layer's attention, fused and in two products."""
    drawn = torch.randn(3, images, HEADS, TOKENS, WIDTH, device=device()).to(dtype)
    q, k, v = (one.requires_grad_() for one in drawn.unbind())

    gradient = torch.randn_like(q)

    def run(attend: Callable[..., Tensor]) -> None:
        attend(q, k, v).backward(gradient)
        wait()

    steps: dict[str, Callable[[], None]] = {
        "two products": lambda: run(attend_in_two_products),
        "fused operation": lambda: run(F.scaled_dot_product_attention),
    }
    found = compared(in_turns(steps, rounds, progress=False), "two products")
    return said(f"attention, {dtype}", found)


def said(what: str, found: dict[str, Any]) -> dict[str, Any]:
    """Print a comparison and return it."""
    print(f"\n{what}")
    print_table(found, unit="ms")
    return found


if __name__ == "__main__":
    main()
