"""Search of a gallery, top 50: a compressed index beside faiss's exact `IndexFlatIP`.

Both get the first images of a drawn gallery (``drawn_people.py draw FOLDER --images 1000000``); the
queries are further images of its people. Memory is what the index takes once it is built, and the
most that the process had beside the queries while it searched. The largest size needs room for
`IndexFlatIP`: 12.3 GB.

    python benchmarks/speed/search.py FOLDER --sizes 10000 100000 1000000 --rounds 10
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import (
    compared,
    in_turns,
    peak_resident,
    print_table,
    reset_peak,
    resident,
    write_row,
)

from fed_plugin.retrieval.large_ranking import give_back_pages
from fed_plugin.search.gallery_index import ExactDescriptors, compress

EXACT, OURS = "faiss IndexFlatIP", "CompressedDescriptors"
TOP = 50
GIGA = 1e9


def main() -> None:
    """Build, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=100, help="queries at once")
    parser.add_argument("--recall-queries", type=int, default=500)
    args = parser.parse_args()
    asking = np.load(args.folder / "query.npy", mmap_mode="r")
    asking = np.array(asking[: max(args.batch, args.recall_queries)])
    gallery = np.load(args.folder / "gallery.npy", mmap_mode="r")
    rows = [measure(gallery[:size], asking, args) for size in args.sizes]
    size, width = args.sizes[-1], gallery.shape[1]
    kept = 3 * width // 8
    image_bytes = width // 8 + kept - width // 32
    write_row(
        "search",
        "recall@50 >= 0.98 at <= 1/10 of the time and <= 1/8 of the memory of IndexFlatIP",
        f"{size} x {width}: exact, 2 x {size} x {width} = {2 * size * width / 1e9:.1f} GFLOP a "
        f"query and {4 * size * width / GIGA:.1f} GB read once per batch. Compressed, a product "
        f"with {width // 32} numbers of each, {2 * size * (width // 32) / 1e9:.2f} GFLOP and "
        f"{4 * size * (width // 32) / GIGA:.2f} GB, one comparison per image, and 400 candidates "
        f"by {kept} numbers: 1/32 of the time; 4 x D / 32 + (3 D / 8 - D / 32) = {image_bytes} "
        f"bytes an image, 1/{4 * width / image_bytes:.1f} of the memory",
        {"top": TOP, "batch": args.batch, "rounds": args.rounds, "sizes": rows},
    )


def measure(gallery: np.ndarray, asking: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one size."""
    size, batch = len(gallery), asking[: args.batch]
    memory: dict[str, dict[str, float]] = {EXACT: {}, OURS: {}}
    before = resident()
    wait_for_room(4 * gallery.size)
    made = ExactDescriptors(gallery.shape[1])
    made.add(gallery)
    give_back_pages(gallery)
    exact = made.faiss
    memory[EXACT]["index_gb"] = round(4 * gallery.size / GIGA, 4)
    memory[EXACT]["resident_gb"] = round((resident() - before) / GIGA, 4)
    before = resident()
    start = time.perf_counter()
    ours, said = compress(made, TOP)
    compressing = time.perf_counter() - start
    memory[OURS]["index_gb"] = round(sum(x.nbytes for x in ours.arrays().values()) / GIGA, 4)
    memory[OURS]["resident_gb"] = round((resident() - before) / GIGA, 4)
    for name, index in ((OURS, ours), (EXACT, exact)):
        reset_peak()
        before = resident()
        index.search(batch, TOP)
        working = max(0, peak_resident() - before) / GIGA
        memory[name]["while_searching_gb"] = round(memory[name]["index_gb"] + working, 4)
    right = exact.search(asking[: args.recall_queries], TOP)
    found = ours.search(asking[: args.recall_queries], TOP)
    shares = [np.isin(a, b).mean() for a, b in zip(right[1], found[1], strict=True)]
    lost = np.take_along_axis(right[0], np.zeros((len(right[0]), 1), int), 1) - found[0][:, :1]
    row: dict[str, Any] = {
        "images": size,
        "recall_at_50": {
            "mean": round(float(np.mean(shares)), 4),
            "worst_query": round(float(np.min(shares)), 4),
        },
        "candidates_per_answer": ours.candidates,
        "recall_that_index_prints": round(said, 4),
        "seconds_to_compress": round(compressing, 1),
        "same_first": round(float((right[1][:, 0] == found[1][:, 0]).mean()), 4),
        "similarity_lost_by_the_first": spread_of(lost.ravel()),
        "memory": memory,
    }
    for words, queries in (("batch", batch), ("single", batch[:1])):
        steps = {
            EXACT: lambda queries=queries: exact.search(queries, TOP),
            OURS: lambda queries=queries: ours.search(queries, TOP),
        }
        taken = in_turns(steps, args.rounds)
        row[words] = compared(taken, EXACT)
        print(f"{size} images, {len(queries)} queries at once")
        print_table(row[words], "ms")
    print({key: row[key] for key in ("recall_at_50", "same_first", "memory")}, flush=True)
    return row


def wait_for_room(needed: int, margin: int = 2_000_000_000) -> None:
    """Wait until so many bytes are free, as other work on this machine must not be killed."""
    while True:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
        if free > needed + margin:
            return
        print(f"waiting for {needed / GIGA:.1f} GB, {free / GIGA:.1f} free", file=sys.stderr)
        time.sleep(10)


def spread_of(values: np.ndarray) -> dict[str, float]:
    """Return median and largest."""
    return {"median": round(float(np.median(values)), 5), "max": round(float(values.max()), 5)}


if __name__ == "__main__":
    main()
