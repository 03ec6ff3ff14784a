"""``evaluate``: score feature dumps, with intervals, and compare them query by query."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from fed_plugin.arguments import check_file
from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFile, write_json
from fed_plugin.retrieval import evaluation, protocol_card
from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.estimates import Column, as_text
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import holm_adjusted
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.result import METRICS, Result
from fed_plugin.retrieval.thresholds import THRESHOLD_METRICS


@dataclass(frozen=True)
class _Scored:
    """File with its result, its card, and the number of left-out queries."""

    path: str
    result: Result
    card: ProtocolCard
    left_out: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Rank the gallery of feature dumps (docs/dumps.md) for their queries: Rank-1, 5, 10, mAP "
        "and mINP, and TPR@FPR and DIR@FAR where they are defined, with 95 % bootstrap intervals. "
        "Files of different protocols are refused: they do not belong in one table."
    )
    add = parser.add_argument
    files = "feature dump (.npz), or result (.json) of --json or of a benchmark"
    add("files", nargs="+", metavar="FILE", help=files)
    add("--method", action="append", metavar="NAME", help="one per file; default: the file's")
    words = "default: the distance in the file, else cosine"
    add("--distance", choices=("cosine", "euclidean"), help=words)
    add("--compare", action="store_true", help="differences to the first file, with p-values")
    words = (
        "unit that the intervals and p-values treat as independent; the queries of one person are "
        "not independent, but identity needs about twenty identities; default: query"
    )
    add("--groups", choices=("query", "identity"), default="query", help=words)
    words = "write the numbers of every query and the protocol card; several files give a list"
    add("--json", type=OutputFile, metavar="FILE", help=words)


def run(args: argparse.Namespace) -> None:
    """Score and print."""
    if args.method and len(args.method) != len(args.files):
        raise ValueError(
            f"--method: expected a name per file, {len(args.files)}, got {len(args.method)}"
        )
    if args.compare and len(args.files) < 2:
        raise ValueError("--compare: expected two files or more, got one")
    for path in args.files:
        check_file(path, "a feature dump or a result")
    scored = _score(args)
    results = [one.result for one in scored]
    differences = differences_table(results, args.groups) if args.compare else ""
    notes = "\n".join([*_notes(scored), *undefined_notes(results)])
    tables = (means_table(results, args.groups), thresholds_table(results), notes, differences)
    print("\n\n".join(filter(None, tables)))
    if args.json:
        content = [result.to_json() for result in results]
        write_json(args.json, content if len(content) > 1 else content[0], indent=None)
        print(f"\nnumbers of every query: {args.json}")


def _score(args: argparse.Namespace) -> list[_Scored]:
    """Return the result of every file; one dump is in memory at a time."""
    scored: list[_Scored] = []
    with ProgressLine("ranking") as progress:
        for done, path in enumerate(args.files):
            name = args.method[done] if args.method else None
            scored.append(_score_file(path, name, args, scored))
            progress(done + 1, len(args.files))
    return scored


def _score_file(
    path: str, method: str | None, args: argparse.Namespace, before: Sequence[_Scored]
) -> _Scored:
    content: Any = (Result if Path(path).suffix == ".json" else FeatureDump).load(path)
    try:
        card = _card(content, args.distance)
        _refuse_another_protocol(card, before)
        if isinstance(content, Result):
            named = replace(content, method=method or content.method)
            return _Scored(path, evaluation.with_groups(named, args.groups), card)
        about = {"distance": args.distance, "card": card.to_json(), "groups": args.groups}
        name = method or str(content.about.get("method") or Path(path).stem)
        with ProgressLine(f"ranking {Path(path).name}") as progress:
            result = evaluation.evaluate_dump(content, method=name, progress=progress, **about)
        return _Scored(path, result, card, len(content.query) - len(result.queries.names))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _card(content: Result | FeatureDump, distance: str | None) -> ProtocolCard:
    if isinstance(content, FeatureDump):
        return card_of_dump(content, evaluation.distance_for(content, distance))
    card = ProtocolCard.from_json(content.card) if content.card else ProtocolCard()
    if distance not in (None, card.distance):
        raise ValueError(
            f"--distance {distance}: a result is ranked already, by {card.distance}; try its "
            "feature dump"
        )
    return card


def _notes(scored: Sequence[_Scored]) -> list[str]:
    notes = [
        f"{one.path}: {one.left_out} queries have no right answer in the gallery and are left out"
        for one in scored
        if one.left_out
    ]
    for one in scored:  # what was removed beside the images of the query's camera
        own, junk = one.card.query_in_gallery, (one.card.camera_rule or "").partition("; ")[2]
        removed = [f"queries that are gallery images, too: {own}"] if isinstance(own, str) else []
        notes += [f"{one.path}: {words}" for words in [*removed, *filter(None, [junk])]]
    pairs = pairwise(one.card for one in scored)
    unknown = [one for pair in pairs for one in protocol_card.unknown_fields(*pair)]
    if unknown:
        names = ", ".join(dict.fromkeys(one.field for one in unknown))
        notes.append(f"not compared, as not every file has them: {names}")
    return notes


def _refuse_another_protocol(card: ProtocolCard, before: Sequence[_Scored]) -> None:
    for other in before:
        if differences := protocol_card.protocol_differences(card, other.card):
            fields = []
            for one in differences:
                why = protocol_card.COMPARED[one.field]
                fields.append(f"{one.field} is {_short(one.a)}, not {_short(one.b)} ({why})")
            raise ValueError(
                f"does not compare with {other.path}: {'; '.join(fields)}; try them one by one"
            )


def _short(value: object) -> str:
    text = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


# Tables: numbers with intervals, and differences with p-values.

DRAWN = {"query": "the queries", "identity": "the queries' identities"}
_METHOD: Column[Any] = Column("method", "method", lambda row: row[0])


def _columns(names: Iterable[str], spec: str = ".1f") -> list[Column[Any]]:
    """Return a column per metric, for rows of (method, ..., estimates by metric)."""
    return [Column(name, name, lambda row, name=name: row[-1].get(name), spec) for name in names]


def means_table(results: Sequence[Result], groups: str) -> str:
    """Return a table of Rank-1 to mINP, and a line about the intervals."""
    columns = [_METHOD, Column("queries", "queries", lambda row: row[1]), *_columns(METRICS)]
    names = row_names(results)
    rows = [(n, len(r.queries.names), r.metrics) for n, r in zip(names, results, strict=True)]
    return f"{as_text(columns, rows)}\n95 % intervals: bootstrap over {DRAWN[groups]}"


def thresholds_table(results: Sequence[Result]) -> str:
    """Return a table of TPR@FPR and DIR@FAR; empty if no result has one of them."""
    names = [name for name in THRESHOLD_METRICS if any(name in one.metrics for one in results)]
    if not names:
        return ""
    columns = [Column("method", "one threshold", lambda row: row[0]), *_columns(names)]
    note = f"95 % intervals: bootstrap over {DRAWN['identity']}"
    if any(name.startswith("DIR") for name in names):
        note += "; DIR@FAR: half of the identities left the gallery"
    rows = zip(row_names(results), (one.metrics for one in results), strict=True)
    return f"{as_text(columns, rows)}\n{note}"


def undefined_notes(results: Sequence[Result]) -> list[str]:
    """Return a line per reason why TPR@FPR or DIR@FAR is missing, with the methods it is for."""
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
    """Return a table of every result's differences to the first, and a line about them.

    Raises:
        ValueError: Two results are not on the same queries.
    """
    names = row_names(results)
    rows = [evaluation.compare_results(result, results[0], groups=groups) for result in results[1:]]
    for metric in METRICS:
        for row, p in zip(rows, holm_adjusted([row[metric].p or 0 for row in rows]), strict=True):
            row[metric] = replace(row[metric], p=float(p))
    flipped = "sign flips" if groups == "query" else "sign flips of whole identities"
    if len(rows) > 1:
        flipped += f", corrected for the {len(rows)} rows of a column (Holm)"
    head = (
        f"minus {names[0]}, in points, with 95 % intervals over {DRAWN[groups]}; * an interval "
        f"without zero and p < 0.05; p: {flipped}"
    )
    columns = [_METHOD, *_columns(METRICS, "+.1f")]
    return f"{head}\n{as_text(columns, zip(names[1:], rows, strict=True))}"


def row_names(results: Sequence[Result]) -> list[str]:
    """Return the methods' names, numbered where two are the same."""
    count = Counter(result.method for result in results)
    return [
        f"{result.method} ({place})" if count[result.method] > 1 else result.method
        for place, result in enumerate(results, start=1)
    ]
