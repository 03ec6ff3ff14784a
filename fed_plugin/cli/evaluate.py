"""``evaluate``: score feature dumps, with intervals, and compare them query by query."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fed_plugin.retrieval.protocol_card import ProtocolCard
    from fed_plugin.retrieval.result import Metric, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Rank the gallery of feature dumps (docs/dumps.md) for their queries: Rank-1, 5, 10, mAP "
        "and mINP with 95 %% bootstrap intervals over the queries. Dumps of different protocols "
        "are refused: they do not belong into one table."
    )
    parser.add_argument("dumps", nargs="+", metavar="FILE.npz", help="made by dump, or by anything")
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
        "--compare", action="store_true", help="differences to the first file, query by query"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the numbers of every query and the protocol card; of several files a list",
    )


def run(args: argparse.Namespace) -> None:
    """Score and print.

    Raises:
        FileNotFoundError: no such dump, or no folder to write in.
        ValueError: a file is no feature dump, or two follow different protocols.
    """
    from fed_plugin.retrieval.whole_files import check_writable, written_whole

    if args.method and len(args.method) != len(args.dumps):
        raise ValueError(
            f"--method: expected a name per file, {len(args.dumps)}, got {len(args.method)}"
        )
    if args.compare and len(args.dumps) < 2:
        raise ValueError("--compare: expected two files or more, got one")
    if args.json:
        check_writable(args.json)
    results, notes = _score(args)
    differences = _differences_table(results) if args.compare else None
    print(_metrics_table(results))
    print("95 % intervals: bootstrap over the queries")
    for note in notes:
        print(note)
    if differences:
        print(f"\nless {_row_names(results)[0]}, in points; * an interval without zero")
        print(differences)
    if args.json:
        content = [result.to_json() for result in results]
        text = json.dumps(content if len(content) > 1 else content[0], allow_nan=False)
        with written_whole(args.json) as file:
            file.write(f"{text}\n".encode())
        print(f"numbers of every query: {args.json}")


def _score(args: argparse.Namespace) -> tuple[list[Result], list[str]]:
    """Return a result per dump, and what is to be said of them; one dump is in memory at a time."""
    from fed_plugin.cli.progress import ProgressLine

    results: list[Result] = []
    notes: list[str] = []
    cards: list[tuple[str, ProtocolCard]] = []
    with ProgressLine("ranking") as progress:
        for done, path in enumerate(args.dumps):
            name = args.method[done] if args.method else None
            result, left_out = _score_one(path, name, args.distance, cards)
            results.append(result)
            if left_out:
                notes.append(
                    f"{path}: {left_out} queries have no right answer in the gallery and are left "
                    "out"
                )
            progress(done + 1, len(args.dumps))
    if unknown := _unknown([card for _, card in cards]):
        notes.append(f"not compared, as not every file says it: {', '.join(unknown)}")
    return results, notes


def _score_one(
    path: str, method: str | None, distance: str | None, cards: list[tuple[str, ProtocolCard]]
) -> tuple[Result, int]:
    """Rank a dump; return its result and the number of queries left out, add its card to ours."""
    from fed_plugin.retrieval.dump_card import card_of_dump
    from fed_plugin.retrieval.evaluation import distance_for, evaluate_dump
    from fed_plugin.retrieval.feature_dump import FeatureDump

    dump = FeatureDump.load(path)
    try:
        distance = distance_for(dump, distance)
        card = card_of_dump(dump, distance)
        for other_path, other in cards:
            _refuse_another_protocol(card, other_path, other)
        cards.append((path, card))
        result = evaluate_dump(
            dump,
            method=method or str(dump.about.get("method") or Path(path).stem),
            distance=distance,
            card=card.to_json(),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return result, len(dump.query) - len(result.queries.names)


def _unknown(cards: Sequence[ProtocolCard]) -> list[str]:
    """Return the fields that keep no two cards apart because one of them does not know."""
    from fed_plugin.retrieval.protocol_card import unknown_fields

    found = (one.field for pair in pairwise(cards) for one in unknown_fields(*pair))
    return list(dict.fromkeys(found))


def _refuse_another_protocol(card: ProtocolCard, path: str, other: ProtocolCard) -> None:
    from fed_plugin.retrieval.card_fields import COMPARED
    from fed_plugin.retrieval.protocol_card import protocol_differences

    differences = protocol_differences(card, other)
    if differences:
        said = "; ".join(
            f"{one.field} is {_short(one.a)}, not {_short(one.b)} ({COMPARED[one.field]})"
            for one in differences
        )
        raise ValueError(f"does not compare with {path}: {said}; try them one by one")


def _short(value: object) -> str:
    text = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _metrics_table(results: Sequence[Result]) -> str:
    rows = [
        [name, str(len(result.queries.names)), *map(_with_interval, result.metrics.values())]
        for name, result in zip(_row_names(results), results, strict=True)
    ]
    return _table(["method", "queries", *results[0].metrics], rows)


def _differences_table(results: Sequence[Result]) -> str:
    from fed_plugin.retrieval.evaluation import compare_results

    names = _row_names(results)
    rows = []
    for name, result in zip(names[1:], results[1:], strict=True):
        differences = compare_results(result, results[0])
        rows.append([name, *(_with_interval(metric, "+") for metric in differences.values())])
    return _table(["method", *results[0].metrics], rows)


def _row_names(results: Sequence[Result]) -> list[str]:
    """Return the methods' names, numbered where two are the same."""
    count = Counter(result.method for result in results)
    return [
        f"{result.method} ({place})" if count[result.method] > 1 else result.method
        for place, result in enumerate(results, start=1)
    ]


def _with_interval(metric: Metric, sign: str = "") -> str:
    text = f"{metric.value:{sign}.1f} [{metric.low:{sign}.1f}, {metric.high:{sign}.1f}]"
    return f"{text} *" if sign and not metric.low <= 0 <= metric.high else text


def _table(header: list[str], rows: list[list[str]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)
