"""What torch.compile and channels-last change about a training step of FED and its test forward.

The backbone is compiled, which does nearly all the arithmetic; compiling takes minutes, needs a C++
compiler, and does not count. Channels-last images matter to the one convolution that a ViT has;
they are timed in the test forward, as fast-reid's trainer keeps the weights in one flat buffer,
which has no such layout.

    python benchmarks/speed/compiled.py --rounds 10

writes ``benchmarks/results/speed/compiled.json``; on a GPU ``compiled_cuda.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from interleaved import compared, in_turns, print_table, write_row
from steps import BF16, THREADS, device, fed, named

EAGER = "as it is"
TARGET = "a key where it pays"
FLOOR = (
    "products of matrices are 98 % of the multiplications and stay calls of the same library; what "
    "fuses are LayerNorm, GELU, bias and residual: some 20 passes over 16 x 129 x 768 to 3072 "
    "numbers a layer, forward and back"
)


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64 if device().type == "cuda" else 8)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    measured: dict[str, Any] = {"batch": args.batch}
    for precision, words in {"fp32": (), "bf16": BF16}.items():
        variants = {
            EAGER: fed(args.batch, *words),
            "torch.compile": compiled(fed(args.batch, *words)),
        }
        for what in ("train_step", "test_step"):
            if what == "test_step":
                variants["channels-last"] = channels_last(fed(args.batch, *words))
            steps: dict[str, Callable[[], Any]] = {
                name: getattr(variant, what) for name, variant in variants.items()
            }
            found = compared(in_turns(steps, args.rounds, warm_up=2), EAGER)
            print(f"\n{what} in {precision}, B = {args.batch}")
            print_table(found)
            measured[f"{what}, {precision}"] = found
    write_row(named("compiled"), TARGET, FLOOR, measured)


def compiled(method: Any) -> Any:
    """Compile the backbone of a method, in place."""
    method.model.backbone.compile()
    return method


def channels_last(method: Any) -> Any:
    """Lay the weights of a method's convolutions out channels-last, and its images with them."""
    method.model.to(memory_format=torch.channels_last)
    method.model.backbone.register_forward_pre_hook(
        lambda _, images: (images[0].contiguous(memory_format=torch.channels_last),)
    )
    return method


if __name__ == "__main__":
    main()
