"""Keep what a benchmark found, without weights, logs and descriptors.

    python benchmarks/collect_benchmark.py OUT benchmarks/results/synthocc_medium

copies the joined results (with every query's outcome and the protocol cards), costs, report, and
of each cell its record, training curve and robustness curve. ``python -m fed_plugin report`` reads
the copy as it reads the benchmark's own folder.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

WHOLE = ("results.json", "costs.json", "report/report.*")
OF_CELLS = ("cell.json", "metrics.json", "robustness.json")


def main() -> None:
    """Copy, in place of what was there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of a benchmark")
    parser.add_argument("kept", type=Path, help="folder to make")
    args = parser.parse_args()
    patterns = [*WHOLE, *(f"*/*/seed*/{name}" for name in OF_CELLS)]
    found = [path for pattern in patterns for path in sorted(args.out.glob(pattern))]
    if args.out / "results.json" not in found:
        parser.error(f"{args.out}: holds no results.json; expected the folder of a benchmark")
    shutil.rmtree(args.kept, ignore_errors=True)
    for path in found:
        target = args.kept / path.relative_to(args.out)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    size = sum(path.stat().st_size for path in found) / 1e6
    print(f"{args.kept}: {len(found)} files, {size:.1f} MB")


if __name__ == "__main__":
    main()
