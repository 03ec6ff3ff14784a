"""Does matching the parts that both photos show find more than plain cosine? By visible share.

``python benchmarks/visible_matching.py DUMP.npz SYNTHOCC -o RESULT.json`` ranks a dump (``dump``)
of SynthOcc by whole descriptors and by ``search --matching visibility``, and writes both, with
paired intervals over the queries' identities, for each range of visible shares.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
from synthocc_dump import known_of, read_words, visible_shares
from tabulate import tabulate

from fed_plugin.retrieval.distances import cosine_distance, visible_similarity
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import paired_bootstrap
from fed_plugin.retrieval.ranking import rank
from fed_plugin.retrieval.result import EDGES

METRICS = ("Rank-1", "mAP")


def main() -> int:
    """Rank, compare, write, print."""
    dump, args = read_words(__doc__.splitlines()[0])
    shares = visible_shares(dump, dump.query, args.synthocc)
    both = {name: _percentages(dump, name) for name in ("cosine", "visibility")}
    rows = [_row(dump, both, shares, *ends) for ends in [(0.0, 1.0), *pairwise(EDGES)]]
    rows = [row for row in rows if row["queries"]]
    about = known_of(dump)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(tabulate([_words(row) for row in rows], headers="keys"))
    return 0


def _percentages(dump: FeatureDump, matching: str) -> dict[str, np.ndarray[Any, Any]]:
    query, gallery = dump.query, dump.gallery
    if matching == "cosine":
        distances = cosine_distance(dump.features[query], dump.features[gallery])
    else:
        assert dump.visibility is not None
        sides = [(dump.features[x], dump.visibility[x]) for x in (query, gallery)]
        distances = 1 - visible_similarity(*sides[0], *sides[1])
    labels = [x[rows] for x in (dump.pids, dump.camids) for rows in (query, gallery)]
    ranked = rank(distances, *labels)
    assert len(ranked.valid_queries) == len(query), "SynthOcc has an answer to each query"
    return {
        "Rank-1": 100.0 * ranked.hits_at(1),
        "mAP": 100.0 * ranked.average_precisions,
    }


def _row(
    dump: FeatureDump,
    both: dict[str, dict[str, np.ndarray[Any, Any]]],
    shares: np.ndarray[Any, Any],
    low: float,
    high: float,
) -> dict[str, Any]:
    chosen = (shares >= low) & ((shares < high) | (high == EDGES[-1]))
    row: dict[str, Any] = {"visible from": low, "to": high, "queries": int(chosen.sum())}
    for name in METRICS if chosen.any() else ():
        cosine, visible = (both[x][name][chosen] for x in ("cosine", "visibility"))
        people = dump.pids[dump.query][chosen]
        ends: list[float | None] = [None, None]  # one person tells nothing about others
        if len(np.unique(people)) > 1:
            gain = paired_bootstrap(visible, cosine, groups=people)
            ends = [gain.low, gain.high]
        row[name] = {
            "cosine": float(cosine.mean()),
            "visibility": float(visible.mean()),
            "difference": [float(np.mean(visible - cosine)), *ends],
        }
    return row


def _words(row: dict[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {x: row[x] for x in ("visible from", "to", "queries")}
    for name in METRICS:
        one = row[name]
        words[name] = f"{one['cosine']:.1f} -> {one['visibility']:.1f}"
        mean, low, high = one["difference"]
        interval = "" if low is None else f" [{low:+.1f}, {high:+.1f}]"
        words[f"{name} gains"] = f"{mean:+.1f}{interval}"
    return words


if __name__ == "__main__":
    raise SystemExit(main())
