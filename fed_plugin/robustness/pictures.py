"""Tables of robustness curves: whole queries, and the area under the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.protocol_groups import group_by_protocol
from fed_plugin.retrieval.query_curves import METRICS
from fed_plugin.retrieval.result import Metric
from fed_plugin.retrieval.robustness_curve import RobustnessCurve
from fed_plugin.retrieval.seeds import summarize_seeds


@dataclass(frozen=True)
class CurveGroup:
    """Curves of one data set and protocol.

    Attributes:
        title: what they were measured on, and what keeps them from the group before.
        methods: the curves of every method, one per seed.
    """

    title: str
    methods: tuple[tuple[RobustnessCurve, ...], ...]

    @property
    def curves(self) -> list[RobustnessCurve]:
        """All of them."""
        return [curve for seeds in self.methods for curve in seeds]


def group_curves(curves: Sequence[RobustnessCurve]) -> list[CurveGroup]:
    """Put curves together that may be compared: of one data set, and measured alike."""
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

    One curve of a method stands with its interval over the queries, several with mean and range
    over the seeds.
    """
    return "\n\n".join(f"{group.title}\n{_table(group.methods)}" for group in group_curves(curves))


def _cards(curve: RobustnessCurve) -> list[ProtocolCard]:
    return [ProtocolCard.from_json(curve.card)] if curve.card else []


def _table(rows: Sequence[Sequence[RobustnessCurve]]) -> str:
    lines = [
        [
            curves[0].method,
            str(len(curves)),
            *(_spread([curve.whole[name] for curve in curves]) for name in METRICS),
            *(_spread([curve.area[name] for curve in curves]) for name in METRICS),
        ]
        for curves in rows
    ]
    header = [
        "method",
        "seeds",
        *(f"whole {name}" for name in METRICS),
        *(f"area {name}" for name in METRICS),
    ]
    return tabulate(lines, headers=header, tablefmt="github", disable_numparse=True)


def _spread(metrics: Sequence[Metric]) -> str:
    if len(metrics) == 1:
        only = metrics[0]
        return f"{only.value:.1f} [{only.low:.1f}, {only.high:.1f}]"
    seeds = summarize_seeds([metric.value for metric in metrics])
    return f"{seeds.mean:.1f} ({seeds.lowest:.1f} to {seeds.highest:.1f})"
