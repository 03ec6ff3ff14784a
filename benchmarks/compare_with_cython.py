"""The metrics of `fed_plugin.retrieval` beside fast-reid's own Cython code, on the same data.

Compiles fast-reid's ``rank_cy.pyx`` and ``roc_cy.pyx`` in a temporary folder, which takes Cython, a
C compiler and most of a minute, and says for each case how far the two are apart and how long each
took. Distances are distinct within a row unless the case is about ties.

    python benchmarks/compare_with_cython.py

writes ``benchmarks/results/compare_with_cython.json``. The tests compare with fast-reid's Python,
which needs no compiler.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fed_plugin.retrieval import evaluate_rank, verify_pairs

RESULTS = Path(__file__).parent / "results" / "compare_with_cython.json"
RATES = (1e-4, 1e-3, 1e-2)
SETUP = """
from setuptools import Extension, setup
from Cython.Build import cythonize
import numpy
extensions = [Extension(n, [n + ".pyx"], include_dirs=[numpy.get_include()]) for n in NAMES]
setup(name="compared", ext_modules=cythonize(extensions, language_level=3), py_modules=[])
"""


def main() -> None:
    """Compile, compare and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--gallery", type=int, default=15_913, help="default: Market-1501's")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default: {RESULTS.name}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        compile_cython(Path(folder), ("rank_cy", "roc_cy"))
        seconds = time.perf_counter() - started
        rank_cy, roc_cy = (load(Path(folder), name) for name in ("rank_cy", "roc_cy"))
        rows = [compare_ranking(rank_cy, **case) for case in cases(args.queries, args.gallery)]
        quarter = cases(args.queries // 4, args.gallery // 4)
        rows += [compare_verification(roc_cy, **case) for case in quarter if case["pids"] > 1]
    about = {
        "command": f"python benchmarks/compare_with_cython.py --queries {args.queries} "
        f"--gallery {args.gallery}",
        "compiled_in_seconds": round(seconds, 1),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "cython": importlib.import_module("Cython").__version__,
    }
    args.out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(args.out)


def compile_cython(folder: Path, names: tuple[str, ...]) -> None:
    """Compile copies of fast-reid's Cython files, or end with what is missing."""
    if importlib.util.find_spec("Cython") is None:
        sys.exit("nothing compared: Cython is not installed; try `pip install cython`")
    host = importlib.util.find_spec("fastreid")
    if host is None or host.origin is None:
        sys.exit("nothing compared: fast-reid is not installed; try `make test` once")
    for name in names:
        source = Path(host.origin).parent / "evaluation" / "rank_cylib" / f"{name}.pyx"
        shutil.copy(source, folder)
    (folder / "setup.py").write_text(f"NAMES = {names}\n{SETUP}")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"nothing compared: no C compiler that works; it said:\n{done.stderr[-2000:]}")


