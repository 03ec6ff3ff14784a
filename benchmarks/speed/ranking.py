"""CMC, mAP and mINP of Market-1501's size: `rank` beside fast-reid's Cython and its Python.

Compiles fast-reid's ``rank_cy.pyx`` in a temporary folder (Cython, a C compiler, most of a minute).
All three get the same distances; fast-reid's Python gets fewer queries, as it takes minutes, and
its seconds are scaled up: it goes through the queries one by one.

    python benchmarks/speed/ranking.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import (
    compared,
    in_turns,
    peak_resident,
    print_table,
    reset_peak,
    resident,
    write_row,
)

from fed_plugin.retrieval import rank

OURS, CYTHON, PYTHON = "fed_plugin rank", "fast-reid, Cython", "fast-reid, Python"
GIGA = 1e9


def main() -> None:
    """Draw, compile, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15_913)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--python-queries", type=int, default=60, help="0 leaves it out")
    args = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1]))
    from compare_with_cython import compile_cython, draw, load

    case = draw(args.queries, args.gallery, pids=750)
    distmat, q_pids, g_pids, q_camids, g_camids = case
    few = args.python_queries
    part = (distmat[:few], q_pids[:few], g_pids, q_camids[:few], g_camids)
    with tempfile.TemporaryDirectory() as folder:
        compile_cython(Path(folder), ("rank_cy",))
        evaluate_cy = load(Path(folder), "rank_cy").evaluate_cy
    from fastreid.evaluation.rank import eval_market1501

    ours, theirs = rank(*case), evaluate_cy(*case, 50, False)
    difference = {
        "cmc": float(np.abs(ours.cmc - theirs[0]).max()),
        "average_precision": float(np.abs(ours.average_precisions - theirs[1]).max()),
        "inverse_negative_penalty": float(
            np.abs(ours.inverse_negative_penalties - theirs[2]).max()
        ),
    }
    steps = {OURS: lambda: rank(*case), CYTHON: lambda: evaluate_cy(*case, 50, False)}
    memory = {name: memory_of(step) for name, step in steps.items()}
    if few:
        steps[PYTHON] = lambda: eval_market1501(*part, 50)
    taken = in_turns(steps, args.rounds)
    for clock in taken.get(PYTHON, ()):
        taken[PYTHON][clock] = [seconds * args.queries / few for seconds in taken[PYTHON][clock]]
    found = compared(taken, CYTHON)
    print_table(found)
    print("memory beside the distances, GB:", memory, "\nlargest difference:", difference)
    pairs = args.queries * args.gallery
    write_row(
        "ranking",
        "<= 1.0 x fast-reid's compiled Cython, without a compiler; memory bounded by blocks",
        f"the distances are read once: {4 * pairs / GIGA:.2f} GB, 0.02 s at 10 GB/s; a sort of a "
        f"row compares {np.log2(args.gallery):.0f} times per distance, {pairs / GIGA:.3f} G "
        "distances; counting those below each of the some 20 right answers would compare 20 times",
        {
            "steps": found,
            "memory_beside_the_distances_gb": memory,
            "largest_difference": difference,
            "python_queries": few,
            "seconds": taken,
        },
    )


def memory_of(step: Any) -> float:
    """Return the gigabytes that a step takes at most beside what is there before it."""
    reset_peak()
    before = resident()
    step()
    return round((peak_resident() - before) / GIGA, 3)


if __name__ == "__main__":
    main()
