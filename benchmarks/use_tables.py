"""Tables of docs/results.md on what descriptors are used for: calibrating, tracking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CALIBRATION = "calibration_fed_plus.json"
TRACKING = "tracking.json"
METRICS = {"switches": "switches", "switches_after_gap": "at re-appearances", "idf1": "IDF1 %"}


def calibration_table() -> str:
    """Render what was said and what was true of people that the curve was not fitted on."""
    record = _read(CALIBRATION)
    of, fitted, tried = record["of"], record["fitted"], record["tried"]
    rows = [
        [
            f"{row['low']:g} to {row['high']:g}",
            str(row["pairs"]),
            f"{row['said']:.3f}",
            f"{row['true']:.3f}",
        ]
        for row in record["reliability"]
    ]
    rates = "; ".join(
        f"{row['tpr']:.3f} at FPR {row['fpr']:g} (similarity above {row['similarity_above']:.3f})"
        for row in record["rates"]
        if row["tpr"] is not None
    )
    return "\n".join(
        [
            f"{of['method']}, seed {of['seed']}, epoch {of['epoch']}: fitted on {fitted['people']} "
            f"of the test people, tried on the {tried['people']} others ({tried['pairs']} pairs, "
            f"{tried['right_pairs']} of them right). TPR: {rates}.",
            "",
            *_table(["probability", "pairs", "said", "true"], rows),
            "",
        ]
    )


def tracking_table() -> str:
    """Render identity switches, and the differences between models on the same videos."""
    record = _read(TRACKING)
    protocol = record["protocol"]
    rows = [
        [
            row["tracker"],
            row["descriptor"] or "none",
            *(_interval(row["mean"][name], 100 if name == "idf1" else 1) for name in METRICS),
        ]
        for row in record["rows"]
    ]
    gaps = [
        [
            gap["tracker"],
            f"{gap['first']} - {gap['other']}",
            METRICS[gap["metric"]],
            _interval(gap["difference"], 100 if gap["metric"] == "idf1" else 1, sign="+"),
            f"{gap['p_holm']:.4f}",
        ]
        for gap in record["differences"]
    ]
    head = ["matched by", "descriptor", *METRICS.values()]
    return "\n".join(
        [
            f"{len(protocol['seeds']['measured'])} videos of {protocol['frames']} frames and "
            f"{protocol['people']} people, {protocol['detections']} detections; per video, with "
            "95 % intervals over videos; settings chosen on other videos. "
            f"Machine: {record['machine']}. Raw numbers: `benchmarks/results/{TRACKING}`.",
            "",
            *_table(head, rows),
            "",
            *_table(["matched by", "difference", "in", "", "p (Holm)"], gaps),
            "",
        ]
    )


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _interval(ends: list[float], factor: float = 1, sign: str = "") -> str:
    mean, low, high = (f"{factor * value:{sign}.1f}" for value in ends)
    return f"{mean} [{low}, {high}]"
