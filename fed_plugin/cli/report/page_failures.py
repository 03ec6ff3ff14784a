"""Failures on the page: ranking lists with right and wrong answers marked."""

from __future__ import annotations

from collections.abc import Sequence

from fed_plugin.cli.report.failures import Failure, Failures
from fed_plugin.visualization.markup import Markup, element, joined
from fed_plugin.visualization.ranking_strips import ranking_strip

_NOTE = (
    "Left the query, right what comes first, best first, without images of the query's person and "
    "camera. Solid frame and \u2713: the same person. Dashed frame and \u2717: somebody else. The "
    "number is the cosine similarity, or the distance of a method that is ranked by distance."
)


def failures_section(failures: Failures) -> Markup:
    """Draw the worst queries, then those on which the methods differ most."""
    if failures.why_not:
        return joined()
    return joined(
        element("h3", "Worst failures"),
        element("p", f"{failures.words} {_NOTE}", class_="note"),
        _strips(failures.worst),
        element("h3", "Where the methods differ most") if failures.apart else None,
        _strips(failures.apart),
    )


def _strips(failures: Sequence[Failure]) -> Markup:
    strips = [ranking_strip(one.query, one.caption, one.lists) for one in failures]
    return element("div", strips, class_="strips")
