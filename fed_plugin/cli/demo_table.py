"""The demo's table: what a described test set is worth, in the host's words and in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tabulate import tabulate

from fed_plugin.datasets.synthocc import read_visibility
from fed_plugin.retrieval import RankingResult, bootstrap_interval, cosine_distance, rank
from fed_plugin.retrieval.visible_share import correlate_visibility

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.description import Description


@dataclass(frozen=True)
class Row:
    """One line of the demo's table: percentages, millions of parameters, seconds.

    ``visibility`` is the correlation of the predicted with the true visible share over all parts of
    all queries; None for a method that predicts none.
    """

    method: str
    seed: int
    rank1: float
    rank1_low: float
    rank1_high: float
    rank5: float
    rank10: float
    mAP: float  # noqa: N815 - the field's spelling
    mINP: float  # noqa: N815
    visibility: float | None
    parameters: float
    seconds: float


def make_row(method: str, seed: int, description: Description, seconds: float) -> Row:
    """Rank a described test set and sum it up.

    Args:
        method: name in the table.
        seed: of the training.
        description: of SynthOcc's test set.
        seconds: the training took.
    """
    ranking = rank_description(description)
    rank1 = bootstrap_interval(100.0 * (ranking.first_hits == 0))
    return Row(
        method=method,
        seed=seed,
        rank1=100 * ranking.rank1,
        rank1_low=rank1.low,
        rank1_high=rank1.high,
        rank5=100 * ranking.rank5,
        rank10=100 * ranking.rank10,
        mAP=100 * ranking.mAP,
        mINP=100 * ranking.mINP,
        visibility=_visibility_correlation(description),
        parameters=description.num_parameters / 1e6,
        seconds=seconds,
    )


def _visibility_correlation(description: Description) -> float | None:
    if description.visibility is None:
        return None
    queries = [Path(path) for path in description.paths[: description.num_query]]
    rows = read_visibility(queries[0].parents[1])
    truth = np.array([rows[query.name].shares[1:] for query in queries])
    return correlate_visibility(description.visibility[: len(queries)], truth)


def rank_description(description: Description) -> RankingResult:
    """Rank the gallery of a described data set for its queries, by cosine."""
    query, gallery = slice(None, description.num_query), slice(description.num_query, None)
    return rank(
        cosine_distance(description.features[query], description.features[gallery]),
        description.pids[query],
        description.pids[gallery],
        description.camids[query],
        description.camids[gallery],
    )


def report(rows: list[Row], path: Path, context: dict[str, Any]) -> None:
    """Print the table and write its numbers.

    Args:
        rows: lines, in order.
        path: JSON file to write.
        context: what a reader needs to judge the numbers, written beside them.
    """
    header = [
        "method",
        "seed",
        "Rank-1 [95 %]",
        "Rank-5",
        "Rank-10",
        "mAP",
        "mINP",
        "vis. r",
        "M",
        "s",
    ]
    table = [
        [
            row.method,
            row.seed,
            f"{row.rank1:.1f} [{row.rank1_low:.1f}, {row.rank1_high:.1f}]",
            *(f"{value:.1f}" for value in (row.rank5, row.rank10, row.mAP, row.mINP)),
            "-" if row.visibility is None else f"{row.visibility:.2f}",
            f"{row.parameters:.2f}",
            f"{row.seconds:.0f}",
        ]
        for row in rows
    ]
    print(f"\nSynthOcc {context['size']}, occluded queries against whole people of other cameras")
    print(tabulate(table, headers=header, tablefmt="github", disable_numparse=True))
    print("intervals: bootstrap over queries; vis. r: correlation of predicted and true visibility")
    print("M: million parameters; s: seconds of training\n")
    path.write_text(json.dumps({**context, "rows": [asdict(row) for row in rows]}, indent=1))
    print(f"numbers: {path}")
