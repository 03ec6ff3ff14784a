from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st


def _slow_order(q, distmat, q_pids, g_pids, q_camids, g_camids):
    """Return the gallery images that the camera rule leaves to query q, the nearest first."""
    kept = [
        g for g in range(len(g_pids)) if not (g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q])
    ]
    return sorted(kept, key=lambda g: (float(distmat[q][g]), g))


def _slow_ranking(distmat, q_pids, g_pids, q_camids, g_camids, max_rank):
    """Return (cmc, APs, INPs), written from the definitions with nothing but loops."""
    cmc, average_precisions, penalties, valid = [0.0] * max_rank, [], [], 0
    for q in range(len(q_pids)):
        kept = _slow_order(q, distmat, q_pids, g_pids, q_camids, g_camids)
        answers = [place for place, g in enumerate(kept, start=1) if g_pids[g] == q_pids[q]]
        if not answers:
            continue
        valid += 1
        for k in range(1, max_rank + 1):
            cmc[k - 1] += any(place <= k for place in answers)
        precisions = [found / place for found, place in enumerate(answers, start=1)]
        average_precisions.append(sum(precisions) / len(answers))
        penalties.append(len(answers) / answers[-1])
    return np.array(cmc) / max(valid, 1), np.array(average_precisions), np.array(penalties)


@pytest.fixture(scope="session")
def slow_ranking():
    return _slow_ranking


@pytest.fixture(scope="session")
def slow_order():
    return _slow_order


@pytest.fixture(scope="session")
def small_cases():
    """Return a strategy for small (distmat, q_pids, g_pids, q_camids, g_camids) full of ties."""
    few = st.integers(0, 2)
    values = st.sampled_from([-np.inf, -1, -0.0, 0.0, 0.5, 1, np.inf])

    def cases(count_q, count_g):
        labels = [st.lists(few, min_size=n, max_size=n).map(np.array) for n in (count_q, count_g)]
        cells = st.lists(values, min_size=count_q * count_g, max_size=count_q * count_g)
        distmat = cells.map(lambda drawn: np.reshape(drawn, (count_q, count_g)).astype(np.float32))
        return st.tuples(distmat, *labels, *labels)

    return st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(lambda counts: cases(*counts))


@pytest.fixture(scope="session")
def draw_case():
    """Draw (distmat, q_pids, g_pids, q_camids, g_camids)."""

    def draw(seed, queries, gallery, pids, cameras, dtype=np.float32, steps=0):
        rng = np.random.default_rng(seed)
        distmat = rng.random((queries, gallery))
        if steps:
            distmat = np.floor(distmat * steps) / steps  # few values, many ties
        return (
            distmat.astype(dtype),
            rng.integers(0, pids, queries),
            rng.integers(0, pids, gallery),
            rng.integers(0, cameras, queries),
            rng.integers(0, cameras, gallery),
        )

    return draw


@pytest.fixture(scope="session")
def host_rank():
    return _load_alone("rank")


@pytest.fixture(scope="session")
def host_roc():
    return _load_alone("roc")


def _load_alone(name):
    """Load one file of fast-reid's evaluation: its package does not import everywhere."""
    spec = importlib.util.find_spec("fastreid")
    assert spec is not None, "fast-reid must be installed to run the tests (make test does it)"
    path = os.path.join(os.path.dirname(spec.origin), "evaluation", f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"stock_{name}_alone", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its C extension is not built: that is the point
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def draw_dump():
    """Draw a feature dump of 4 queries and 8 gallery images; keywords are what it holds."""
    from fed_plugin.retrieval.feature_dump import FeatureDump

    def draw(seed=0, dtype=np.float32, parts=False, about=None, **arrays):
        rng = np.random.default_rng(seed)
        optional = {
            "part_features": rng.normal(size=(12, 3, 2)).astype(dtype),
            "visibility": np.linspace(0, 1, 36).reshape(12, 3).astype(dtype),
        }
        return FeatureDump(
            **{
                "features": rng.normal(size=(12, 6)).astype(dtype),
                "pids": np.array([1, 2, 3, 1, 1, 2, 3, 1, 2, 3, 1, 2]),
                "camids": np.array([0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 2, 2]),
                "split": np.array(["query"] * 4 + ["gallery"] * 8),
                "names": np.array([f"{number}.jpg" for number in range(12)]),
                **(optional if parts else {}),
                **arrays,
            },
            about=about or {},
        )

    return draw
