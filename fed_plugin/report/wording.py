"""Numbers as tables show them, and what tables say below."""

from __future__ import annotations

from fed_plugin.report.tables import Gap, Number, Row, Table

MINUS = "\u2212"

SMALL_PRINT = (
    "An interval over queries says what other queries from the same cameras would do to the "
    "number. It says nothing about other training seeds; the range over seeds does, and three "
    "seeds say little.",
    "A difference is bold if its 95 % interval leaves out 0: then more than the draw of queries "
    "explains. Of twenty comparisons of equal methods, one is expected to be bold by chance.",
    "p is of a two-sided sign-flip test on the same queries, averaged over seeds. It is not "
    "corrected for the number of comparisons.",
    "A data set is one place and one set of cameras. Drawn people (SynthOcc) show what a method "
    "does with occlusion; they do not show how well it finds people in any real camera system.",
    "Methods that were measured otherwise (input size, file lists, training sets, how the epoch "
    "was chosen, ...) stand in tables of their own; protocol cards say how each was measured.",
)

AREA = (
    "Area: mean of the metric in per cent, were every visible share between the smallest and the "
    "whole query equally likely, with 95 % intervals over queries."
)


def signed(value: float) -> str:
    """Return a number of points with its sign."""
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else ("+" if value > 0 else MINUS) + text


def plain(value: float) -> str:
    """Return a percentage; a true minus sign, if any."""
    return f"{value:.1f}".replace("-", MINUS)


def seeds_range(number: Number, row: Row) -> str:
    """Return "41.0 to 43.0", empty for one seed."""
    return f"{plain(number.lowest)} to {plain(number.highest)}" if len(row.cells) > 1 else ""


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """Return "[40.1, 44.0]"; empty where there is none."""
    if low is None or high is None:
        return ""
    show = signed if sign else plain
    return f"[{show(low)}, {show(high)}]"


def p_words(gap: Gap) -> str:
    """Return "p = 0.012", with no more digits than a test of 10,000 flips has."""
    return "p < 0.001" if gap.p_value < 0.001 else f"p = {gap.p_value:.3f}"


def gap_range(gap: Gap) -> str:
    """Return the range of the difference over shared seeds; empty for fewer than two."""
    if len(gap.seeds) < 2 or gap.lowest is None or gap.highest is None:
        return ""
    return f"{signed(gap.lowest)} to {signed(gap.highest)}"


def seeds_words(row: Row) -> str:
    """Return "0, 1, 2", and which ones are missing."""
    words = ", ".join(map(str, row.seeds)) or "none"
    return f"{words} (missing: {', '.join(map(str, row.missing))})" if row.missing else words


def how_read(table: Table) -> str:
    """Say what stands in a table's cells."""
    drawn = "people, each with all queries" if table.by_people else "queries, one by one"
    return (
        "Per cent: mean over seeds; range over seeds; in brackets the 95 % bootstrap interval of "
        f"that mean over {drawn}."
    )


def how_gaps_read(table: Table) -> str:
    """Say what stands in a table of differences."""
    return (
        f"Points above {table.baseline}, on the same queries, each in the mean over all its seeds; "
        "95 % interval over queries; range over the seeds that both have; p of a sign-flip test. "
        "Bold: the interval leaves out 0."
    )


def title(table: Table) -> str:
    """Return a heading for a table."""
    return f"{table.dataset}, another protocol" if table.apart else table.dataset


def apart_words(table: Table) -> str:
    """Say why a table stands by itself; empty for the first."""
    if not table.apart:
        return ""
    return f"Not to be compared with the first table: {'; '.join(table.apart)}."
