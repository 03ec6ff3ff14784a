"""Break what a file holds, in ways that no format foresees; every reader gets the same breaks."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HUGE = "9" * 5000
"""JSON of a number that Python refuses to print."""

ODD = (
    *("null", "true", "-1", "0", "1.5", '"x"', '""', "[]", "{}", '[["x"]]', '{"x": {}}'),
    *("1e999", "-1e999", "NaN", HUGE, "9" * 400, "9" * 30, "-" + "9" * 19, '"\\ud800"', "[" * 3000),
)
"""JSON that stands in the place of any leaf, or of any list or object."""

_MARK = "\0here\0"


def _laughs(first: str, line: Callable[[list[str]], str], steps: int = 12) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} " + line([f"*a{i - 1}"] * 9) for i in range(1, steps)]
    return "\n".join(lines) + "\n"


def _mapping(pattern: str) -> Callable[[list[str]], str]:
    return lambda names: (
        "{" + ", ".join(pattern.format(name, i) for i, name in enumerate(names)) + "}"
    )


BOMBS = {
    "lists": _laughs("[x, x]", lambda names: f"[{', '.join(names)}]"),
    "maps": _laughs("{x: 1}", _mapping("k{1}: {0}")),
    "merge keys": _laughs("{x: 1, y: 2}", lambda names: f"{{<<: [{', '.join(names)}]}}"),
    "keys": _laughs("[x]", _mapping("? [{0}, {1}]")),
    "a long text": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 5000)}]\n",
}
"""YAML in which aliases repeat what aliases repeat."""


def damaged(content: bytes, count: int = 60, seed: int = 0) -> Iterator[bytes]:
    """Yield bytes that are cut short, flipped, zeroed, doubled, or emptied."""
    draw = random.Random(seed)
    yield b""
    yield content + content
    for share in (0.01, 0.3, 0.6, 0.9, 0.99):
        yield content[: int(share * len(content))]
    for end in (1, 4, 22, 60):
        yield content[:-end]
    for number in range(count):
        broken = bytearray(content)
        # every second flip hits the begin or the end, where formats keep their tables
        edges = [*range(min(400, len(content))), *range(max(0, len(content) - 400), len(content))]
        for _ in range(1 + number % 3):
            place = draw.choice(edges) if number % 2 else draw.randrange(len(content))
            broken[place] = draw.choice((0, 0xFF, broken[place] ^ (1 << draw.randrange(8))))
        yield bytes(broken)
    middle = len(content) // 2
    yield content[:middle] + bytes(len(content) - middle)
    yield content[:middle] + content[middle + 1 :]


def swapped(value: Any, odd: tuple[str, ...] = ODD) -> Iterator[str]:
    """Yield JSON with one value, at any depth, replaced; long lists are broken at their begin."""
    for place in _places(value):
        text = json.dumps(_with(value, place, _MARK))
        for one in odd:
            yield text.replace(json.dumps(_MARK), one)
        if place:
            yield json.dumps(_without(value, place))


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    steps = value if isinstance(value, dict) else range(min(2, len(value)))
    for step in steps if isinstance(value, (dict, list)) else ():
        if isinstance(value[step], (dict, list)):
            yield from _places(value[step], (*way, step))
        else:
            yield (*way, step)


def _with(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    if not way:
        return new
    copy = value.copy()
    copy[way[0]] = _with(value[way[0]], way[1:], new)
    return copy


def _without(value: Any, way: tuple[Any, ...]) -> Any:
    copy = value.copy()
    if len(way) > 1:
        copy[way[0]] = _without(value[way[0]], way[1:])
    else:
        del copy[way[0]]
    return copy


@contextmanager
def seconds_at_most(seconds: int) -> Iterator[None]:
    """End what hangs."""

    def end(*_: Any) -> None:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaints(
    read: Callable[[Path], object],
    path: Path,
    contents: Iterator[bytes] | Iterator[str],
    names: str = "",
    mistakes: tuple[type[Exception], ...] = (ValueError, OSError, KeyError),
) -> list[str]:
    """Read every content from a file; list what is no success and no sentence that names the file.

    Args:
        read: reader of the path.
        path: file to write; its former content is restored.
        contents: broken contents.
        names: text that the sentence has to hold; empty for the name of the file.
        mistakes: kinds of errors that become a sentence.
    """
    whole, found = path.read_bytes(), []
    try:
        for number, content in enumerate(contents):
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
            try:
                with seconds_at_most(20):
                    read(path)
            except mistakes as error:
                text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
                if (names or path.name) not in text or "\n" in text or len(text) > 1000:
                    found.append(f"{number}: {type(error).__name__}: {text[:300]!r}")
            except Exception as error:
                shown = data if len(data) < 300 else data[:100] + b"..." + data[-100:]
                found.append(f"{number}: {type(error).__name__}: {error!s:.200}: {shown!r}")
    finally:
        path.write_bytes(whole)
    return found
