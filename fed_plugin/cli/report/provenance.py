"""Where numbers come from: protocol cards, settings, seeds, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fed_plugin.cli.benchmark.board import clock
from fed_plugin.cli.cards.wording import worded
from fed_plugin.cli.report.benchmark_folder import FinishedCell
from fed_plugin.cli.report.protocols import Table
from fed_plugin.retrieval.protocol_card import ProtocolCard, flat

OWN = ("SEED", "OUTPUT_DIR")  # settings that a seed or a folder sets


def card_lines(table: Table) -> list[tuple[str, str]]:
    """Return every field of the table's cards; values that differ say whose they are."""
    cards = {
        f"{row.method}, seed {cell.seed}": flat(ProtocolCard.from_json(cell.result.card))
        for row in table.rows
        for cell in row.cells
        if cell.result.card
    }
    if not cards:
        return []
    lines = []
    for name in next(iter(cards.values())):
        owners: dict[str, list[str]] = {}
        for owner, card in cards.items():
            owners.setdefault(worded(name, card[name]), []).append(owner)
        values = list(owners)
        if len(values) > 1 and name != "seed":
            values = [f"{value} ({', '.join(who)})" for value, who in owners.items()]
        lines.append((name, "; ".join(values)))
    return lines


def cell_lines(table: Table) -> list[tuple[str, ...]]:
    """Return method, seed, kind, config, time, when and where it ended, of every cell."""
    return [
        (
            row.method,
            str(cell.seed),
            cell.kind,
            cell.source,
            "not known" if cell.seconds is None else clock(cell.seconds),
            "stopped and resumed" if cell.resumed else "in one go",
            cell.ended or "not known",
            cell.machine or "not known",
        )
        for row in table.rows
        for cell in row.cells
    ]


def shared_settings(cells: Sequence[FinishedCell]) -> dict[str, Any]:
    """Return config values that all trained or untrained cells have."""
    all_settings = [cell.settings for cell in cells if cell.kind != "dump"]
    first = all_settings[0] if all_settings else {}
    return {
        key: value
        for key, value in first.items()
        if key not in OWN and all(key in other and other[key] == value for other in all_settings)
    }


def own_settings(cells: Sequence[FinishedCell]) -> dict[str, dict[str, Any]]:
    """Return by method what it sets and not all others do."""
    shared = shared_settings(cells)
    return {cell.method: _without(cell.settings, shared) for cell in reversed(cells)}


def _without(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in (*shared, *OWN)}
