"""Feature dumps with missing, broken, contradicting or foreign arrays."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corpus.cases import EITHER, REFUSED, Case, Put, change, nothing, write
from corpus.images import flip
from corpus.material import DUMP, OTHER_DUMP

CATEGORY = "dumps"
_EVALUATE = ("evaluate", DUMP, "--json", "new.json")
_COMPARE = ("evaluate", OTHER_DUMP, DUMP, "--compare", "--json", "new.json")
_SHOW = ("cards", "show", DUMP)


def make_cases() -> Iterator[Case]:
    """Yield every broken dump under evaluate, and some under its comparison and cards."""
    for what, (how, ends) in _arrays().items():
        yield _case(what, _rewritten(how), _EVALUATE, ends)
    for what, put in _files().items():
        yield _case(what, put, _EVALUATE)
        yield _case(f"{what}, cards show", put, _SHOW)
        yield _case(f"{what}, compared", put, _COMPARE)
    for number in range(20):
        put = change(DUMP, lambda data, seed=number: flip(data, seed, most=30))
        yield _case(f"wrong bytes {number}", put, _EVALUATE, EITHER)
    for words in (
        ("evaluate", "nowhere.npz"),
        ("evaluate", "people"),
        ("evaluate", DUMP, "--json", "nowhere/new.json"),
        ("evaluate", DUMP, "--json", "people"),
        ("evaluate", DUMP, "--compare"),
        ("evaluate", DUMP, "--method", "A", "--method", "B"),
        ("evaluate", "a\0b.npz"),
    ):
        yield Case(f"{CATEGORY}: {' '.join(words)!r}", nothing, words, tuple(words[1:]))


def _case(what: str, put: Put, words: tuple[str, ...], ends: str = REFUSED) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (DUMP,), ends)


def _rewritten(how: Callable[[dict[str, Any]], object]) -> Put:
    def put(folder: Path) -> None:
        with np.load(folder / DUMP) as file:
            arrays = dict(file)
        how(arrays)
        np.savez(folder / DUMP, **arrays)

    return put


def _arrays() -> dict[str, tuple[Callable[[dict[str, Any]], object], str]]:
    def with_value(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
        return lambda a: a.update({name: value(a[name])})

    def spoiled(name: str, value: float) -> Callable[[dict[str, Any]], object]:
        def how(arrays: dict[str, Any]) -> None:
            arrays[name].flat[3] = value

        return how

    made: dict[str, Callable[[dict[str, Any]], object]] = {
        f"no {name}": lambda a, name=name: a.pop(name)
        for name in ("features", "pids", "camids", "split", "names")
    }
    made |= {
        f"{name} a row short": with_value(name, lambda array: array[:-1])
        for name in ("features", "pids", "camids", "split", "names", "visibility", "part_features")
    }
    made |= {
        f"{value} in {name}": spoiled(name, value)
        for name in ("features", "visibility", "part_features")
        for value in (float("nan"), float("inf"))
    }
    made |= {
        "features of integers": with_value("features", lambda array: array.astype(int)),
        "features of text": with_value("features", lambda array: array.astype(str)),
        "complex features": with_value("features", lambda array: array.astype(complex)),
        "flat features": with_value("features", lambda array: array.ravel()),
        "features of no width": with_value("features", lambda array: array[:, :0]),
        "one number for features": lambda a: a.update(features=np.float32(1)),
        "huge features": with_value("features", lambda array: array * np.float32(1e30)),
        "pids of floats": with_value("pids", lambda array: array + 0.5),
        "negative pids": with_value("pids", lambda array: -array - 2),
        "pids of text": with_value("pids", lambda array: array.astype(str)),
        "a split that is unknown": with_value("split", lambda array: np.array(["train"] * 12)),
        "no query": with_value("split", lambda array: np.array(["gallery"] * len(array))),
        "no gallery": with_value("split", lambda array: np.array(["query"] * len(array))),
        "names twice": with_value("names", lambda array: np.array(["a.jpg"] * len(array))),
        "visibility above 1": with_value("visibility", lambda array: array + 2),
        "about no JSON": lambda a: a.update(about=np.array("{not json")),
        "about a list": lambda a: a.update(about=np.array("[1]")),
        "about a number": lambda a: a.update(about=np.array(3)),
        "about deeply nested": lambda a: a.update(about=np.array("[" * 100_000)),
        "about with a broken card": lambda a: a.update(about=np.array('{"card": {"format": 3}}')),
    }
    chance = ("features of integers", "huge features", "negative pids")
    return {what: (how, EITHER if what in chance else REFUSED) for what, how in made.items()}


def _files() -> dict[str, Put]:
    def bomb(folder: Path) -> None:
        with zipfile.ZipFile(folder / DUMP, "w", zipfile.ZIP_DEFLATED) as archive:
            header = b"\x93NUMPY\x01\x00v\x00"
            words = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 9999), }"
            archive.writestr("features.npy", header + words.ljust(117) + b"\n" + bytes(64))

    return {
        "empty": write(DUMP, b""),
        "an error page": write(DUMP, b"<html>404</html>"),
        "zeros": write(DUMP, bytes(3000)),
        "random bytes": write(DUMP, random.Random(3).randbytes(3000)),
        "a cut file": change(DUMP, lambda data: data[: len(data) // 2]),
        "the end missing": change(DUMP, lambda data: data[:-30]),
        "a bare array": lambda folder: _bare(folder / DUMP),
        "an archive of nothing": write(DUMP, b"PK\x05\x06" + bytes(18)),
        "a shape of a trillion": bomb,
    }


def _bare(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
