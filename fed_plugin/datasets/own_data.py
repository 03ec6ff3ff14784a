"""Somebody's own data: read, divided, numbered, and said in sentences what was done."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.listing import (
    IMAGE_SUFFIXES,
    FolderScan,
    is_hidden,
    scan_folder,
    visible_entries,
)
from fed_plugin.datasets.own_split import (
    EXPECTED,
    NOBODY,
    Division,
    Found,
    Record,
    SplitRule,
    canonical,
    counted,
    divide,
    identities,
    in_order,
    keep_their_value,
    named,
    numbered,
    part_of,
    shown,
    spelled_differently,
    uses,
)
from fed_plugin.datasets.splits import CAMERA_OF_SPLIT, MARKET_NAMES, Item, Splits

# Own data in a table: columns path and pid, camid and split where one has them.

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NEEDED, _OPTIONAL = ("path", "pid"), ("camid", "split")
_CSV_EXAMPLE = "path,pid,camid,split"

Row = tuple[int, dict[str, str]]  # line, cell of each column


def read_table(file: str) -> Found:
    """Read a table in UTF-8 with a header; paths are relative to its folder.

    Commas, semicolons or tabs separate the columns, in any order. ``camid`` and ``split`` are told
    in every row or in none. An image that is listed twice alike is taken once.

    Args:
        file: an existing file.

    Raises:
        ValueError: The header or a row is wrong; the message begins with file and line.
        FileNotFoundError: A row's image is not there, likewise.
    """
    text = _read_text(file)
    separator = _separator(file, text)
    columns, *rows = _parse(file, text, separator)
    extra = [name for name in columns[1] if name not in _NEEDED + _OPTIONAL]
    told = _told(file, rows)
    records, twice = _records(file, rows, told)
    sentences = [
        f"{shown(file)}: a table with {counted(len(rows), 'row')}, its columns separated by "
        f"{SEPARATORS[separator]}."
    ]
    sentences += spelled_differently(row["pid"] for _, row in rows)
    if extra:
        sentences.append(f"Not used: {counted(len(extra), 'column')}, {named(extra)}.")
    if twice:
        sentences.append(f"Listed twice, taken once: {counted(len(twice), 'row')}, {named(twice)}.")
    passed_over = []
    if "split" in told:
        records, passed_over, sentence = _with_uses(file, records)
        sentences.append(sentence)
    cameras = len({record.camera for record in records}) if "camid" in told else 0
    sentences.append(
        f"Cameras: {cameras}, from the column camid."
        if cameras
        else "Cameras: none, no column camid tells them."
    )
    return Found(records, sentences, passed_over)


def _read_text(file: str) -> str:
    with open(file, "rb") as table:
        data = table.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding"
        raise _wrong(file, line, "text in UTF-8", f"{got}; try saving as CSV UTF-8") from None


def _separator(file: str, text: str) -> str:
    """Return the separator that finds the needed columns in the header."""
    for separator in SEPARATORS:
        header = next(_cells(file, text, separator), (1, []))[1]
        if set(_NEEDED) <= {name.lower() for name in header}:
            return separator
    first = text.split("\n", 1)[0].strip()
    raise _wrong(
        *(file, 1, f"a header with the columns path and pid, such as {_CSV_EXAMPLE}"),
        f"{first!r}; try adding that line on top",
    )


def _parse(file: str, text: str, separator: str) -> Iterator[Row]:
    """Yield the header, its names as both keys and cells, then each row that is not empty."""
    lines = _cells(file, text, separator)
    columns = [name.lower() for name in next(lines)[1]]
    twice = [name for name in _NEEDED + _OPTIONAL if columns.count(name) > 1]
    if twice:
        raise _wrong(file, 1, f"one column {twice[0]}", f"{columns.count(twice[0])}")
    yield 1, {name: name for name in columns}
    empty = True
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(columns):
            expected = f"{counted(len(columns), 'cell')} separated by {SEPARATORS[separator]}"
            raise _wrong(file, line, expected, f"{len(cells)}; try quoting a cell that holds one")
        empty = False
        yield line, dict(zip(columns, cells, strict=True))
    if empty:
        raise _wrong(file, 2, "a row for each image", "no row; try filling the table")


def _cells(file: str, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        expected = 'cells that are quoted like "a, b" or not at all'
        raise _wrong(file, line, expected, f"{error}; try closing the quotes") from None


def _told(file: str, rows: list[Row]) -> set[str]:
    """Return the optional columns that are filled in."""
    told = set()
    for name in _OPTIONAL:
        empty = [line for line, row in rows if not row.get(name)]
        if len(empty) == len(rows):
            continue
        if empty:
            raise _wrong(
                *(file, empty[0], f"a {name} in every row, or in none"),
                f"an empty cell; try filling it in ({counted(len(empty), 'row')} without one)",
            )
        told.add(name)
    return told


def _records(file: str, rows: list[Row], told: set[str]) -> tuple[list[Record], list[str]]:
    """Return a record per image and part, and the paths of rows that repeat one."""
    first: dict[str, tuple[int, Record]] = {}
    taken: dict[tuple[str, str | None], Record] = {}
    twice = []
    for line, row in rows:
        record = Record(
            path=_path(file, line, row["path"]),
            identity=canonical(_filled(file, line, "pid", row["pid"])),
            camera=canonical(row["camid"]) if "camid" in told else None,
            split=_part(file, line, row["split"]) if "split" in told else None,
        )
        before, same = first.setdefault(record.path, (line, record))
        if (same.identity, same.camera) != (record.identity, record.camera):
            raise _wrong(
                *(file, line, f"{shown(row['path'])} with one identity and one camera"),
                f"others than in line {before}; try correcting one of the two",
            )
        if taken.setdefault((record.path, record.split), record) is not record:
            twice.append(row["path"])
    return list(taken.values()), twice


def _path(file: str, line: int, cell: str) -> str:
    """Return the path of an image that is there."""
    _filled(file, line, "path", cell)
    folder = os.path.dirname(file)
    written = os.path.normpath(os.path.join(folder, cell))
    paths = (written, os.path.normpath(os.path.join(folder, cell.replace("\\", "/"))))
    path = next(filter(os.path.isfile, paths), None)
    if path is None:
        message = _wrong(
            *(file, line, f"an image at path={shown(cell)}"),
            f"nothing at {shown(written)}; try paths relative to the table's folder",
        )
        raise FileNotFoundError(str(message))
    if not path.lower().endswith(IMAGE_SUFFIXES):
        expected = f"an image ({' '.join(IMAGE_SUFFIXES)})"
        raise _wrong(file, line, expected, f"path={shown(cell)}; try converting it")
    return path


def _filled(file: str, line: int, name: str, cell: str) -> str:
    if not cell:
        raise _wrong(
            file, line, f"a {name}", "an empty cell; try filling it in or removing the row"
        )
    return cell


def _part(file: str, line: int, cell: str) -> str:
    part = part_of(cell)
    if part is None:
        raise _wrong(file, line, f"a split, {EXPECTED}", f"split={shown(cell)}; try one of these")
    return part


def _with_uses(file: str, records: list[Record]) -> tuple[list[Record], list[str], str]:
    """Replace the parts that the table names by what they are used for."""
    try:
        use = uses({record.split for record in records if record.split})
    except ValueError as error:
        raise ValueError(f"{shown(file)}, column split: {error}") from None
    kept = [replace(r, split=use[r.split]) for r in records if r.split and use[r.split]]
    passed_over = sorted({r.path for r in records} - {r.path for r in kept})
    told = ", ".join(f"{part} is {use[part] or 'passed over'}" for part in use)
    return kept, passed_over, f"Split: as the column split says, {told}."


def _wrong(file: str, line: int, expected: str, got: str) -> ValueError:
    return ValueError(f"{shown(file)}, line {line}: expected {expected}, got {got}")


# Own data in folders: one per identity, or Market-1501's names, with a split on top or without.

# A camera number ends where its digits do, or at Market-1501's sequence; img_c3po tells none.
_CAMERA = re.compile(r"(?P<pid>.+?)_c(?P<camera>[0-9]+)(?=s[0-9]|[^0-9A-Za-z]|$)", re.IGNORECASE)
_NAME_EXAMPLE = MARKET_NAMES.example

_NESTED = "a folder per identity"
_FLAT = "images named <identity>_..."


@dataclass
class _Part:
    """The images below one folder, with the identity that each shows."""

    form: str = ""
    images: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def read_folder(root: str) -> Found:
    """Read the images of a folder: who they show, from which camera, in which split.

    Args:
        root: an existing folder.

    Raises:
        ValueError: It holds no image where one is looked for, two folders mean the same split, or
            an image is there in two formats.
        OSError: A folder cannot be listed.
    """
    splits = _splits_on_top(root)
    parts = {split: _read_part(folder) for split, folder in splits.items()}
    passed_over = []
    if parts:
        beside = scan_folder(root)
        passed_over += _outside(beside.images + beside.passed_over, splits.values())
    else:
        parts = {None: _read_part(root)}
    records = [
        Record(path, canonical(identity), split=split)
        for split, part in parts.items()
        for path, identity in part.images
    ]
    if not records:
        raise ValueError(_nothing_found(root))
    forms = " and ".join(dict.fromkeys(part.form for part in parts.values() if part.images))
    sentences = [f"{shown(root)}: {counted(len(records), 'image')}, {forms}."]
    sentences += spelled_differently(who for part in parts.values() for _, who in part.images)
    if splits:
        told = (f"{shown(os.path.relpath(path, root))}/ is {s}" for s, path in splits.items())
        sentences.append(f"Split: as the folders say, {', '.join(told)}.")
    records, cameras = _with_cameras(records)
    passed_over += [path for part in parts.values() for path in part.passed_over]
    return Found(records, [*sentences, cameras], sorted(passed_over))


def _splits_on_top(root: str) -> dict[str, str]:
    """Return the folder of each split, none where ``root`` is not divided."""
    top = _folders(root)
    found: dict[str, list[str]] = {}
    for folder in top:
        part = part_of(os.path.basename(folder))
        inner = {part_of(os.path.basename(path)): path for path in _folders(folder)}
        if part in ("test", "val") and inner.keys() >= {"query", "gallery"}:
            found.setdefault("query", []).append(inner["query"])
            found.setdefault("gallery", []).append(inner["gallery"])
        elif part:
            found.setdefault(part, []).append(folder)
    divided = found.keys() & {"train", "query"} and found.keys() & {"gallery", "test", "val"}
    if not divided and not all(part_of(os.path.basename(folder)) for folder in top):
        return {}  # somebody may be called Val
    for part, folders in found.items():
        if len(folders) > 1:
            raise ValueError(
                f"{shown(root)}: expected one folder for {part}, got {named(folders)}; try moving "
                "the others elsewhere"
            )
    try:
        return {split: found[part][0] for part, split in uses(found).items() if split}
    except ValueError as error:
        raise ValueError(f"{shown(root)}: {error}") from None


def _read_part(folder: str) -> _Part:
    """Read one folder: by its subfolders or by its names, whichever tells more images."""
    here = scan_folder(folder)
    below = {path: scan_folder(path) for path in _folders(folder)}
    flat = _by_names(here)
    if sum(len(scan.images) for scan in below.values()) < max(1, len(flat.images)):
        return flat
    part = _Part(_NESTED, passed_over=here.images + _outside(here.passed_over, below))
    for path, scan in below.items():
        part.images += [(image, os.path.basename(path)) for image in scan.images]
        part.passed_over += scan.passed_over
        if not scan.images and not scan.passed_over:
            part.passed_over.append(os.path.join(path, ""))
    return part


def _by_names(here: FolderScan) -> _Part:
    """Read identities from names: before the camera if all tell one, else before the first _."""
    cameras = [_CAMERA.match(_stem(image)) for image in here.images]
    tell_cameras = all(cameras)
    part = _Part(_FLAT, passed_over=list(here.passed_over))
    for image, camera in zip(here.images, cameras, strict=True):
        identity, mark, _ = _stem(image).partition("_")
        if camera and tell_cameras:
            identity = camera["pid"]
        if identity and mark:
            part.images.append((image, identity))
        else:
            part.passed_over.append(image)
    return part


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _folders(folder: str) -> list[str]:
    return [entry.path for entry in visible_entries(folder) if os.path.isdir(entry.path)]


def _outside(paths: list[str], folders: Iterable[str]) -> list[str]:
    """Return the paths that lie in none of the folders."""
    below = tuple(os.path.join(folder, "") for folder in folders)
    return [path for path in paths if not path.startswith(below)]


def _with_cameras(records: list[Record]) -> tuple[list[Record], str]:
    """Read cameras from the names if all of them tell one; say what was done."""
    stems = [_stem(record.path) for record in records]
    matches = [_CAMERA.match(stem) for stem in stems]
    cameras = [canonical(match["camera"]) for match in matches if match]
    if len(cameras) == len(records):
        told = [replace(record, camera=c) for record, c in zip(records, cameras, strict=True)]
        return told, f"Cameras: {len(set(cameras))}, read from the names (as in {_NAME_EXAMPLE})."
    silent = [stem for stem, match in zip(stems, matches, strict=True) if not match]
    why = "the names tell none"
    if cameras:
        tell = "tells" if len(silent) == 1 else "tell"
        why = (
            f"{counted(len(silent), 'name')} of {len(records):,} {tell} none ({named(silent)}; "
            f"expected names like {_NAME_EXAMPLE}), so the others' are not used"
        )
    return records, f"Cameras: none, {why}."


def _nothing_found(root: str) -> str:
    """Say that no image was found, and where some are."""
    scan = scan_folder(root)
    tables = [path for path in scan.passed_over if path.lower().endswith((".csv", ".tsv"))]
    deeper = [path for path in scan.passed_over if path.lower().endswith(IMAGE_SUFFIXES)]
    got, hint = "none", "the folder that holds them"
    if tables:
        hint = f"the table {shown(tables[0])}"
    elif deeper:
        above = os.path.dirname(os.path.dirname(deeper[0]))
        got, hint = (
            "deeper ones",
            shown(os.path.dirname(above) if part_of(os.path.basename(above)) else above),
        )
    elif scan.images:
        got = f"names that tell no identity, such as {shown(os.path.basename(scan.images[0]))}"
        hint = "a folder per identity, or a table of path,pid"
    return (
        f"{shown(root)} (DATASETS.FOLDER_REID.ROOT): expected images ({' '.join(IMAGE_SUFFIXES)}) "
        f"in a folder per identity, or named like {_NAME_EXAMPLE}, directly or below folders "
        f"{EXPECTED}; got {got}; try {hint}"
    )


_TABLES = (".csv", ".tsv", ".txt")
_KEY = "DATASETS.FOLDER_REID.ROOT"
_DISTRACTORS = 0  # Market-1501's identity of those in its gallery whom no query is about
_FEW = 3  # files of a folder that are named one by one


@dataclass(frozen=True)
class OwnData(Splits):
    """Hold the three lists of own data, and how they came about.

    Attributes:
        identities: the name behind every pid.
        distractor_pids: identities of the gallery that are nobody's.
        uses_cameras: whether camids of query and gallery are cameras; if not, queries have 0 and
            gallery images 1, so that the same-camera rule never fires.
        explanation: sentences on what was found, how it was read and divided, and how much it is.
        warnings: those of the sentences that call for somebody's attention.
        passed_over: every file below the folder that is no part of the data.
    """

    identities: Mapping[int, str] = field(default_factory=dict)
    distractor_pids: tuple[int, ...] = ()
    uses_cameras: bool = False
    explanation: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def read_own_data(path: str | os.PathLike[str], rule: SplitRule | None = None) -> OwnData:
    """Read a folder of folders, a Market-style folder, or a table, divided or not.

    Where no split is given, whole identities are tested on; those with one image (where cameras
    count: in one camera) are for training. Cameras count if some identity that is tested on is seen
    by two of them: with one camera alone, no query would have a right answer. Somebody in training
    and in testing is a warning, as it is somebody's own split.

    Args:
        path: a folder (:func:`~fed_plugin.datasets.own_data.read_folder`), or a file
            (:func:`~fed_plugin.datasets.own_data.read_table`).
        rule: how to divide what is not divided; None takes the defaults.

    Returns:
        Lists sorted by path, so that they are the same on every platform.

    Raises:
        FileNotFoundError: Nothing is there, or an image that a table lists is not.
        ValueError: What is there cannot be read as people and their images; the message names the
            folder, or the table and its line.
        OSError: A folder or the table cannot be read.
    """
    path = os.fspath(path)
    found = _read(path)
    people = in_order(record for record in found.records if record.identity != NOBODY)
    nobody = sorted(record.path for record in found.records if record.identity == NOBODY)
    if not people:
        raise ValueError(f"{shown(path)} ({_KEY}): expected people, got identity -1 (nobody) only")
    try:
        division = divide(people, rule or SplitRule())
    except ValueError as error:
        raise ValueError(f"{shown(path)} ({_KEY}): {error}") from None
    pids = numbered(record.identity for record in people)
    distractors = _distractors(division, pids) if people[0].split else ()
    return OwnData(
        **_items(division, pids),
        identities={pid: name for name, pid in pids.items()},
        distractor_pids=distractors,
        uses_cameras=division.uses_cameras,
        explanation=tuple(_explain(path, found, nobody, division, pids, distractors)),
        warnings=tuple(division.warnings),
        passed_over=tuple(sorted({*found.passed_over, *nobody})),
    )


def _read(path: str) -> Found:
    if os.path.isdir(path):
        return read_folder(path)
    if os.path.isfile(path) and path.lower().endswith(_TABLES):
        return read_table(path)
    there = os.path.exists(path)
    message = (
        f"{shown(path)} ({_KEY}): expected a folder of images or a table ({' '.join(_TABLES)}), "
        f"got {'another file' if there else 'nothing there'}; try "
        f"{'unpacking it, or naming its folder' if there else 'the whole path'}"
    )
    raise ValueError(message) if there else FileNotFoundError(message)


def _items(division: Division, pids: Mapping[str, int]) -> dict[str, list[Item]]:
    lists = _lists(division)
    everybody = [record for records in lists.values() for record in records]
    cameras = numbered(record.camera for record in everybody if record.camera is not None)

    def camid(record: Record, split: str) -> int:
        if record.camera is not None and (split == "train" or division.uses_cameras):
            return cameras[record.camera]
        return CAMERA_OF_SPLIT[split]

    return {
        split: [(r.path, pids[r.identity], camid(r, split)) for r in in_order(records)]
        for split, records in lists.items()
    }


def _lists(division: Division) -> dict[str, list[Record]]:
    return {"train": division.train, "query": division.query, "gallery": division.gallery}


def _distractors(division: Division, pids: Mapping[str, int]) -> tuple[int, ...]:
    """Return identity 0 if numbers are identities and only the gallery holds it."""
    asked = {pids[record.identity] for record in division.train + division.query}
    there = {pids[record.identity] for record in division.gallery}
    alone = keep_their_value(pids) and _DISTRACTORS in there - asked
    return (_DISTRACTORS,) if alone else ()


def _explain(
    path: str,
    found: Found,
    nobody: list[str],
    division: Division,
    pids: Mapping[str, int],
    distractors: tuple[int, ...],
) -> Iterator[str]:
    yield from found.sentences
    yield _numbering(pids)
    yield from division.sentences
    for pid in distractors:
        yield f"Identity {pid} is in the gallery only: distractors."
    yield from _passed_over(path, "Passed over as nobody (-1)", nobody)
    yield from _passed_over(path, "Passed over", found.passed_over)
    for warning in division.warnings:
        yield f"Warning: {warning}"
    yield _counts(division)


def _numbering(pids: Mapping[str, int]) -> str:
    if keep_their_value(pids):
        return f"Identities: {len(pids):,}, which keep their numbers."
    told = named([f"{name} is {pid}" for name, pid in pids.items()])
    return f"Identities: {len(pids):,}, numbered in sorted order: {told}."


def _counts(division: Division) -> str:
    told = []
    for split, records in _lists(division).items():
        people = identities(len({record.identity for record in records}))
        told.append(f"{split} {counted(len(records), 'image')} of {people}")
    return f"In all: {', '.join(told)}."


def _passed_over(root: str, what: str, paths: list[str]) -> list[str]:
    """Name what was passed over: by its folder where that holds many, hidden files last."""
    if not paths:
        return []
    start = root if os.path.isdir(root) else os.path.dirname(root) or "."
    folders: dict[str, list[str]] = {}
    for path in paths:
        name = os.path.relpath(path, start) + path[len(path.rstrip(os.sep)) :]
        hidden = any(is_hidden(part) for part in name.split(os.sep))
        folder = "hidden" if hidden else os.path.dirname(name.rstrip(os.sep))
        folders.setdefault(folder, []).append(name)
    hidden = folders.pop("hidden", [])
    names = []
    for folder, inside in sorted(folders.items()):
        many = folder and len(inside) > _FEW
        names += [f"{folder}{os.sep} ({len(inside):,} files)"] if many else inside
    if hidden:
        names.append(f"{counted(len(hidden), 'hidden file')} such as {hidden[0]}")
    return [f"{what}: {counted(len(paths), 'file')}, {named(names)}."]


__all__ = ["OwnData", "SplitRule", "read_own_data"]
