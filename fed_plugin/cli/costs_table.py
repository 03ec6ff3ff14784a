"""The table of a ``costs.json``, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

HEADER = (
    *("method", "M parameters train / test", "G MACs train / test", "trained images/s", "time"),
    *("test ms/image", "time", "MB peak train / test", "descriptor bytes"),
)


def costs_table(content: Mapping[str, Any]) -> str:
    """Return a line per method; ``time`` is a ratio to the baseline's.

    Args:
        content: of ``costs.json`` (docs/costs.md).
    """
    rows = costs_lines(content)
    return tabulate(rows, headers=HEADER, tablefmt="github", disable_numparse=True)


def costs_lines(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the table's lines, as wide as ``HEADER``."""
    return [_line(row) for row in content["rows"]]


def _line(row: Mapping[str, Any]) -> list[str]:
    name = row["method"] + (" *" if "shares" in row else "")
    if row["parameters_training"] is None:
        return [name, *["-"] * (len(HEADER) - 2), str(row["descriptor_bytes"])]
    return [
        name,
        _pair(row, "parameters_training", "parameters_test", 1e6),
        _pair(row, "macs_training", "macs_test", 1e9),
        _spread(row["training_images_per_second"]),
        f"x {_spread(row['training_ratio'])}",
        _spread(row["test_milliseconds_per_image"]),
        f"x {_spread(row['test_ratio'])}",
        _pair(row, "peak_training_bytes", "peak_test_bytes", 1e6),
        str(row["descriptor_bytes"]),
    ]


def _pair(row: Mapping[str, Any], training: str, test: str, unit: float) -> str:
    return f"{_short(row[training] / unit)} / {_short(row[test] / unit)}"


def _spread(values: Mapping[str, float]) -> str:
    median, low, high = (_short(values[name]) for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def _short(value: float) -> str:
    """Round to three digits and write them out, without an exponent."""
    return f"{float(f'{value:.3g}'):.10g}"


def notes(content: Mapping[str, Any]) -> str:
    """Return what a reader has to know of the table.

    Args:
        content: of ``costs.json``.
    """
    about = content["about"]
    busy, cores = about["load_before"][0], about["cores"]
    lines = [
        f"On {about['machine']}, {about['device']}, {about['precision']}, threads: "
        f"{about['threads']}, torch {about['torch']}; batches of {about['training_batch']} in "
        f"training, {about['test_batch']} at test; {about['identities']} identities; rounds: "
        f"{about['rounds']}, each with a step of every method; median (min to max) over them.",
        f"time: per image, beside {about['baseline']} in the same round. Images are noise in "
        "memory: reading, drawing and augmenting them is not in the times (docs/costs.md).",
    ]
    if busy > cores / 2:
        lines.append(
            f"The machine was busy ({busy} of {cores} cores, before): trust the ratios more than "
            "the times, and measure again when it is quiet."
        )
    shared: dict[str, list[str]] = {}
    for row in content["rows"]:
        if "shares" in row:
            shared.setdefault(row["shares"], []).append(row["method"])
    lines += [
        f"* {', '.join(names)}: measured once, with {name}: the same network and training step."
        for name, names in shared.items()
    ]
    return "\n".join(lines)
