"""Results, protocol cards and benchmark folders with other content than they should have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from corpus.cases import (
    EITHER,
    REFUSED,
    Case,
    Put,
    both,
    change,
    nothing,
    write,
)
from corpus.images import flip
from corpus.material import BENCHMARK, CONFIG, RESULT

CATEGORY = "results"
RESULTS = f"{BENCHMARK}/results.json"
COMMANDS = {
    "evaluate": (RESULT, ("evaluate", RESULT, "--json", "new.json")),
    "cards show": (RESULT, ("cards", "show", RESULT)),
    "cards diff": (RESULT, ("cards", "diff", RESULT, "whole.npz")),
    "report": (RESULTS, ("report", BENCHMARK, "--out", "new")),
}


def make_cases() -> Iterator[Case]:
    """Yield broken files under what reads them, and folders of benchmarks with holes."""
    for where, (file, words) in COMMANDS.items():
        for what, content in _files().items():
            yield _case(f"{what}, {where}", write(file, content), words, file)
        yield _case(f"cut, {where}", change(file, lambda data: data[:200]), words, file)
    for what, how in _contents().items():
        where = "report" if what.startswith("report") else "evaluate"
        file, words = COMMANDS[where]
        ends = EITHER if what.endswith("perhaps") else REFUSED
        yield _case(what, _changed(file, how), words, file, ends)
    for number in range(12):
        file, words = COMMANDS["report" if number % 2 else "evaluate"]
        put = change(file, lambda data, seed=number: flip(data, seed))
        yield _case(f"wrong bytes {number}", put, words, file, EITHER)
    yield from _folders()


def _case(what: str, put: Put, words: tuple[str, ...], file: str, ends: str = REFUSED) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (Path(file).name,), ends)


def _files() -> dict[str, str | bytes]:
    return {
        "empty": "",
        "a list of numbers": "[1, 2]",
        "null": "null",
        "zeros": bytes(100),
        "Latin-1": b'{"a": "\xe9"}',
        "deeply nested": "[" * 200_000,
    }


def _changed(file: str, how: Callable[[dict[str, Any]], object]) -> Put:
    def changed(data: bytes) -> bytes:
        content = json.loads(data)
        how(content)
        return json.dumps(content).encode()

    return change(file, changed)


def _contents() -> dict[str, Callable[[dict[str, Any]], object]]:
    def without(name: str) -> Callable[[dict[str, Any]], object]:
        return lambda content: content.pop(name)

    names = ("format", "method", "metrics", "queries")
    found: dict[str, Callable[[dict[str, Any]], object]] = {f"no {n}": without(n) for n in names}
    found |= {
        "metrics as a list": lambda c: c.update(metrics=[1]),
        "queries as text": lambda c: c.update(queries="all"),
        "a card of another format": lambda c: c.update(card={"format": "x"}),
        "a card as a list": lambda c: c.update(card=[1]),
        "report without cells": lambda c: c.update(cells=[]),
        "report with cells as a number": lambda c: c.update(cells=3),
        "report with a cell as text": lambda c: c.update(cells=["FED"]),
        "report of another format": lambda c: c.update(format="x"),
        "report without a plan": without("plan"),
        "report with an endless time": lambda c: c["cells"][0].update(seconds=float("inf")),
        "report with a seed as text": lambda c: c["cells"][0].update(seed="many"),
        "report without a result": lambda c: c["cells"][0].pop("result"),
    }
    return found


def _folders() -> Iterator[Case]:
    words = COMMANDS["report"][1]
    cell = f"{BENCHMARK}/FolderReID/FED/seed0"
    for what, content in {"empty": "", "text": "no JSON", "a list": "[]", "nan": "NaN"}.items():
        for name in ("costs.json", f"{cell[len(BENCHMARK) + 1 :]}/cell.json"):
            put = write(f"{BENCHMARK}/{name}", content)
            yield _case(f"report, {Path(name).name} is {what}", put, words, name, EITHER)
        put = both(
            write(f"{cell}/robustness.json", content), write(f"{cell}/metrics.json", content)
        )
        yield _case(f"report, curves are {what}", put, words, cell, EITHER)

    def gone(folder: Path) -> None:
        shutil.rmtree(folder / cell)

    yield _case("report, no cell's folder", gone, words, "seed0", EITHER)
    for name in ("nowhere", "people", "whole.npz"):
        full = ("report", name, "--out", "new")
        yield Case(f"{CATEGORY}: report of {name}", nothing, full, (name,))
    robust = ("robustness", "--config-file", CONFIG)
    for words in (
        ("report", BENCHMARK, "--out", "whole.npz"),
        ("report", BENCHMARK, "--baseline", "Nobody", "--out", "new"),
        ("robustness", "--benchmark", "nowhere"),
        ("robustness", "--benchmark", "people"),
        (*robust, "--visible", "2.0"),
        (*robust, "--visible", "nan"),
        (*robust, "--visible", "0.5", "0.5"),
        (*robust, "--queries", "0"),
        (*robust, "--seed", "-1"),
        (*robust, "--occluders", "nowhere"),
        (*robust, "--occluders", "people/query/../../whole.npz"),
        (*robust, "--out", "nowhere/new.json"),
        (*robust, "--figure", "new.txt"),
        ("cards", "show", "nowhere"),
        ("cards", "show", "people"),
        ("cards", "diff", RESULT, "nowhere"),
        ("convert", "whole.pth", RESULT),
    ):
        yield Case(f"{CATEGORY}: {' '.join(words)!r}", nothing, words, (*words[1:], "visible"))
