"""The caption of robustness curves says what their bands are."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.robustness import pictures
from fed_plugin.robustness.curve import METRICS, Level, QueryCurves, RobustnessCurve

ONE = dict.fromkeys(METRICS, Estimate(50.0, 40.0, 60.0))


def make_curve(method):
    values = {"objects": {name: np.array([[60.0, 40.0], [30.0, 20.0]]) for name in METRICS}}
    return RobustnessCurve(
        **{"method": method, "dataset": "Set", "queries": "2 queries", "seed": 0, "card": {}},
        occluders={"objects": "drawn"},
        levels=(Level("objects", "left", 0.5, ONE),),
        whole=ONE,
        area=ONE,
        per_query=QueryCurves(("a", "b"), (1.0, 0.5), values),
    )


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ("AB", "Bands: 95 % intervals over the queries."),
        ("AABB", "Bands: the range over training seeds."),
        ("ABB", "Bands: the range over training seeds; of one seed, 95 % intervals over the"),
    ],
)
def test_bands_are_named_as_they_are(methods, words, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        pictures, "robustness_figure", lambda panels, path, title, why: said.append(why)
    )
    pictures.draw_curves([make_curve(method) for method in methods], tmp_path / "a.png")
    assert words in said[0]
