"""Photos per second of the stock training loader, against its workers, without NPO and with it.

fast-reid's own loader reads SynthOcc tiny (JPEG, drawn for this) with the transforms of
``occluded_duke_vit_base``: 256 x 128, flip, padding, colour jitter; FED's adds the occluded view.
A loader's first batches, which wait for its workers to start, do not count.

    python benchmarks/speed/loading.py --rounds 10

writes ``benchmarks/results/speed/loading.json``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from interleaved import RESULTS, spread, write_row
from steps import configured
from tabulate import tabulate
from torch import set_num_threads

from fed_plugin.synthocc import build_synthocc

BATCH = 32
PIPELINES = {"stock transforms": (), "with NPO": ("NPOAugmentation",)}
TARGET = "more photos a second than a training step takes; a worker more is a core more"
FLOOR = (
    "two views of 256 x 128 x 3 float32 numbers, 0.8 MB a photo, written by the worker and once "
    "more into the batch: 0.08 ms at 20 GB/s; decoding, resizing, padding and jittering are PIL's, "
    "the same with and without NPO; no more than the cores there are"
)


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--batches", type=int, default=20, help=f"of {BATCH} photos, timed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the record")
    args = parser.parse_args()
    set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        build_synthocc(Path(folder) / "SynthOcc", "tiny")
        from fastreid.data import build

        build._root = folder  # it was read from FASTREID_DATASETS when the host was imported
        found = measure(args.workers, args.batches, args.rounds)
    measured = {"batch": BATCH, "cores": os.cpu_count(), "photos_per_second": found}
    print(tabulate(table(found), ["workers", *PIPELINES]))
    write_row("loading", TARGET, FLOOR, measured, args.out)


def measure(
    workers: Iterable[int], batches: int, rounds: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Load in turns; return photos per second by transforms and number of workers."""
    from fastreid.data import build_reid_train_loader

    loaders = {
        (name, count): build_reid_train_loader(loading(extra, count))
        for count in workers
        for name, extra in PIPELINES.items()
    }
    rates: dict[tuple[str, int], list[float]] = {which: [] for which in loaders}
    order = list(loaders)
    for turn in range(rounds):
        for which in order:
            rates[which].append(photos_per_second(loaders[which], batches))
            print(f"round {turn + 1}/{rounds}  {which}  {rates[which][-1]:.0f}", file=sys.stderr)
        order.reverse()
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in PIPELINES}
    for (name, count), values in rates.items():
        found[name][f"{count} workers"] = spread(values)
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> list[list[str]]:
    """Return a line per number of workers: medians with the spread."""
    said = {
        name: [f"{row['median']:.0f} ({row['min']:.0f}-{row['max']:.0f})" for row in rows.values()]
        for name, rows in found.items()
    }
    return [list(line) for line in zip(next(iter(found.values())), *said.values(), strict=True)]


def loading(extra: tuple[str, ...], workers: int) -> Any:
    """Return the config of a loader."""
    return configured(
        *("DATASETS.NAMES", ("SynthOcc",)),
        *("INPUT.EXTRA_TRANSFORMS", extra),
        *("DATALOADER.NUM_WORKERS", workers),
        *("SOLVER.IMS_PER_BATCH", BATCH),
    )


def photos_per_second(loader: Any, batches: int) -> float:
    """Load without end; time some batches behind those that were waiting at the start."""
    loaded = iter(loader)
    for _ in islice(loaded, 2 * loader.num_workers + 1):
        pass
    start = time.perf_counter()
    for _ in islice(loaded, batches):
        pass
    seconds = time.perf_counter() - start
    if hasattr(loader, "shutdown"):  # its workers would fill their queues while others are timed
        loader.shutdown()
    return BATCH * batches / seconds


if __name__ == "__main__":
    main()
