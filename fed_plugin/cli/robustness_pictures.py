"""Pictures of robustness: curves of several methods, and a sheet of what is pasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fed_plugin.retrieval.query_curves import METRICS
from fed_plugin.retrieval.result import Metric
from fed_plugin.retrieval.robustness_curve import RobustnessCurve
from fed_plugin.retrieval.robustness_summary import mean_curve
from fed_plugin.visualization.coverage_sheet import coverage_sheet
from fed_plugin.visualization.line_figure import Curve, Panel
from fed_plugin.visualization.robustness_figure import robustness_figure

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings

X_LABEL = "visible share of the query"


def draw_curves(curves: Sequence[RobustnessCurve], path: Path) -> Path:
    """Draw Rank-1 and mAP against the visible share, a column per kind of occluder.

    Args:
        curves: of one data set and protocol, several of a method if it has several seeds.
        path: where the picture goes.

    Raises:
        ValueError: a path that is neither PNG nor SVG.
    """
    seeds = Counter(curve.method for curve in curves).values()
    bands = {True: "the range over training seeds", False: "95 % intervals over the queries"}
    band = "; of one seed, ".join(dict.fromkeys(bands[n > 1] for n in sorted(seeds, reverse=True)))
    kinds = list(curves[0].per_query.values)
    return robustness_figure(
        [[robustness_panel(curves, metric, kind) for kind in kinds] for metric in METRICS],
        path,
        f"{curves[0].dataset}: what is found as queries are covered",
        f"{curves[0].queries}. One side of each is covered, mean over left, right, top and bottom; "
        f"{'; '.join(f'{kind}: {words}' for kind, words in curves[0].occluders.items())}. "
        f"Bands: {band}.",
    )


def robustness_panel(
    curves: Sequence[RobustnessCurve], metric: str, kind: str | None = None
) -> Panel:
    """Draw a metric against the visible share, a line per method.

    Args:
        curves: of one data set and protocol; several of a method are joined to their mean and
            range.
        metric: ``"Rank-1"`` or ``"mAP"``.
        kind: of occluder; None for the mean over all kinds.
    """
    methods: dict[str, list[list[tuple[float, Metric]]]] = {}
    for curve in curves:
        methods.setdefault(curve.method, []).append(mean_curve(curve, metric, kind))
    lines = []
    for style, (method, seeds) in enumerate(methods.items()):
        shares = [share for share, _ in seeds[0]]
        values = np.array([[point.value for _, point in seed] for seed in seeds])
        if len(seeds) == 1:
            low, high = ([getattr(point, end) for _, point in seeds[0]] for end in ("low", "high"))
        else:
            low, high = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        lines.append(Curve(method, style, shares, values.mean(axis=0).tolist(), low, high))
    return Panel(f"{metric}, {kind}" if kind else metric, X_LABEL, lines)


def draw_sheet(cfg: Any, dataset: str, settings: RobustnessSettings, path: Path) -> Path:
    """Draw the first query of a data set as it is covered by every kind from every side.

    Args:
        cfg: config of a model; its input size is what counts.
        dataset: registered name.
        settings: what is measured.
        path: where the PNG goes.

    Raises:
        FileNotFoundError: the data set or the folder of occluders is not there.
        ValueError: no query can be chosen, or a path that is no PNG.
    """
    from fed_plugin.fastreid_adapter.covered_queries import example_query
    from fed_plugin.transforms.side_occlusion import SIDES

    name, query = example_query(cfg, dataset, settings)
    shares = (1.0, *settings.visible_shares)
    groups: Mapping[str, Mapping[str, Any]] = {
        kind: {
            side: np.concatenate([query.cover(kind, side, share, range(1)) for share in shares])
            for side in SIDES
        }
        for kind in settings.kinds
    }
    height, width = query.images.shape[1:3]
    return coverage_sheet(
        groups,
        shares,
        path,
        "What is pasted on whole queries",
        f"{name} of {dataset} at {height} x {width} pixels, as the model gets it. Above the "
        "columns stands the share that stays visible. Every query has its own obstacle and its own "
        "other person for each side.",
    )
