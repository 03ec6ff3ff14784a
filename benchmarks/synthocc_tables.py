"""Tables of the benchmarks on SynthOcc, from the folders that are committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fed_plugin.report.curves import Robustness, read_robustness
from fed_plugin.report.tables import Benchmark, Row, Table, make_tables, read_benchmark
from fed_plugin.retrieval.estimates import Estimate

KEPT = Path(__file__).parent / "results" / "synthocc_medium"
TRIED = KEPT.with_name("synthocc_tried")
DATASET, BASELINE, METHOD, PLUS = "SynthOcc", "ViT baseline", "FED", "FED plus"
WORTH = (
    ("FDM", METHOD, "FED without FDM"),
    ("FDM", "FED, own BatchNorm", "FED without FDM"),
    ("FDM", PLUS, "FED plus without FDM"),
    ("OEM", PLUS, "FED plus without OEM"),
)
"""What a module is worth: with it, and without."""
HEADER = (
    "method",
    "Rank-1",
    "mAP",
    f"mAP above {BASELINE}",
    f"mAP above {METHOD}",
    "whole: Rank-1",
    "covered: area, mAP",
    "training step",
)


def benchmark_table() -> str:
    """Render means and ranges over seeds, intervals over queries, and what they say in words."""
    benchmark = read_benchmark(KEPT)
    table, to_method = (make_tables(benchmark, DATASET, name)[0] for name in (BASELINE, METHOD))
    robustness, against = read_robustness(table), read_robustness(to_method)
    curves = {row.method: row for row in robustness.rows}
    costs = _costs()
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    for row, other in zip(table.rows, to_method.rows, strict=True):
        curve = curves.get(row.method)
        cells = [
            f"{row.method}{_seeds(row)}",
            _number(row.numbers.get("Rank-1")),
            _number(row.numbers.get("mAP")),
            _gap(row.gaps.get("mAP")),
            _gap(other.gaps.get("mAP")),
            _number(curve.numbers["whole, Rank-1"] if curve else None),
            _number(curve.numbers["area, mAP"] if curve else None),
            costs.get(row.method, "-"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    words = [_plus(table, robustness), _plus(to_method, against), _steps(to_method)]
    words += [_worth(benchmark, *one) for one in WORTH]
    return (
        "\n\n".join([_heading(benchmark), "\n".join(lines), " ".join(filter(None, words))]) + "\n"
    )


def _heading(benchmark: Benchmark) -> str:
    card = benchmark.cells[0].result.card
    seeds = sorted({cell.seed for cell in benchmark.cells})
    epochs = next(c.settings["SOLVER.MAX_EPOCH"] for c in benchmark.cells if c.method == METHOD)
    return (
        f"SynthOcc `medium`: {card['query']['images']} occluded queries against "
        f"{card['gallery']['images']} whole images, drawn; seeds {', '.join(map(str, seeds))}; "
        f"{epochs} epochs, the last one (not the best); no re-ranking, no flip test. Per cent; "
        "mean (range over seeds) [95 % interval over people, each with all queries]. *Whole*: "
        "gallery images as queries; *covered*: the same with more and more of a side covered, area "
        "under the curve; the intervals of both are over queries. *Training step*: time, relative "
        "to the baseline's. Repeat: `benchmarks/plans/synthocc.yml`. "
        "[Report](benchmarks/results/synthocc_medium/report/report.md), raw numbers and protocol "
        "cards: `benchmarks/results/synthocc_medium/`."
    )


def _plus(table: Table, robustness: Robustness) -> str:
    """Say how far the repaired method is above another one, occluded and whole."""
    gaps = next(row.gaps for row in table.rows if row.method == PLUS)
    whole = next((row.gaps for row in robustness.rows if row.method == PLUS), {})
    words = [f"{_points(gaps[name])} {name}" for name in ("Rank-1", "mAP")]
    words += [f"{_points(whole[f'whole, {name}'])} {name}" for name in ("Rank-1", "mAP") if whole]
    said = f"{PLUS} against {table.baseline}: {' and '.join(words[:2])} on occluded queries"
    return said + (f", {' and '.join(words[2:])} on whole ones." if whole else ".")


def _steps(table: Table) -> str:
    """Name the methods that are not above FED, and those that are."""
    kinds: dict[str, list[str]] = {"above": [], "below": [], "not to be told from": []}
    for row in table.rows:
        gap = row.gaps.get("mAP")
        if gap is None or row.kind != "trained" or row.method == PLUS:
            continue
        side = "above" if gap.low > 0 else "below" if gap.high < 0 else "not to be told from"
        kinds[side].append(row.method)
    said = [f"{side} it: {'; '.join(names)}" for side, names in kinds.items() if names]
    return f"By mAP, beside {METHOD}: {'. '.join(said)}."


def _worth(benchmark: Benchmark, module: str, method: str, without: str) -> str:
    """Say what a module is worth in a method, query by query."""
    rows = {row.method: row for row in make_tables(benchmark, DATASET, without)[0].rows}
    if method not in rows or not rows[method].gaps:
        return ""
    return f"{module} in {method}: {_points(rows[method].gaps['mAP'])} mAP beside {without}."


def _costs() -> dict[str, str]:
    path = KEPT / "costs.json"
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    found = {row["method"]: row.get("training_ratio") for row in rows}
    return {name: f"x {ratio['median']:.1f}" for name, ratio in found.items() if ratio}


def _seeds(row: Row) -> str:
    """Say which seeds a row stands on, where some are missing."""
    if not row.missing:
        return ""
    return f" (seed {', '.join(map(str, row.seeds))} only)" if row.seeds else " (not run yet)"


def _number(number: Estimate | None) -> str:
    return "-" if number is None else f"{number:.1f}"


def _gap(gap: Estimate | None) -> str:
    if gap is None:
        return "-"
    value = f"{gap.value:+.1f}"
    return f"{f'**{value}**' if gap.excludes_zero else value} [{gap.low:+.1f}, {gap.high:+.1f}]"


def _points(gap: Estimate) -> str:
    return f"{gap.value:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]"


def tried_table() -> str:
    """Render what was tried on the repaired method, one seed each."""
    table = json.loads((TRIED / "report" / "report.json").read_text(encoding="utf-8"))["tables"][0]
    estimates = table["visible"]["visibility_correlation"]
    header = ("method", "Rank-1", "mAP", f"mAP above {table['baseline']}", "visibility r")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for row in table["rows"]:
        metrics = [_estimate(row["metrics"][name]) for name in ("Rank-1", "mAP")]
        gap = row["differences"].get("mAP")
        cells = [row["method"], *map(_number, metrics), _gap(_estimate(gap) if gap else None)]
        cells.append(f"{estimates[row['method']]['mean']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _estimate(content: Mapping[str, Any]) -> Estimate:
    ends = {name: content[name] for name in ("low", "high", "lowest", "highest")}
    return Estimate(content["mean" if "mean" in content else "value"], **ends)
