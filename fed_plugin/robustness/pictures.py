"""Tables and pictures of robustness curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fed_plugin.retrieval.card_files import group_by_protocol
from fed_plugin.retrieval.estimates import Column, Estimate, as_text
from fed_plugin.retrieval.intervals import summarize_seeds
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.robustness.curve import METRICS, RobustnessCurve, mean_curve
from fed_plugin.robustness.occlusion import SIDES, RobustnessSettings
from fed_plugin.visualization.lines import Curve, Panel, robustness_figure, styles_of
from fed_plugin.visualization.sheets import coverage_sheet


@dataclass(frozen=True)
class CurveGroup:
    """Curves of one data set and protocol, with a tuple of curves per method, one per seed."""

    title: str
    methods: tuple[tuple[RobustnessCurve, ...], ...]

    @property
    def curves(self) -> list[RobustnessCurve]:
        """The curves of all methods."""
        return [curve for seeds in self.methods for curve in seeds]


def group_curves(curves: Sequence[RobustnessCurve]) -> list[CurveGroup]:
    """Group curves that may be compared: one data set, one protocol."""
    groups = []
    for dataset in dict.fromkeys(curve.dataset for curve in curves):
        own = [curve for curve in curves if curve.dataset == dataset]
        for group in group_by_protocol(own, _cards):
            title = f"{dataset}: {group.rows[0].queries}"
            if group.differences:
                apart = "; ".join(f"{one.field} {one.b}, not {one.a}" for one in group.differences)
                title += f"\nnot to be compared with the above: {apart}"
            methods: dict[str, list[RobustnessCurve]] = {}
            for curve in group.rows:
                methods.setdefault(curve.method, []).append(curve)
            groups.append(CurveGroup(title, tuple(map(tuple, methods.values()))))
    return groups


def robustness_tables(curves: Sequence[RobustnessCurve]) -> str:
    """Return a table per data set and protocol, a row per method.

    One curve of a method comes with its interval over the queries, several curves with their mean
    and range over the seeds.
    """
    groups = group_curves(curves)
    return "\n\n".join(f"{group.title}\n{as_text(COLUMNS, group.methods)}" for group in groups)


def _cards(curve: RobustnessCurve) -> list[ProtocolCard]:
    return [ProtocolCard.from_json(curve.card)] if curve.card else []


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Return the estimate of a single seed, or the mean and the range over several seeds."""
    if len(estimates) == 1:
        return estimates[0]
    seeds = summarize_seeds([one.value for one in estimates])
    return Estimate(seeds.mean, lowest=seeds.lowest, highest=seeds.highest)


def _column(kind: str, metric: str) -> Column[Sequence[RobustnessCurve]]:
    name = f"{kind} {metric}"
    return Column(name, name, lambda curves: over_seeds([getattr(x, kind)[metric] for x in curves]))


COLUMNS: list[Column[Sequence[RobustnessCurve]]] = [
    Column("method", "method", lambda curves: curves[0].method),
    Column("seeds", "seeds", len),
    *(_column(kind, name) for kind in ("whole", "area") for name in METRICS),
]


X_LABEL = "visible share of the query"


def draw_curves(
    curves: Sequence[RobustnessCurve], path: Path, styles: Mapping[str, int] | None = None
) -> Path:
    """Draw Rank-1 and mAP against the visible share, a column per kind of occluder.

    ``styles`` are those of all methods of the benchmark; None takes those of the curves.

    Raises:
        ValueError: The path is neither PNG nor SVG.
    """
    seeds = Counter(curve.method for curve in curves).values()
    bands = {True: "the range over training seeds", False: "95 % intervals over the queries"}
    band = "; of one seed, ".join(dict.fromkeys(bands[n > 1] for n in sorted(seeds, reverse=True)))
    kinds = list(curves[0].per_query.values)
    return robustness_figure(
        [[robustness_panel(curves, metric, kind, styles) for kind in kinds] for metric in METRICS],
        path,
        f"{curves[0].dataset}: what is found as queries are covered",
        f"{curves[0].queries}. One side of each is covered, mean over left, right, top and bottom; "
        f"{'; '.join(f'{kind}: {words}' for kind, words in curves[0].occluders.items())}. "
        f"Bands: {band}.",
    )


def robustness_panel(
    curves: Sequence[RobustnessCurve],
    metric: str,
    kind: str | None = None,
    styles: Mapping[str, int] | None = None,
) -> Panel:
    """Return a metric against the visible share, a line per method.

    Several curves of a method give mean and range; None for the kind means all kinds, and None for
    the styles those of these methods alone.
    """
    methods: dict[str, list[list[tuple[float, Estimate]]]] = {}
    for curve in curves:
        methods.setdefault(curve.method, []).append(mean_curve(curve, metric, kind))
    lines = []
    styles = styles or styles_of(methods)
    for method, seeds in methods.items():
        shares = [share for share, _ in seeds[0]]
        values = np.array([[point.value for _, point in seed] for seed in seeds])
        if len(seeds) == 1:
            low, high = ([getattr(point, end) for _, point in seeds[0]] for end in ("low", "high"))
        else:
            low, high = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        lines.append(Curve(method, styles[method], shares, values.mean(axis=0).tolist(), low, high))
    return Panel(f"{metric}, {kind}" if kind else metric, X_LABEL, lines)


def draw_sheet(cfg: Any, dataset: str, settings: RobustnessSettings, path: Path) -> Path:
    """Draw the first query of a data set under every kind of occluder, from every side.

    Raises:
        FileNotFoundError: The data set or the folder of occluders is not there.
        ValueError: No query can be chosen, or the path is no PNG.
    """
    from fed_plugin.robustness.covered_search import example_query

    name, query = example_query(cfg, dataset, settings)
    shares = (1.0, *settings.visible_shares)
    groups: dict[str, dict[str, Any]] = {kind: {} for kind in settings.kinds}
    for kind, side in product(settings.kinds, SIDES):
        covered = [query.cover(kind, side, share, range(1)) for share in shares]
        groups[kind][side] = np.concatenate(covered)
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
