"""What "too little of the person is visible" costs and gains on SynthOcc, as an answer of its own.

``python benchmarks/refusing.py DUMP.npz SYNTHOCC -o RESULT.json`` takes the share of the queries
that are refused, and says how often the first answer to the others is right, when those of the
lowest visibility are refused: by the model's own estimate (``search --min-visibility``), and by the
true visible share, which SynthOcc knows, as the most that visibility can give. Intervals are over
the queries' identities; "gain" is against refusing nobody, the refused drawn anew in each resample.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from synthocc_dump import known_of, read_words, visible_shares
from tabulate import tabulate

from fed_plugin.retrieval.distances import cosine_distance
from fed_plugin.retrieval.ranking import rank

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
RESAMPLES = 2000


def main() -> int:
    """Rank, refuse, write, print."""
    dump, args = read_words(__doc__.splitlines()[0])
    query, gallery = dump.query, dump.gallery
    labels = [x[rows] for x in (dump.pids, dump.camids) for rows in (query, gallery)]
    ranked = rank(cosine_distance(dump.features[query], dump.features[gallery]), *labels)
    query = query[ranked.valid_queries]
    true = visible_shares(dump, query, args.synthocc)
    estimated = dump.visibility[query].mean(axis=1)
    hits, pids = ranked.hits_at(1), dump.pids[query]
    rows = [
        {"refused by": name, "refused": share, **compare(visible, hits, pids, share)}
        for share in SHARES
        for name, visible in (("the model's estimate", estimated), ("the true share", true))
    ]
    about = known_of(dump)
    spread = np.percentile(estimated, [5, 50, 95]).round(3).tolist()
    record = {
        "about": {**about, "queries": len(query), "identities": len(np.unique(pids))},
        "estimate": {
            "correlation_with_true_share": float(np.corrcoef(estimated, true)[0, 1]),
            "percentiles_5_50_95": spread,
        },
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(tabulate([_words(row) for row in rows], headers="keys"))
    return 0


def compare(
    visible: NDArray[Any], hits: NDArray[Any], pids: NDArray[Any], share: float
) -> dict[str, Any]:
    """Refuse the ``share`` of queries of which least is visible; Rank-1 of the others, in per cent.

    Args:
        visible: (V,) what the refusal goes by.
        hits: (V,) 1 where the first answer is right.
        pids: (V,) identities, drawn whole for the intervals.
        share: in [0, 1).

    Returns:
        ``rank1`` with its interval, ``gain`` over refusing nobody with its interval, and
        ``refused_rank1``, None if nobody is refused.
    """

    def both(rows: NDArray[np.int64]) -> tuple[float, float]:
        order = rows[np.argsort(visible[rows], kind="stable")]
        kept = order[int(share * len(order)) :]
        return 100 * float(hits[kept].mean()), 100 * float(hits[rows].mean())

    people, index = np.unique(pids, return_inverse=True)
    of_person = [np.flatnonzero(index == person) for person in range(len(people))]
    draw = np.random.default_rng(0)
    drawn = np.array(
        [
            both(
                np.concatenate([of_person[i] for i in draw.integers(len(people), size=len(people))])
            )
            for _ in range(RESAMPLES)
        ]
    )
    rank1, everybody = both(np.arange(len(hits)))
    order = np.argsort(visible, kind="stable")[: int(share * len(hits))]
    ends = np.percentile(drawn[:, 0], [2.5, 97.5]), np.percentile(drawn @ [1, -1], [2.5, 97.5])
    return {
        "rank1": [rank1, *ends[0].tolist()],
        "gain": [rank1 - everybody, *ends[1].tolist()],
        "refused_rank1": 100 * float(hits[order].mean()) if order.size else None,
    }


def _words(row: dict[str, Any]) -> dict[str, str]:
    lost = row["refused_rank1"]
    return {
        "refused": f"{row['refused']:.0%}",
        "by": row["refused by"],
        "Rank-1 of the rest": "{:.1f} [{:.1f}, {:.1f}]".format(*row["rank1"]),
        "gain": "{:+.1f} [{:+.1f}, {:+.1f}]".format(*row["gain"]),
        "Rank-1 of the refused": "-" if lost is None else f"{lost:.1f}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
