"""Occluded-Duke copied image by image; a second call completes a first."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fed_plugin.datasets.checking.inspection import inspect
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.occluded_duke_builder.lists import (
    LISTS,
    TEST,
    WITHDRAWN,
    ListRule,
    counts,
    read_lists,
)
from fed_plugin.datasets.occluded_duke_builder.sources import Place, Source, open_source

MANIFEST = "occluded_duke.json"
"""Written last: a folder without it is not complete."""
STARTED = "occluded_duke.started.json"
"""Written first: what is in a folder with it came from here."""

_UNFINISHED = ".part"
_BLOCK = 4096  # bytes; what a small file takes on disk is a multiple of it
_SPARE = 16 << 20  # bytes that stay free

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """Say what a call did.

    Attributes:
        folder: of the data set.
        images: how many it holds.
        copied: how many of them were copied now; the others were there and are the same.
        sha256: of all images' names and contents together, the same for every build.
    """

    folder: Path
    images: int
    copied: int
    sha256: str


def build_occluded_duke(
    duke: str | os.PathLike[str],
    lists: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    rules: Sequence[ListRule] = LISTS,
    progress: Progress | None = None,
) -> Built:
    """Build Occluded-Duke by the published rule.

    For each name, the image is copied from the same-named folder of DukeMTMC-reID if it is there,
    otherwise from its ``bounding_box_test``. Every copy is read back, compared and decoded; a call
    on a folder that an earlier one began compares what is there and copies the rest.

    Args:
        duke: folder or ZIP archive of DukeMTMC-reID; only read.
        lists: folder with ``train.list``, ``query.list`` and ``gallery.list``.
        out: folder to build; new, empty, or begun by an earlier call.
        rules: what the lists have to be.
        progress: called with (images done, images in all).

    Raises:
        FileNotFoundError: The copy, a list, or images that the lists name are not there.
        ValueError: A list is not the published one, an image is broken, or ``out`` holds something
            else.
        OSError: ``out`` cannot be written, or its disk is too full.
    """
    names = read_lists(lists, rules)
    with open_source(duke) as source:
        origins = dict(_origins(names, source, duke))
        folder = Path(out)
        work = {"dataset": "Occluded_Duke", "lists": {rule.file: rule.sha256 for rule in rules}}
        _claim(folder, work, origins)
        missing = [place for place in origins if not folder.joinpath(*place).exists()]
        _refuse_full_disk(folder, [source.sizes[origins[place]] for place in missing])
        if missing or not (folder / MANIFEST).exists():
            _start(folder, work, names)
        digest = hashlib.sha256()
        for done, place in enumerate(sorted(origins), start=1):
            sha256 = _copy(source.read(origins[place]), folder.joinpath(*place), duke)
            digest.update(f"{'/'.join(place)} {sha256}\n".encode())
            if progress is not None:
                progress(done, len(origins))
    built = Built(folder, len(origins), len(missing), digest.hexdigest())
    _finish(folder, {**work, "images": counts(names), "sha256": built.sha256, "note": WITHDRAWN})
    return built


def _origins(
    names: Mapping[str, Sequence[str]], source: Source, duke: str | os.PathLike[str]
) -> Iterator[tuple[Place, Place]]:
    """Yield where each image goes and where it comes from.

    Raises:
        FileNotFoundError: Some come from nowhere.
    """
    lost = []
    for folder, listed in names.items():
        for name in listed:
            places = [place for place in ((folder, name), (TEST, name)) if place in source.sizes]
            if places:
                yield (folder, name), places[0]
            else:
                lost.append(f"{folder}/{name}")
    if lost:
        raise FileNotFoundError(
            f"--duke {printable(os.fspath(duke))}: expected every image of the lists, got none for "
            f"{len(lost):,} of {sum(counts(names).values()):,}, such as {', '.join(lost[:3])}; try "
            "a complete copy of DukeMTMC-reID"
        )


def _claim(folder: Path, work: Mapping[str, object], places: Mapping[Place, Place]) -> None:
    """Make sure that the folder is new, empty, or this very data set, whole or begun.

    Raises:
        ValueError: It holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder}: expected a folder, got a file; try another name")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    found = [_read(folder / name) for name in (MANIFEST, STARTED) if (folder / name).exists()]
    if not found or any({key: held.get(key) for key in work} != work for held in found):
        raise ValueError(
            f"--out {folder}: expected a new or empty folder, or Occluded_Duke begun here before; "
            f"it holds {'another build' if found else 'something else'}; try another name"
        )
    ours = {"/".join(place) for place in places} | {MANIFEST, STARTED}
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if name.endswith(_UNFINISHED) and name.removesuffix(_UNFINISHED) in ours:
            path.unlink()
        elif name not in ours or path.is_symlink():
            raise ValueError(f"--out {folder}: {name} does not belong there; try moving it away")


def _refuse_full_disk(folder: Path, sizes: Sequence[int]) -> None:
    needed = sum(-(-size // _BLOCK) * _BLOCK for size in sizes) + _SPARE
    above = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(above).free
    if sizes and free < needed:
        raise OSError(
            f"--out {folder}: expected {needed >> 20:,} MiB of free disk, got {free >> 20:,}; try "
            "another disk"
        )


def _start(folder: Path, work: Mapping[str, object], names: Mapping[str, Sequence[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / STARTED, _json(work))
    (folder / MANIFEST).unlink(missing_ok=True)
    for inside in names:
        (folder / inside).mkdir(exist_ok=True)


def _copy(data: bytes, target: Path, duke: str | os.PathLike[str]) -> str:
    """Write an image unless it is there; read it back, compare and decode it.

    Returns:
        Its sha256.

    Raises:
        ValueError: It is no sound image, or the file that is there is another.
    """
    there = target.exists()
    path = target if there else target.with_name(target.name + _UNFINISHED)
    try:
        if not there:
            path.write_bytes(data)
        facts = inspect(str(path))
        if facts.sha256 != hashlib.sha256(data).hexdigest():
            raise ValueError(
                f"{target}: expected the same bytes as in {printable(os.fspath(duke))}, got others "
                f"{facts.problem}; try deleting this file and calling again"
            )
        if facts.problem:
            raise ValueError(
                f"--duke {printable(os.fspath(duke))}: {target.parent.name}/{target.name} is no "
                f"sound image ({facts.problem}); try another copy of DukeMTMC-reID"
            )
        if not there:
            path.replace(target)
    finally:
        if not there:
            path.unlink(missing_ok=True)
    return facts.sha256


def _finish(folder: Path, manifest: Mapping[str, object]) -> None:
    _write(folder / MANIFEST, _json(manifest))
    (folder / STARTED).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + _UNFINISHED)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _read(path: Path) -> dict[str, object]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}
