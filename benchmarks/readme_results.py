"""Write the tables of the README and of docs/results.md from the committed results.

The front table and those of the benchmark come from the record of ``plans/synthocc.yml``, the
other ones from ``make demo``, ``synthocc_baselines.py``, ``calibrate --json`` and
``examples/tracking/tracking.py``.

``python benchmarks/readme_results.py`` rewrites them, ``--check`` only tells whether they are
current, ``--collect A/results.json B/results.json`` first replaces the committed results by those
of one or several demos that differ in nothing but seeds and methods.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path

from synthocc_tables import benchmark_table, front_table, tried_table, visible_table
from use_tables import calibration_table, tracking_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "demo_small.json"
UNTRAINED = ROOT / "benchmarks" / "results" / "synthocc_baselines.json"
PAGES = ("README.md", "docs/results.md")
COLUMNS = {"rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "mAP": "mAP", "mINP": "mINP"}


def table() -> str:
    """Render mean and range over seeds as Markdown, with what is needed to repeat it."""
    results = json.loads(RESULTS.read_text())
    methods: dict[str, list[dict]] = {}
    for row in results["rows"]:
        methods.setdefault(row["method"], []).append(row)
    header = ["method", *COLUMNS.values(), "visibility r", "M parameters"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for method, rows in methods.items():
        cells = [method]
        for column in COLUMNS:
            values = [row[column] for row in rows]
            cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        correlations = [row["visibility"] for row in rows if row["visibility"] is not None]
        cells.append(f"{statistics.mean(correlations):.2f}" if correlations else "-")
        cells.append(f"{rows[0]['parameters']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    seeds = sorted({row["seed"] for row in results["rows"]})
    about = results["about"]
    return (
        f"SynthOcc `{results['size']}`: {about['num_query']} occluded queries against "
        f"{about['num_gallery']} whole images; mean and range over seeds "
        f"{', '.join(map(str, seeds))}, epoch {about['epochs']}, the last (not "
        f"the best), no re-ranking, no flip test. Machine: {about['machine']}; PyTorch "
        f"{about['torch']}. Repeat: {', '.join(f'`{c}`' for c in about['commands'])}. Raw numbers: "
        f"`benchmarks/results/{RESULTS.name}`.\n\n"
        + "\n".join(lines)
        + "\n\n"
        + verdict(methods, about["num_query"])
    )


def verdict(methods: dict[str, list[dict]], num_query: int) -> str:
    """Say in words which method wins, seed by seed."""
    baseline = {row["seed"]: row for row in methods["ViT baseline"]}
    sentences = []
    for method, rows in methods.items():
        if method in ("ViT baseline", "untrained ViT"):
            continue
        gains = [row["rank1"] - baseline[row["seed"]]["rank1"] for row in rows]
        above = sum(gain > 0 for gain in gains)
        sentences.append(
            f"{method} is above the ViT baseline in Rank-1 on {above} of {len(gains)} seeds, by "
            f"{statistics.mean(gains):+.1f} points in the mean (one query is "
            f"{100 / num_query:.1f})."
        )
    return " ".join(sentences) + "\n"


def untrained_table() -> str:
    """Render what descriptors that learned nothing reach: means over drawings and seeds."""
    results = json.loads(UNTRAINED.read_text())
    about = results["about"]
    names = dict.fromkeys(row["descriptor"] for row in results["rows"])
    lines = ["| descriptor, nothing learned | Rank-1 | mAP |", "|---|---|---|"]
    best = 0.0
    for name in names:
        cells = [name]
        for column in ("rank1", "mAP"):
            rows = [row[column] for row in results["rows"] if row["descriptor"] == name]
            values = [value for row in rows for value in row]
            best = max(best, statistics.mean(values)) if column == "rank1" else best
            cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append("| " + " | ".join(cells) + " |")
    return (
        f"That the data set is not solved by colour or by chance: on `{about['size']}`, nothing "
        f"below passes {best:.1f} % Rank-1 in the mean (range) over {len(about['drawings'])} "
        f"drawings, networks also over {about['network_seeds']} seeds of their weights. Repeat: "
        f"`{about['command']}`.\n\n" + "\n".join(lines) + "\n"
    )


def collect(paths: list[str]) -> None:
    """Join results of demos on the same data, machine and epochs into the committed file.

    Raises:
        ValueError: they differ in more than their command and rows.
    """
    demos = [json.loads(Path(path).read_text()) for path in paths]
    commands = [demo["about"].pop("command") for demo in demos]
    rows = {}
    for path, demo in zip(paths, demos, strict=True):
        if (demo["size"], demo["about"]) != (demos[0]["size"], demos[0]["about"]):
            raise ValueError(f"{path}: another size or setting than {paths[0]}")
        rows.update({(row["method"], row["seed"]): row for row in demo["rows"]})
    order = ["untrained ViT", "ViT baseline", "FED", "FED plus"]
    joined = {
        "size": demos[0]["size"],
        "about": {**demos[0]["about"], "commands": commands},
        "rows": sorted(rows.values(), key=lambda row: (order.index(row["method"]), row["seed"])),
    }
    RESULTS.write_text(json.dumps(joined, indent=1) + "\n")


def main() -> int:
    """Rewrite or check the README."""
    if "--collect" in sys.argv:
        collect(sys.argv[sys.argv.index("--collect") + 1 :])
    tables = {
        "front": front_table,
        "benchmark": benchmark_table,
        "visible": visible_table,
        "tried": tried_table,
        "demo": table,
        "untrained": untrained_table,
        "calibration": calibration_table,
        "tracking": tracking_table,
    }
    place = re.compile(rf"(<!-- ({'|'.join(tables)}) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
    stale = 0
    for name in PAGES:
        page = ROOT / name
        old = page.read_text(encoding="utf-8")
        new = place.sub(lambda match: match[1] + tables[match[2]]() + match[3], old)
        if "--check" not in sys.argv:
            page.write_text(new, encoding="utf-8")
        elif new != old:
            print(f"{name}: the results differ; run python benchmarks/readme_results.py")
            stale = 1
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
