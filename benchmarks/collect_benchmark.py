"""Keep a benchmark as one JSON file: tables, differences, costs and the protocol, no raw arrays.

``python benchmarks/collect_benchmark.py OUT benchmarks/results/NAME.json`` writes the report of the
benchmark in OUT once per baseline and joins the numbers. The arrays of every query stay in OUT; the
command of the plan makes them again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from fed_plugin.cli import main as fed_plugin

FORMAT = "fed_plugin.benchmark_record/1"


def main() -> None:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of a benchmark")
    parser.add_argument("target", type=Path, help="JSON file to write")
    parser.add_argument(
        "--baselines",
        nargs="+",
        required=True,
        metavar="METHOD",
        help="the first one is the table's",
    )
    args = parser.parse_args()
    record = collect(args.source, args.baselines)
    args.target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{args.target}: {args.target.stat().st_size / 1e3:.0f} kB")


def collect(source: Path, baselines: list[str]) -> dict[str, Any]:
    """Join the reports of a benchmark that differ in their baseline alone."""
    cells = json.loads((source / "results.json").read_text(encoding="utf-8"))["cells"]
    reports = {name: _report(source, name) for name in baselines}
    first = reports[baselines[0]]
    (table,) = first["tables"]
    trained = [cell for cell in cells if cell["settings"].get("SOLVER.MAX_EPOCH")]
    return {
        "format": FORMAT,
        "plan": first["plan"],
        "measured": first["measured"],
        "settings": {cell["method"]: cell["settings"] for cell in trained},
        "card": cells[0]["result"]["card"],
        "costs": first["costs"],
        "table": table,
        "differences": {name: _differences(reports[name]) for name in baselines},
    }


def _report(source: Path, baseline: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        status = fed_plugin(["report", str(source), "--baseline", baseline, "--out", folder])
        if status:
            raise SystemExit(status)
        return json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))


def _differences(report: dict[str, Any]) -> dict[str, Any]:
    """Return the differences to one baseline: of the metrics and of the robustness curves."""
    (table,) = report["tables"]
    robustness = (table.get("robustness") or {}).get("rows", [])
    return {
        "metrics": {row["method"]: row["differences"] for row in table["rows"]},
        "robustness": {row["method"]: row["differences"] for row in robustness},
    }


if __name__ == "__main__":
    main()
