"""Tables of the benchmarks on SynthOcc, from the committed records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MEDIUM, TRIED = RESULTS / "synthocc_medium.json", RESULTS / "synthocc_tried.json"
BASELINE, METHOD, PLUS, RESNET = "ViT baseline", "FED", "FED plus", "ResNet-18 bag of tricks"
WORTH = (
    ("FDM", METHOD, "FED without FDM"),
    ("FDM", "FED, own BatchNorm", "FED without FDM"),
    ("FDM", PLUS, "FED plus without FDM"),
    ("OEM", PLUS, "FED plus without OEM"),
)
"""Module, method with the module, the same method without the module."""


def front_table() -> str:
    """Render four methods and three numbers, with their provenance, for the README."""
    record = _read(MEDIUM)
    rows = {row["method"]: row for row in record["table"]["rows"]}
    costs = _costs(record)
    lines = [
        [
            name,
            *(_number(rows[name]["metrics"][metric]) for metric in ("Rank-1", "mAP")),
            costs[name],
        ]
        for name in (BASELINE, METHOD, PLUS, RESNET)
    ]
    card, settings = record["card"], record["settings"][METHOD]
    return (
        _table(["method", "Rank-1", "mAP", "training step"], lines)
        + f"\nSynthOcc `medium`: {card['query']['images']} occluded queries, "
        f"{card['gallery']['images']} whole images, drawn. All trainings start from random weights "
        f"and take {settings['SOLVER.MAX_EPOCH']} epochs. Per cent: mean over seeds "
        f"{', '.join(map(str, rows[METHOD]['seeds']))} (range) [95 % interval over people]. "
        f"Training step: time, relative to the ViT baseline's. Measured {record['measured'][:10]}; "
        "plan: `benchmarks/plans/synthocc.yml`, "
        "record: `benchmarks/results/synthocc_medium.json`.\n"
    )


def benchmark_table() -> str:
    """Render every method of the plan, differences, and the worth of each module."""
    record = _read(MEDIUM)
    curves = {row["method"]: row["metrics"] for row in record["table"]["robustness"]["rows"]}
    costs = _costs(record)
    header = ["method", "Rank-1", "mAP", f"mAP above {BASELINE}", f"mAP above {METHOD}"]
    header += ["whole: Rank-1", "covered: area, mAP", "training step"]
    lines = []
    for row in record["table"]["rows"]:
        name, curve = row["method"], curves.get(row["method"], {})
        lines.append(
            [
                name,
                _number(row["metrics"].get("Rank-1")),
                _number(row["metrics"].get("mAP")),
                *(
                    _gap(_differences(record, other, name).get("mAP"))
                    for other in (BASELINE, METHOD)
                ),
                _metric(curve.get("whole, Rank-1")),
                _metric(curve.get("area, mAP")),
                costs.get(name, "-"),
            ]
        )
    words = [_plus(record, BASELINE), _plus(record, METHOD), _sides(record)]
    words += [_worth(record, *one) for one in WORTH]
    return "\n\n".join([_heading(record), _table(header, lines).rstrip(), " ".join(words)]) + "\n"


def visible_table() -> str:
    """Render mAP by the visible share of the query, for four methods."""
    record = _read(MEDIUM)
    lines = []
    for row in record["table"]["visible"]["bins"]:
        values = {value["method"]: value for value in row["values"] if value["metric"] == "mAP"}
        cells = [_visible_number(values[name]) for name in (BASELINE, METHOD, PLUS, RESNET)]
        lines.append([f"{row['low']:.0%} to {row['high']:.0%}", str(row["count"]), *cells])
    return _table(["visible share", "queries", BASELINE, METHOD, PLUS, RESNET], lines) + (
        "\nmAP in per cent, mean over seeds (range over seeds); same runs as above.\n"
    )


def tried_table() -> str:
    """Render the attempts on the repaired method, one seed each."""
    record = _read(TRIED)
    table = record["table"]
    correlations = table["visible"]["visibility_correlation"]
    header = ["method", "Rank-1", "mAP", f"mAP above {table['baseline']}", "visibility r"]
    return _table(
        header,
        [
            [
                row["method"],
                *(_number(row["metrics"][name]) for name in ("Rank-1", "mAP")),
                _gap(row["differences"].get("mAP")),
                f"{correlations[row['method']]['mean']:.2f}",
            ]
            for row in table["rows"]
        ],
    )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    lines[1] = ["---"] * len(header)
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    text[1] = "|" + "|".join(lines[1]) + "|"
    return "\n".join(text) + "\n"


def _heading(record: Mapping[str, Any]) -> str:
    card = record["card"]
    seeds = next(row["seeds"] for row in record["table"]["rows"] if row["method"] == METHOD)
    epochs = record["settings"][METHOD]["SOLVER.MAX_EPOCH"]
    return (
        f"SynthOcc `medium`: {card['query']['images']} occluded queries against "
        f"{card['gallery']['images']} whole images, drawn; seeds {', '.join(map(str, seeds))}; "
        f"{epochs} epochs, the last one (not the best); no re-ranking, no flip test. Per cent; "
        "mean (range over seeds) [95 % interval over people, each with all queries]. *Whole*: "
        "gallery images as queries; *covered*: the same with more and more of a side covered, area "
        "under the curve; the intervals of both are over queries. *Training step*: time, relative "
        "to the baseline's. Repeat: `fed-plugin benchmark benchmarks/plans/synthocc.yml`. Record: "
        "`benchmarks/results/synthocc_medium.json`."
    )


def _differences(record: Mapping[str, Any], baseline: str, method: str) -> Mapping[str, Any]:
    return record["differences"][baseline]["metrics"].get(method) or {}


def _plus(record: Mapping[str, Any], baseline: str) -> str:
    """Compare the repaired method with another one, on occluded and on whole queries."""
    occluded = _differences(record, baseline, PLUS)
    whole = record["differences"][baseline]["robustness"][PLUS]
    words = [f"{_points(occluded[name])} {name}" for name in ("Rank-1", "mAP")]
    words += [f"{_points(whole[f'whole, {name}'])} {name}" for name in ("Rank-1", "mAP")]
    return (
        f"{PLUS} against {baseline}: {' and '.join(words[:2])} on occluded queries, "
        f"{' and '.join(words[2:])} on whole ones."
    )


def _sides(record: Mapping[str, Any]) -> str:
    """Name the trained methods above FED, below FED, and within the interval."""
    sides: dict[str, list[str]] = {"above FED": [], "below FED": [], "no clear difference": []}
    for row in record["table"]["rows"]:
        gap = _differences(record, METHOD, row["method"]).get("mAP")
        if gap is None or row["kind"] != "trained" or row["method"] == PLUS:
            continue
        side = (
            "above FED"
            if gap["low"] > 0
            else "below FED"
            if gap["high"] < 0
            else "no clear difference"
        )
        sides[side].append(row["method"])
    words = [f"{side}: {'; '.join(names)}" for side, names in sides.items()]
    return f"By mAP: {'. '.join(words)}."


def _worth(record: Mapping[str, Any], module: str, method: str, without: str) -> str:
    """Say what a module is worth in a method, query by query."""
    gap = _differences(record, without, method)["mAP"]
    return f"{module} in {method}: {_points(gap)} mAP against {without}."


def _costs(record: Mapping[str, Any]) -> dict[str, str]:
    rows = (record["costs"] or {"rows": []})["rows"]
    ratios = {row["method"]: row.get("training_ratio") for row in rows}
    return {name: f"x {ratio['median']:.1f}" for name, ratio in ratios.items() if ratio}


def _number(number: Mapping[str, float] | None) -> str:
    if number is None:
        return "-"
    ends = "" if number["low"] is None else f" [{number['low']:.1f}, {number['high']:.1f}]"
    spread = f" ({number['lowest']:.1f} to {number['highest']:.1f})"
    return f"{number['mean']:.1f}{spread if number['lowest'] < number['highest'] else ''}{ends}"


def _visible_number(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.1f} ({value['low']:.1f} to {value['high']:.1f})"


def _gap(gap: Mapping[str, Any] | None) -> str:
    if not gap:
        return "-"
    value = f"{gap['value']:+.1f}"
    value = f"**{value}**" if gap["excludes_zero"] else value
    return f"{value} [{gap['low']:+.1f}, {gap['high']:+.1f}]"


def _points(gap: Mapping[str, float]) -> str:
    return f"{gap['value']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"


def _metric(metric: Mapping[str, float] | None) -> str:
    if metric is None:
        return "-"
    return f"{metric['value']:.1f} [{metric['low']:.1f}, {metric['high']:.1f}]"
