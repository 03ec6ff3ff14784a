"""Exact CMC, mAP and mINP of a gallery that is too large for a matrix of distances.

Ranks the first images of a drawn gallery (``drawn_people.py draw FOLDER --images 1000000 --queries
10000``) for all of its queries from the files, and says time, peak memory of the process, and how
much of the time a matrix product alone would take: that of one block, measured before and after.
The smallest size is ranked from all distances as well, which must give the same numbers.

    python benchmarks/speed/ranking_in_blocks.py FOLDER --sizes 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interleaved import peak_resident, reset_peak, resident, write_row
from tabulate import tabulate

from fed_plugin.console import ProgressLine
from fed_plugin.retrieval import cosine_distance, rank, rank_features

LABELS = ("q_pids", "g_pids", "q_camids", "g_camids")
COMPARED = ("cmc", "average_precisions", "inverse_negative_penalties", "first_hits")
GIGA = 1e9
_BLOCK = (1024, 8192)


def main() -> None:
    """Rank, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--compared-queries", type=int, default=2000)
    args = parser.parse_args()
    query = np.load(args.folder / "query.npy")
    gallery = np.load(args.folder / "gallery.npy", mmap_mode="r")
    with np.load(args.folder / "labels.npz") as file:
        labels = [file[name] for name in LABELS]
    rows = [measure(query, gallery, labels, size) for size in args.sizes]
    few = (query[: args.compared_queries], gallery[: args.sizes[0]])
    cut = [x[: len(few[i % 2])] for i, x in enumerate(labels)]
    blocks, whole = rank_features(*few, *cut), rank(cosine_distance(*few), *cut)
    same = {
        name: bool(np.array_equal(*(getattr(x, name) for x in (blocks, whole))))
        for name in COMPARED
    }
    print("the same as from all distances:", same)
    columns = ["gallery", "seconds", "CPU s", "product alone, CPU s", "peak GB", "mAP"]
    print(
        tabulate(
            [
                [
                    row[key]
                    for key in (
                        "images",
                        "seconds",
                        "cpu_seconds",
                        "product_cpu_seconds",
                        "peak_resident_gb",
                        "mAP",
                    )
                ]
                for row in rows
            ],
            columns,
        )
    )
    size, width = args.sizes[-1], gallery.shape[1]
    write_row(
        "ranking_in_blocks",
        "exact, under 6 GB, with progress",
        f"{len(query)} x {size}, D = {width}: {2 * len(query) * size * width / 1e12:.1f} TFLOP of "
        f"float32 products; the file, {4 * size * width / GIGA:.1f} GB, is read twice; each of "
        f"{len(query) * size / 1e9:.0f} G distances is sorted in its block, 13 comparisons each",
        {
            "queries": len(query),
            "sizes": rows,
            "same_as_from_all_distances": {"queries": len(few[0]), "images": len(few[1]), **same},
        },
    )


def measure(
    query: np.ndarray, gallery: np.ndarray, labels: list[np.ndarray], size: int
) -> dict[str, Any]:
    """Rank one size once; queries without a right answer in it are left out by the ranking."""
    cut = [x[:size] if i % 2 else x for i, x in enumerate(labels)]
    rates = [product_rate(query, gallery)]
    loads = [os.getloadavg()[0]]
    reset_peak()
    start, cpu = time.perf_counter(), time.process_time()
    with ProgressLine(f"ranking {size}") as progress:
        result = rank_features(query, gallery[:size], *cut, progress=progress)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_resident()
    rates.append(product_rate(query, gallery))
    loads.append(os.getloadavg()[0])
    flop = 2 * len(result.valid_queries) * size * query.shape[1]
    row = {
        "images": size,
        "valid_queries": len(result.valid_queries),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "product_cpu_seconds": round(flop / max(rates), 2),
        "product_gflop_per_cpu_second": [round(rate / 1e9, 1) for rate in rates],
        "peak_resident_gb": round(peak / GIGA, 3),
        "resident_after_gb": round(resident() / GIGA, 3),
        "load_average": [round(load, 2) for load in loads],
        "mAP": round(result.mAP, 6),
        "Rank-1": round(result.rank1, 6),
    }
    print(row, file=sys.stderr, flush=True)
    return row


def product_rate(query: np.ndarray, gallery: np.ndarray) -> float:
    """Return FLOP per CPU second of the matrix product of one block, the best of three."""
    a, b = (
        torch.from_numpy(np.array(x[:n])) for x, n in zip((query, gallery), _BLOCK, strict=True)
    )
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        torch.mm(a, b.T)
        best = max(best, 2 * len(a) * b.numel() / (time.process_time() - start))
    return best


if __name__ == "__main__":
    main()
