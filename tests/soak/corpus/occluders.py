"""Sets of obstacles with files, manifests and words that are wrong."""

from __future__ import annotations

import json
import os
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
from corpus.images import broken_files, encoded, flip, picture
from corpus.material import CONFIG, OCCLUDERS

CATEGORY = "occluders"
MANIFEST = f"{OCCLUDERS}/manifest.json"
_DRAWS = ("--draws", "20")
COMMANDS = {
    "check": ("data", "occluders", "check", OCCLUDERS, *_DRAWS),
    "preview": ("data", "occluders", "preview", OCCLUDERS, "--out", "new.png"),
    "show augment": (
        *("show", "augment", "--config-file", CONFIG, "--out", "new.png"),
        *("INPUT.NPO.OCCLUDERS", OCCLUDERS),
    ),
}


def make_cases() -> Iterator[Case]:
    """Yield broken crops, broken manifests, broken folders and wrong words."""
    for what, content in broken_files().items():
        put = write(f"{OCCLUDERS}/0bad.png", content)
        for where in ("check", "preview", "show augment"):
            if where == "preview" and "60000" not in what and len(content) > 100:
                continue  # it reads as show augment does
            ends = EITHER if where == "preview" else REFUSED  # it shows the others
            yield _case(f"{what}, {where}", put, COMMANDS[where], "0bad.png", ends)
        words = ("data", "occluders", "build", "--from-crops", "crops", "--out", "new", *_DRAWS)
        put = write("crops/0bad.png", content)
        yield _case(f"{what}, build", put, words, "0bad.png")
    for what, how in _manifests().items():
        yield _case(f"manifest {what}", _manifest(how), COMMANDS["check"], "manifest.json")
    for what, (put, ends) in _folders().items():
        for where, words in COMMANDS.items():
            shows_others = (what, where) == ("a name in no encoding", "preview")
            yield _case(f"{what}, {where}", put, words, OCCLUDERS, EITHER if shows_others else ends)
    put = write(MANIFEST, "[" * 100_000)
    yield _case("manifest nested", put, COMMANDS["check"], "manifest.json")
    for number in range(6):
        put = change(MANIFEST, lambda data, seed=number: flip(data, seed))
        yield _case(f"manifest, wrong bytes {number}", put, COMMANDS["check"], "", EITHER)
    for words in _words():
        full = ("data", "occluders", *words)
        yield Case(f"{CATEGORY}: {' '.join(words)[:60]!r}", nothing, full, tuple(words))


def _case(what: str, put: Put, words: tuple[str, ...], names: str, ends: str = REFUSED) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (names,) if names else (), ends)


def _manifest(how: Callable[[dict[str, Any]], object]) -> Put:
    def changed(data: bytes) -> bytes:
        content = json.loads(data)
        replaced = how(content)
        return json.dumps(content if replaced is None else replaced).encode()

    return change(MANIFEST, changed)


def _manifests() -> dict[str, Callable[[dict[str, Any]], object]]:
    return {
        "is a list": lambda m: [m],
        "is a string": lambda m: "crops",
        "is a number": lambda m: 7,
        "of another format": lambda m: m.update(format="COCO"),
        "of version 99": lambda m: m.update(version=99),
        "without crops": lambda m: m.pop("crops") and None,
        "with crops as a number": lambda m: m.update(crops=3),
        "with a crop as text": lambda m: m.update(crops=["0.png"]),
        "with a size of one number": lambda m: m["crops"][0].update(size=[4]),
        "with a size as text": lambda m: m["crops"][0].update(size="large"),
        "with a ratio of null": lambda m: m["crops"][0].update(ratio=None),
        "with a file elsewhere": lambda m: m["crops"][0].update(file="../evil.png"),
        "with an absolute file": lambda m: m["crops"][0].update(file="/etc/passwd"),
    }


def _folders() -> dict[str, tuple[Put, str]]:
    def emptied(folder: Path) -> None:
        shutil.rmtree(folder / OCCLUDERS)
        (folder / OCCLUDERS).mkdir()

    def a_file(folder: Path) -> None:
        shutil.rmtree(folder / OCCLUDERS)
        (folder / OCCLUDERS).write_text("no folder")

    def gone(folder: Path) -> None:
        shutil.rmtree(folder / OCCLUDERS)

    def a_pipe(folder: Path) -> None:
        os.mkfifo(folder / OCCLUDERS / "0pipe.png")

    def no_encoding(folder: Path) -> None:
        name = os.fsencode(folder / OCCLUDERS) + b"/\xff\xfe.png"
        Path(os.fsdecode(name)).write_bytes(b"no picture")

    glass = encoded(picture(30, 30, "RGBA"), "PNG")
    return {
        "an empty folder": (emptied, REFUSED),
        "a file": (a_file, REFUSED),
        "not there": (gone, REFUSED),
        "a pipe": (a_pipe, EITHER),
        "a name in no encoding": (no_encoding, REFUSED),
        "a loop of links": (lambda folder: (folder / OCCLUDERS / "me").symlink_to("."), EITHER),
        "one pixel": (write(f"{OCCLUDERS}/0.png", encoded(picture(1, 1), "PNG")), EITHER),
        "a crop twice": (
            both(write(f"{OCCLUDERS}/0.png", glass), write(f"{OCCLUDERS}/1.png", glass)),
            EITHER,
        ),
    }


def _words() -> list[tuple[str, ...]]:
    return [
        ("build", "--drawn", "0", "--out", "new"),
        ("build", "--drawn", "-3", "--out", "new"),
        ("build", "--drawn", "2", "--out", OCCLUDERS),
        ("build", "--drawn", "2", "--out", "whole.npz"),
        ("build", "--drawn", "2", "--out", "new", "--count", "0"),
        ("build", "--drawn", "2", "--out", "new", "--draws", "0"),
        ("build", "--drawn", "2", "--out", "new", "--image-size", "0", "0"),
        ("build", "--drawn", "2", "--out", "new", "--seed", "-1"),
        ("build", "--from-crops", "nowhere", "--out", "new"),
        ("build", "--from-crops", "whole.npz", "--out", "new"),
        ("build", "--mine", "nowhere", "--out", "new"),
        ("build", "--mine", "whole.npz", "--out", "new"),
        ("build", "--drawn", "2", "--out", "new", "--leaks-in", "nowhere"),
        ("preview", OCCLUDERS, "--most", "0", "--out", "new.png"),
        ("preview", OCCLUDERS, "--most", "-1", "--out", "new.png"),
        ("preview", OCCLUDERS, "--out", "people"),
    ]
