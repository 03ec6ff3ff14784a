"""Training step of FED beside forward, backward and SGD of the bare stock ViT on the same images.

Both in fp32 and bf16, in turns, in one process; the batch lies in memory. Without ``--batches`` one
size, as in the table; with it the ratio against B, drawn as a picture.

    python benchmarks/speed/training_step.py
    python benchmarks/speed/training_step.py --rounds 5 --batches 2 4 8 16

write ``training_step.json`` (on a GPU ``training_step_cuda.json``, for B = 64), or
``training_step_batches.json`` and ``.png``, under ``benchmarks/results/speed``. Peaks of memory are
those of ``training_memory.py``, in processes of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from interleaved import RESULTS, compared, in_turns, print_table, write_row
from steps import IDENTITIES, THREADS, VIEWS, device, named, training_steps
from training_floor import floor, products_per_second

from fed_plugin.visualization.lines import Curve, Panel, training_figure

BASELINE = "bare stock ViT, fp32"
PANELS = {"seconds per photo": "wall", "ratio": "ratio", "ratio of CPU time": "cpu_ratio"}
TARGETS = {
    "cpu": "fp32 <= 1.06 (released code 1.13-1.18), bf16 <= 0.75 of the fp32 bare stock ViT",
    "cuda": "<= 1.05 of the bare stock ViT of the same precision, B = 64",
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, help="B; 8, on a GPU 64")
    parser.add_argument("--batches", type=int, nargs="+", help="several B, and a plot")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    kind, rate = device().type, products_per_second()
    if args.batches:
        by_batch = {batch: measure(batch, args.rounds) for batch in args.batches}
        measured = {f"B={batch}": found for batch, found in by_batch.items()}
        least = floor(max(by_batch), rate)
        write_row(named("training_step_batches"), TARGETS[kind], least, measured)
        draw(by_batch)
        return
    batch = args.batch or (64 if kind == "cuda" else 8)
    measured = {f"B={batch}": measure(batch, args.rounds)}
    write_row(named("training_step"), TARGETS[kind], floor(batch, rate), measured)
    if kind != "cuda":
        print(
            "No CUDA device: the table of images per second in fp32 and bf16 at B = 64 is skipped"
        )


def measure(batch: int, rounds: int) -> dict[str, Any]:
    """Time all steps at a batch size.

    Args:
        batch: B; FED and the bare ViT encode 2 B images.
        rounds: timed.

    Returns:
        By step what :func:`interleaved.compared` says, and images per second.
    """
    taken = in_turns(training_steps(batch), rounds)
    found: dict[str, Any] = compared(taken, BASELINE)
    print(f"\nB = {batch} ({VIEWS * batch} images), {IDENTITIES} identities")
    print_table(found)
    in_bf16 = compared(taken, "bare stock ViT, bf16")["FED, bf16"]["ratio"]
    found["FED, bf16"]["ratio_to_the_bare_ViT_in_bf16"] = in_bf16
    print(f"FED to the bare ViT, both in bf16: {in_bf16['median']:.3f}")
    for row in found.values():
        row["images_per_second"] = round(VIEWS * batch / row["wall"]["median"], 2)
    return found


def draw(by_batch: Mapping[int, Mapping[str, Any]]) -> None:
    """Draw time per photo, and ratios to the bare ViT in fp32, against B."""
    batches = sorted(by_batch)
    panels = []
    for title, key in PANELS.items():
        curves = []
        for style, name in enumerate(by_batch[batches[0]]):
            rows = [by_batch[batch][name][key] for batch in batches]
            scale = [1 / batch if key == "wall" else 1.0 for batch in batches]
            lines = {
                statistic: [row[statistic] * by for row, by in zip(rows, scale, strict=True)]
                for statistic in ("median", "min", "max")
            }
            curves.append(Curve(name, style, batches, lines["median"], lines["min"], lines["max"]))
        panels.append(Panel(title, "B, photos of two views", curves))
    training_figure(
        panels,
        RESULTS / f"{named('training_step_batches')}.png",
        "A training step against the size of its batch",
        f"ViT-B/16, 256 x 128, {IDENTITIES} identities, {THREADS} threads; median of the rounds, "
        "bands from the fastest to the slowest. Ratios are to the bare stock ViT in fp32, in the "
        "same round.",
    )


if __name__ == "__main__":
    main()
