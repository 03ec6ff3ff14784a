"""Keep what a benchmark found, without weights, logs and descriptors; or go on from what was kept.

``python benchmarks/collect_benchmark.py OUT benchmarks/results/synthocc_medium`` copies the joined
results (with every query's outcome and the protocol cards), costs, report, and of each cell its
record, training curve and robustness curve. ``fed-plugin report`` reads the copy as it
reads the benchmark's own folder.

``python benchmarks/collect_benchmark.py --restore benchmarks/results/synthocc_medium OUT`` makes
such a folder of it again, where ``fed-plugin benchmark`` runs only what is missing. Lists
of failures and correlations of visibility need descriptors, which are not kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from fed_plugin.benchmark.cells import RESULT, read_record
from fed_plugin.files import write_json

RESULTS = "results.json"
WHOLE = (RESULTS, "costs.json", "report/report.*")
OF_CELLS = ("cell.json", "metrics.json", "robustness.json")


def main() -> None:
    """Copy, in place of what was there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of a benchmark, or of what was kept")
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--restore", action="store_true", help="go on from what was kept")
    args = parser.parse_args()
    if not (args.source / RESULTS).is_file():
        parser.error(f"{args.source}: holds no {RESULTS}; expected the folder of a benchmark")
    if args.restore and args.target.exists():
        parser.error(f"{args.target}: is there already; expected the name of a new folder")
    shutil.rmtree(args.target, ignore_errors=True)
    found = copy(args.source, args.target)
    if args.restore:
        restore_results(args.source, args.target)
    size = sum(path.stat().st_size for path in found) / 1e6
    print(f"{args.target}: {len(found)} files, {size:.1f} MB")


def copy(source: Path, target: Path) -> list[Path]:
    """Copy what is kept; return where it lay."""
    patterns = [*WHOLE, *(f"*/*/seed*/{name}" for name in OF_CELLS)]
    found = [path for pattern in patterns for path in sorted(source.glob(pattern))]
    for path in found:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    return found


def restore_results(source: Path, target: Path) -> None:
    """Give every finished cell its own result again; forget cells that were only begun."""
    cells = json.loads((source / RESULTS).read_text(encoding="utf-8"))["cells"]
    results = {(cell["dataset"], cell["method"], cell["seed"]): cell["result"] for cell in cells}
    for record in target.glob("*/*/seed*/cell.json"):
        cell = read_record(record.parent)
        result = results.get((cell.dataset, cell.method, cell.seed))
        if result is None:
            shutil.rmtree(record.parent)
        else:
            write_json(record.parent / RESULT, result)


if __name__ == "__main__":
    main()
