"""Describing images with FED beside the bare stock ViT, in fp32 and bf16.

    python benchmarks/speed/test_forward.py --rounds 20

writes ``benchmarks/results/speed/test_forward.json``. Whether bf16 ranks as fp32 does is measured
on a trained model by ``bf16_ranking.py``.
"""

from __future__ import annotations

import argparse

import torch
from interleaved import compared, in_turns, print_table, write_row
from steps import BF16, THREADS, BareViT, device, fed, named
from training_floor import products_per_second

from fed_plugin.modeling.vit import VIT_PRESETS, TokenViT

BASELINE = "bare stock ViT, fp32"
TARGET = "fp32 <= 1.00, bf16 <= 0.50 of the bare stock ViT in fp32"
FLOOR = (
    "fp32: 1.00, and what fused attention changes; FED adds a mean over tokens and the OEM's "
    "0.6 M multiplications to 11.3 G per image. bf16: {ratio:.2f}, the ratio of the matrix "
    "products alone ({bf16:.0f} and {fp32:.0f} G multiplications/s, measured before the steps); "
    "LayerNorm, GELU and sums stay in fp32"
)


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64 if device().type == "cuda" else 16)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    rates = {kind: products_per_second(kind) / 1e9 for kind in (torch.float32, torch.bfloat16)}
    steps = {
        BASELINE: BareViT(args.batch).test_step,
        "bare stock ViT, bf16": BareViT(args.batch, torch.bfloat16).test_step,
        "FED, fp32": fed(args.batch).test_step,
        "FED, bf16": fed(args.batch, *BF16).test_step,
    }
    found = compared(in_turns(steps, args.rounds, progress=False), BASELINE)
    print(f"{args.batch} images, {device().type}")
    print_table(found, unit="ms")
    patches = patch_embedding(args.batch, args.rounds)
    write_row(
        named("test_forward"),
        TARGET,
        FLOOR.format(
            fp32=rates[torch.float32],
            bf16=rates[torch.bfloat16],
            ratio=rates[torch.float32] / rates[torch.bfloat16],
        ),
        {"batch": args.batch, **found, "patch embedding": patches},
    )


@torch.no_grad()
def patch_embedding(batch: int, rounds: int) -> dict[str, object]:
    """Time the first layer in fp32, as it is under autocast on the CPU, and in bf16."""
    embed = TokenViT((256, 128), VIT_PRESETS["base"]).patch_embed.to(device())
    images = torch.randn(batch, 3, 256, 128, device=device())

    def in_bf16() -> None:
        with torch.autocast(device().type, torch.bfloat16):
            embed.proj(images)

    steps = {"fp32": lambda: embed(images), "bf16": in_bf16}
    found = compared(in_turns(steps, rounds, progress=False), "fp32")
    print("\nThe first layer alone")
    print_table(found, unit="ms")
    return found


if __name__ == "__main__":
    main()
