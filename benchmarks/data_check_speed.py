"""How long ``data check`` takes for 50,000 images.

Draws a data set in Market-1501's form, 128 x 64 JPEGs that all differ, and checks it three times:
everything read, everything remembered, and headers alone. The machine may be busy with other work:
processor seconds stand beside the seconds on the clock.

    python benchmarks/data_check_speed.py --images 50000 --workers 2

writes ``benchmarks/results/data_check_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.image_facts import FactsCache

RESULTS = Path(__file__).parent / "results" / "data_check_speed.json"
CAMERAS = 6
SHARES = {"bounding_box_train": 0.4, "query": 0.1, "bounding_box_test": 0.5}


def main() -> None:
    """Draw, check and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default: {RESULTS.name}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "Market-1501-v15.09.15"
        draw(folder, args.images)
        cache = FactsCache(Path(scratch) / "cache.sqlite")
        rows = [
            measure("read", folder, workers=args.workers, cache=cache),
            measure("remembered", folder, workers=args.workers, cache=cache),
            measure("headers alone", folder, workers=args.workers, decode=False),
        ]
        cache.close()
    about = {
        "images": args.images,
        "workers": args.workers,
        "processors": os.cpu_count(),
        "Pillow": PIL.__version__,
        "command": f"python benchmarks/data_check_speed.py --images {args.images} "
        f"--workers {args.workers}",
    }
    args.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(args.out)


def draw(folder: Path, images: int) -> None:
    """Draw pictures that all differ, with a right answer for every query."""
    rng = np.random.default_rng(0)
    for split in SHARES:
        (folder / split).mkdir(parents=True)
    for path in names(folder, images):
        pixels = rng.integers(0, 256, (12, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((64, 128), Image.Resampling.BICUBIC)
        picture.save(path, quality=90)


def names(folder: Path, images: int) -> Iterator[Path]:
    """Yield where the pictures go."""
    train, query = (int(images * SHARES[split]) for split in ("bounding_box_train", "query"))
    for number in range(images):
        split, pid, camera = "bounding_box_test", number % 750 + 800, number % 5 + 2
        if number < train:
            split, pid, camera = "bounding_box_train", number % 750 + 1, number % CAMERAS + 1
        elif number < train + query:
            split, camera = "query", 1
        yield folder / split / f"{pid:04}_c{camera}s1_{number:06}_01.jpg"


def measure(what: str, folder: Path, **options: Any) -> dict[str, Any]:
    """Check once; return seconds on the clock and of processors, and what was found."""
    (target,) = find_targets(str(folder), "datasets")
    clock, processors = time.perf_counter(), processor_seconds()
    report = check(target, **options)
    row = {
        "run": what,
        "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(processor_seconds() - processors, 1),
        "files_read": report.inspected,
        "images": report.images,
        "findings": sorted({finding.kind for finding in report.findings}),
    }
    print(row)
    return row


def processor_seconds() -> float:
    """Return what this process and its finished children have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    main()
