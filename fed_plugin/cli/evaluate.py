"""``evaluate``: score feature dumps, with intervals, and compare them query by query."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from fed_plugin.retrieval.evaluation import MetricDifference, compare_results
from fed_plugin.retrieval.intervals import holm_adjusted
from fed_plugin.retrieval.result import METRICS, Metric, Result
from fed_plugin.retrieval.thresholds import THRESHOLD_METRICS

if TYPE_CHECKING:
    from fed_plugin.retrieval.protocol_card import ProtocolCard


@dataclass(frozen=True)
class _Scored:
    """A file, its result, its card, and how many of its queries were left out."""

    path: str
    result: Result
    card: ProtocolCard
    left_out: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Rank the gallery of feature dumps (docs/dumps.md) for their queries: Rank-1, 5, 10, mAP "
        "and mINP, and TPR@FPR and DIR@FAR where they are defined, with 95 %% bootstrap intervals. "
        "Files of different protocols are refused: they do not belong into one table."
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a feature dump (.npz), made by dump or by anything; or a result (.json) of --json or "
        "of a benchmark",
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="name in the table, once per file; default: what the file says",
    )
    parser.add_argument(
        "--distance",
        choices=("cosine", "euclidean"),
        help="default: what the file says, else cosine",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="differences to the first file, query by query, with p-values",
    )
    parser.add_argument(
        "--groups",
        choices=("query", "identity"),
        default="query",
        help="what the intervals and p-values take for independent; the queries of one person are "
        "not, but identity wants some twenty identities; default: query",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the numbers of every query and the protocol card; of several files a list",
    )


def run(args: argparse.Namespace) -> None:
    """Score and print.

    Raises:
        FileNotFoundError: no such file, or no folder to write in.
        ValueError: a file is no feature dump or result, or two follow different protocols.
    """
    from fed_plugin.files import check_writable, write_atomically

    if args.method and len(args.method) != len(args.files):
        raise ValueError(
            f"--method: expected a name per file, {len(args.files)}, got {len(args.method)}"
        )
    if args.compare and len(args.files) < 2:
        raise ValueError("--compare: expected two files or more, got one")
    if args.json:
        check_writable(args.json)
    scored = _score(args)
    results = [one.result for one in scored]
    differences = differences_table(results, args.groups) if args.compare else ""
    notes = "\n".join([*_notes(scored), *undefined_notes(results)])
    tables = (means_table(results, args.groups), thresholds_table(results), notes, differences)
    print("\n\n".join(filter(None, tables)))
    if args.json:
        content = [result.to_json() for result in results]
        text = json.dumps(content if len(content) > 1 else content[0], allow_nan=False)
        with write_atomically(args.json) as file:
            file.write(f"{text}\n".encode())
        print(f"\nnumbers of every query: {args.json}")


def _score(args: argparse.Namespace) -> list[_Scored]:
    """Return what every file says; one dump is in memory at a time."""
    from fed_plugin.console import ProgressLine

    scored: list[_Scored] = []
    with ProgressLine("ranking") as progress:
        for done, path in enumerate(args.files):
            name = args.method[done] if args.method else None
            one = _read_result if Path(path).suffix == ".json" else _rank
            scored.append(one(path, name, args.distance, args.groups, scored))
            progress(done + 1, len(args.files))
    return scored


def _rank(
    path: str, method: str | None, distance: str | None, groups: str, before: Sequence[_Scored]
) -> _Scored:
    """Rank a dump, unless its protocol is another than that of a file before it."""
    from fed_plugin.console import ProgressLine
    from fed_plugin.retrieval.card_files import card_of_dump
    from fed_plugin.retrieval.evaluation import distance_for, evaluate_dump
    from fed_plugin.retrieval.feature_dump import FeatureDump

    dump = FeatureDump.load(path)
    try:
        distance = distance_for(dump, distance)
        card = card_of_dump(dump, distance)
        _refuse_another_protocol(card, before)
        result = evaluate_dump(
            dump,
            method=method or str(dump.about.get("method") or Path(path).stem),
            distance=distance,
            card=card.to_json(),
            groups=groups,
            progress=ProgressLine(f"ranking {Path(path).name}"),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _Scored(path, result, card, len(dump.query) - len(result.queries.names))


def _read_result(
    path: str, method: str | None, distance: str | None, groups: str, before: Sequence[_Scored]
) -> _Scored:
    """Read a result, unless its protocol is another than that of a file before it."""
    from dataclasses import replace

    from fed_plugin.retrieval.evaluation import with_groups
    from fed_plugin.retrieval.protocol_card import ProtocolCard
    from fed_plugin.retrieval.result import Result

    result = Result.load(path)
    try:
        card = ProtocolCard.from_json(result.card) if result.card else ProtocolCard()
        if distance not in (None, card.distance):
            raise ValueError(
                f"--distance {distance}: a result is ranked already, by {card.distance}; try its "
                "feature dump"
            )
        _refuse_another_protocol(card, before)
        result = with_groups(replace(result, method=method or result.method), groups)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _Scored(path, result, card)


def _notes(scored: Sequence[_Scored]) -> list[str]:
    """Say which queries were left out, and what keeps no two files apart for want of knowledge."""
    from fed_plugin.retrieval.protocol_card import unknown_fields

    notes = [
        f"{one.path}: {one.left_out} queries have no right answer in the gallery and are left out"
        for one in scored
        if one.left_out
    ]
    pairs = pairwise([one.card for one in scored])
    unknown = dict.fromkeys(one.field for pair in pairs for one in unknown_fields(*pair))
    if unknown:
        notes.append(f"not compared, as not every file says it: {', '.join(unknown)}")
    return notes


def _refuse_another_protocol(card: ProtocolCard, before: Sequence[_Scored]) -> None:
    from fed_plugin.retrieval.protocol_card import COMPARED, protocol_differences

    for other in before:
        differences = protocol_differences(card, other.card)
        if differences:
            said = "; ".join(
                f"{one.field} is {_short(one.a)}, not {_short(one.b)} ({COMPARED[one.field]})"
                for one in differences
            )
            raise ValueError(f"does not compare with {other.path}: {said}; try them one by one")


def _short(value: object) -> str:
    text = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


# Tables of ``evaluate``: numbers with intervals, and differences with p-values.

DRAWN = {"query": "the queries", "identity": "the queries' identities"}


def means_table(results: Sequence[Result], groups: str) -> str:
    """Return Rank-1 to mINP of every result, and what their intervals are."""
    rows = [
        [name, str(len(result.queries.names)), *_cells(result, METRICS)]
        for name, result in zip(row_names(results), results, strict=True)
    ]
    note = f"95 % intervals: bootstrap over {DRAWN[groups]}"
    return f"{_table(['method', 'queries', *METRICS], rows)}\n{note}"


def thresholds_table(results: Sequence[Result]) -> str:
    """Return TPR@FPR and DIR@FAR of every result, as far as any has them; empty if none has."""
    names = [name for name in THRESHOLD_METRICS if any(name in one.metrics for one in results)]
    rows = [
        [method, *_cells(result, names)]
        for method, result in zip(row_names(results), results, strict=True)
    ]
    note = f"95 % intervals: bootstrap over {DRAWN['identity']}"
    if any(name.startswith("DIR") for name in names):
        note += "; DIR@FAR: half of the identities left the gallery"
    return f"{_table(['one threshold', *names], rows)}\n{note}" if names else ""


def undefined_notes(results: Sequence[Result]) -> list[str]:
    """Say which of TPR@FPR and DIR@FAR are missing, and why; of all results together if it fits."""
    missing: dict[tuple[str, str], list[str]] = {}
    for method, result in zip(row_names(results), results, strict=True):
        for reason in dict.fromkeys(result.undefined.values()):
            names = ", ".join(name for name, why in result.undefined.items() if why == reason)
            missing.setdefault((names, reason), []).append(method)
    return [
        f"{'' if len(methods) == len(results) else ', '.join(methods) + ': '}no {names}: {reason}"
        for (names, reason), methods in missing.items()
    ]


def differences_table(results: Sequence[Result], groups: str) -> str:
    """Return every result's differences to the first, and what is to be known of them.

    Raises:
        ValueError: Two results are not on the same queries.
    """
    names = row_names(results)
    found = [compare_results(result, results[0], groups=groups) for result in results[1:]]
    p_values = {
        metric: holm_adjusted([float(row[metric].p_value or 0) for row in found])
        for metric in METRICS
    }
    rows = [
        [name, *(_difference(row[metric], p_values[metric][place]) for metric in METRICS)]
        for place, (name, row) in enumerate(zip(names[1:], found, strict=True))
    ]
    flipped = "sign flips" if groups == "query" else "sign flips of whole identities"
    if len(found) > 1:
        flipped += f", corrected for the {len(found)} rows of a column (Holm)"
    head = (
        f"less {names[0]}, in points, with 95 % intervals over {DRAWN[groups]}; * an interval "
        f"without zero; p: {flipped}"
    )
    return f"{head}\n{_table(['method', *METRICS], rows)}"


def row_names(results: Sequence[Result]) -> list[str]:
    """Return the methods' names, numbered where two are the same."""
    count = Counter(result.method for result in results)
    return [
        f"{result.method} ({place})" if count[result.method] > 1 else result.method
        for place, result in enumerate(results, start=1)
    ]


def with_interval(metric: Metric, sign: str = "") -> str:
    """Return ``61.2 [59.8, 62.7]``, or the value alone where there is no interval.

    Args:
        metric: to print.
        sign: ``+`` for a difference.
    """
    text = f"{metric.value:{sign}.1f}"
    if metric.interval is None:
        return text
    low, high = metric.interval
    return f"{text} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _difference(metric: MetricDifference, p_value: float) -> str:
    low, high = metric.interval or (0.0, 0.0)
    return f"{with_interval(metric, '+')}{'' if low <= 0 <= high else ' *'} p {p_value:.2g}"


def _cells(result: Result, names: Sequence[str]) -> list[str]:
    return [
        with_interval(result.metrics[name]) if name in result.metrics else "-" for name in names
    ]


def _table(header: Sequence[str], rows: list[list[str]]) -> str:
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)
