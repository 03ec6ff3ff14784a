"""Folders and tables of somebody's own images that are no data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from corpus.cases import EITHER, REFUSED, Case, Put, nothing
from corpus.material import CHECKPOINT, CONFIG, PEOPLE

CATEGORY = "folders"
_ROOT = "DATASETS.FOLDER_REID.ROOT"
_TEST = ("dump", "--config-file", CONFIG, "--weights", CHECKPOINT, "-o", "new.npz")


def commands(root: str) -> dict[str, tuple[str, ...]]:
    """Return the ways to read a data set: training, test and check."""
    return {
        "training": ("train", "--config-file", CONFIG, _ROOT, root),
        "dump": (*_TEST, _ROOT, root),
        "data check": ("data", "check", root, "--no-cache", "--workers", "1"),
    }


def in_people(how: Callable[[Path], object]) -> Put:
    """Return what changes the folder of people."""
    return lambda folder: how(folder / PEOPLE) and None


def make_cases() -> Iterator[Case]:
    """Yield every odd folder under training, test and check."""
    for what, (put, ends) in _odd_folders().items():
        for where, words in commands(PEOPLE).items():
            named = (PEOPLE, "DATALOADER.SAMPLER_TRAIN")
            yield Case(f"{CATEGORY}: {what}, {where}", put, words, named, ends)
    for root in ("nowhere", "tiny.yml", "whole.npz", "~", "people\nquery", "p" * 300, "/dev/null"):
        for where, words in commands(root).items():
            named = (root, _ROOT, root.replace("\n", "\\n"), root[:50])
            what = f"the root {root[:20]!r}, {where}"
            yield Case(f"{CATEGORY}: {what}", nothing, words, named, EITHER)


def _odd_folders() -> dict[str, tuple[Put, str]]:
    return {
        "empty": (in_people(_emptied), REFUSED),
        "hidden files alone": (in_people(_hidden), REFUSED),
        "text files alone": (in_people(_texts), REFUSED),
        "a file": (in_people(_a_file), REFUSED),
        "no query": (in_people(lambda people: shutil.rmtree(people / "query")), EITHER),
        "no gallery": (in_people(lambda people: shutil.rmtree(people / "gallery")), EITHER),
        "no train": (in_people(lambda people: shutil.rmtree(people / "train")), EITHER),
        "empty gallery": (in_people(lambda people: _emptied(people / "gallery")), EITHER),
        "one person": (in_people(_one_person), EITHER),
        "names without identities": (in_people(_nameless), EITHER),
        "an identity of forty digits": (in_people(_long_identity), EITHER),
        "a loop of links": (in_people(lambda people: (people / "loop").symlink_to(".")), EITHER),
        "folders in the place of images": (in_people(_folders), REFUSED),
        "names in no encoding": (in_people(_no_encoding), EITHER),
        "line breaks in names": (in_people(_line_breaks), EITHER),
        "a pipe among the images": (in_people(_pipe), EITHER),
        "one image twice": (in_people(_twice), EITHER),
        "queries in the gallery's folder": (in_people(_merged), EITHER),
    }


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _images(people: Path) -> list[Path]:
    return sorted(people.rglob("*.jpg"))


def _hidden(people: Path) -> None:
    for path in _images(people):
        path.rename(path.with_name(f".{path.name}"))


def _texts(people: Path) -> None:
    for path in _images(people):
        path.rename(path.with_suffix(".txt"))


def _a_file(people: Path) -> None:
    shutil.rmtree(people)
    people.write_text("moved to the other disk\n")


def _one_person(people: Path) -> None:
    for path in _images(people):
        if not path.name.startswith(("0001", "0101")):
            path.unlink()


def _nameless(people: Path) -> None:
    for number, path in enumerate(_images(people)):
        path.rename(path.with_name(f"DSC{number:05d}.jpg"))


def _long_identity(people: Path) -> None:
    for path in _images(people):
        path.rename(path.with_name("9" * 40 + path.name))


def _folders(people: Path) -> None:
    for path in _images(people):
        path.unlink()
        path.mkdir()


def _no_encoding(people: Path) -> None:
    for path in _images(people):
        path.rename(os.fsdecode(os.fsencode(path).replace(b"_00.jpg", b"_\xff\xfe.jpg")))


def _line_breaks(people: Path) -> None:
    for path in _images(people):
        path.rename(path.with_name(path.name.replace("_00", "_\n0")))


def _pipe(people: Path) -> None:
    path = _images(people)[0]
    path.unlink()
    os.mkfifo(path)


def _twice(people: Path) -> None:
    for path in _images(people)[:4]:
        shutil.copy(path, path.with_name(path.name.replace("_00.jpg", "_01.jpg")))


def _merged(people: Path) -> None:
    for path in _images(people / "query"):
        shutil.copy(path, people / "gallery" / path.name)