def load(folder: Path, name: str) -> ModuleType:
    """Import one compiled module from where it was compiled."""
    (path,) = [path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(queries: int, gallery: int) -> list[dict[str, Any]]:
    """List what is compared, with a ``note`` where the two may differ by definition."""
    small = {"queries": 200, "pids": 20, "cameras": 4}
    stale = "fast-reid fills a curve that ends early with what the query before left there"
    return [
        {"name": "Market's gallery", "queries": queries, "gallery": gallery, "pids": 750},
        {"name": "most queries without a match", **small, "gallery": 600, "pids": 4000},
        {"name": "one identity", **small, "gallery": 600, "pids": 1},
        {"name": "ties", **small, "gallery": 600, "steps": 30}
        | {"note": "fast-reid's sort is not stable, ours keeps the gallery's order"},
        {"name": "all the same distance", **small, "gallery": 600, "steps": 1}
        | {"note": "fast-reid's sort is not stable, ours keeps the gallery's order"},
        {"name": "3 images", **small, "gallery": 3, "pids": 3, "note": f"CMC: {stale}"},
    ]


def draw(
    queries: int, gallery: int, pids: int, cameras: int = 6, steps: int = 0
) -> tuple[np.ndarray, ...]:
    """Draw (distmat, q_pids, g_pids, q_camids, g_camids)."""
    rng = np.random.default_rng(0)
    labels = [
        rng.integers(0, high, size)
        for high, size in ((pids, queries), (pids, gallery), (cameras, queries), (cameras, gallery))
    ]
    nearness = rng.random((queries, gallery)) + 0.5 * (labels[0][:, None] != labels[1])
    distmat = nearness.argsort(axis=1).argsort(axis=1) / gallery  # distinct in a row
    if steps:
        distmat = np.floor(distmat * steps) / steps
    return distmat.astype(np.float32), *labels


def compare_ranking(
    rank_cy: ModuleType, name: str, note: str = "unknown", **shape: int
) -> dict[str, Any]:
    """Rank one case with both; return how far they are apart and how long they took."""
    case = draw(**shape)
    theirs, their_seconds = timed(lambda: rank_cy.evaluate_cy(*case, 50, False))
    ours, our_seconds = timed(lambda: evaluate_rank(*case, max_rank=50))
    length = len(theirs[0])  # theirs ends with a short gallery, ours carries on
    row = {
        "case": name,
        **shape,
        "valid_queries": len(ours[1]),
        "largest_difference": {
            "cmc": largest(ours[0][:length], theirs[0]),
            "average_precision": largest(ours[1], theirs[1]),
            "inverse_negative_penalty": largest(ours[2], theirs[2]),
        },
        "curve_length": both(len(ours[0]), length),
        "mAP": both(float(np.mean(ours[1])), float(np.mean(theirs[1]))),
        "seconds": both(our_seconds, their_seconds),
    }
    if max(row["largest_difference"].values()) > 1e-6:
        row["differs_because"] = note
    print(row)
    return row


def compare_verification(roc_cy: ModuleType, name: str, **shape: Any) -> dict[str, Any]:
    """Read TPR@FPR off the curve through fast-reid's scores, and compute it without them.

    ``printed_by_fast-reid`` is what its evaluator makes of the same scores for ``TEST.ROC``: wrong
    pairs are its positive ones, and it reads the nearest point of the curve.
    ``printed_when_mended`` is the same with the mend of evaluate_roc: right pairs are positive.
    """
    from sklearn.metrics import roc_curve

    shape.pop("note", None)
    case = draw(**shape)

    def stock() -> list[float]:
        distances, is_wrong = roc_cy.evaluate_roc_cy(*case)
        fprs, tprs, _ = roc_curve(1 - is_wrong, -distances, drop_intermediate=False)
        return [float(tprs[fprs <= rate].max()) for rate in RATES]

    def printed(scores: np.ndarray, labels: np.ndarray) -> list[float]:
        fprs, tprs, _ = roc_curve(labels, scores)
        return [float(tprs[np.argmin(np.abs(fprs - rate))]) for rate in RATES]

    distances, is_wrong = roc_cy.evaluate_roc_cy(*case)
    theirs, their_seconds = timed(stock)
    ours, our_seconds = timed(lambda: verify_pairs(*case, RATES))
    row = {
        "case": f"TPR@FPR, {name}",
        **shape,
        "pairs": {"right": ours.positive_pairs, "wrong": ours.negative_pairs},
        "pairs_of_fast-reid": {"right": int((is_wrong == 0).sum()), "wrong": int(is_wrong.sum())},
        "rates": list(RATES),
        "true_positive_rates": both(ours.true_positive_rates.tolist(), theirs),
        "largest_difference": largest(ours.true_positive_rates, theirs),
        "printed_by_fast-reid": printed(distances, is_wrong),
        "printed_when_mended": printed(-distances, 1 - is_wrong),
        "seconds": both(our_seconds, their_seconds),
    }
    print(row)
    return row


def both(ours: Any, theirs: Any) -> dict[str, Any]:
    """Name whose figure is whose."""
    return {"fed_plugin": ours, "fast-reid": theirs}


def largest(a: Any, b: Any) -> float:
    """Return the largest difference of two lists of numbers."""
    return float(np.abs(np.subtract(a, b, dtype=np.float64)).max())


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Call once; return what came back and the seconds of this processor."""
    started = time.process_time()
    result = function()
    return result, round(time.process_time() - started, 3)


if __name__ == "__main__":
    main()
