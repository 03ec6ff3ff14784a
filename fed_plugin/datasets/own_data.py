"""Own data: read from a folder or a table, divided, numbered, and explained in sentences."""

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
    Division,
    OwnFiles,
    Record,
    SplitRule,
    by_identity,
    counted,
    divide,
    first_names,
    identities,
    in_order,
    keep_their_value,
    numbered,
    part_of,
    short,
    spelled_differently,
    uses,
)
from fed_plugin.datasets.splits import CAMERA_OF_SPLIT, MARKET_NAMES, Item, Splits
from fed_plugin.files import open_regular
from fed_plugin.identities import NOBODY, canonical

_TABLES = (".csv", ".tsv", ".txt")
_KEY = "DATASETS.FOLDER_REID.ROOT"
_FEW = 3  # files of a folder that are named one by one


@dataclass(frozen=True)
class OwnData(Splits):
    """The three lists of own data, with the name of each person.

    Attributes:
        distractor_pids: identities of the gallery that are nobody's.
        uses_cameras: whether camids of query and gallery are cameras. If not, queries have camera 0
            and gallery images camera 1: the same-camera rule never applies.
        explanation: sentences on the form, the division and the size of the data.
        warnings: sentences of the explanation that call for attention.
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

    Where no split is given, whole identities are tested on; identities with one image (where
    cameras count: in one camera) are for training. Cameras count if a test identity has images of
    two cameras: with one camera alone, no query would have a right answer. A person in training and
    in testing is a warning, because the split is the user's own.

    The path is a folder (:func:`read_folder`), or a file (:func:`read_table`). The rule is for data
    without a split; None takes the defaults. The lists are sorted by path, the same on every
    platform.

    Raises:
        FileNotFoundError: the path, or an image of a table, does not exist.
        ValueError: the content is not people and their images; the message names the folder, or
            the table and its line.
        OSError: a folder or the table cannot be read.
    """
    path = os.fspath(path)
    files = _read(path)
    people = in_order(record for record in files.records if record.identity != NOBODY)
    nobody = sorted(record.path for record in files.records if record.identity == NOBODY)
    if not people:
        raise ValueError(f"{short(path)} ({_KEY}): expected people, got identity -1 (nobody) only")
    try:
        division = divide(people, rule or SplitRule())
    except ValueError as error:
        raise ValueError(f"{short(path)} ({_KEY}): {error}") from None
    pids = numbered(record.identity for record in people)
    how = "which keep their numbers"
    if not keep_their_value(pids):
        pairs = first_names([f"{name} is {pid}" for name, pid in pids.items()])
        how = f"numbered in sorted order: {pairs}"
    distractors = _distractors(division, pids) if people[0].split else ()
    counts = (
        f"{split} {counted(len(records), 'image')} of {identities(len(by_identity(records)))}"
        for split, records in division.lists.items()
    )
    sentences = [
        *files.sentences,
        f"Identities: {len(pids):,}, {how}.",
        *division.sentences,
        *(f"Identity {pid} is in the gallery only: distractors." for pid in distractors),
        *_passed_over(path, "Passed over as nobody (-1)", nobody),
        *_passed_over(path, "Passed over", files.passed_over),
        *(f"Warning: {warning}" for warning in division.warnings),
        f"In all: {', '.join(counts)}.",
    ]
    return OwnData(
        **_items(division, pids),
        identities={pid: name for name, pid in pids.items()},
        distractor_pids=distractors,
        uses_cameras=division.uses_cameras,
        explanation=tuple(sentences),
        warnings=tuple(division.warnings),
        passed_over=tuple(sorted({*files.passed_over, *nobody})),
    )


def _read(path: str) -> OwnFiles:
    if os.path.isdir(path):
        return read_folder(path)
    if os.path.isfile(path) and path.lower().endswith(_TABLES):
        return read_table(path)
    there = os.path.exists(path)
    message = (
        f"{short(path)} ({_KEY}): expected a folder of images or a table ({' '.join(_TABLES)}), "
        f"got {'another file' if there else 'nothing there'}; try "
        f"{'unpacking it, or naming its folder' if there else 'the whole path'}"
    )
    raise ValueError(message) if there else FileNotFoundError(message)


def _items(division: Division, pids: Mapping[str, int]) -> dict[str, list[Item]]:
    everybody = [record for records in division.lists.values() for record in records]
    cameras = numbered(record.camera for record in everybody if record.camera is not None)

    def camid(record: Record, split: str) -> int:
        if record.camera is not None and (split == "train" or division.uses_cameras):
            return cameras[record.camera]
        return CAMERA_OF_SPLIT[split]

    return {
        split: [(r.path, pids[r.identity], camid(r, split)) for r in in_order(records)]
        for split, records in division.lists.items()
    }


def _distractors(division: Division, pids: Mapping[str, int]) -> tuple[int, ...]:
    """Return Market-1501's identity 0 if identities are numbers and only the gallery holds it."""
    asked = {record.identity for record in division.train + division.query}
    there = {record.identity for record in division.gallery}
    return (0,) if keep_their_value(pids) and "0" in there - asked else ()


def _passed_over(root: str, what: str, paths: list[str]) -> list[str]:
    """Name files that are passed over: a folder in place of many files, hidden files last."""
    if not paths:
        return []
    start = root if os.path.isdir(root) else os.path.dirname(root) or "."
    folders: dict[str, list[str]] = {}
    for path in paths:
        name = os.path.relpath(path, start) + path[len(path.rstrip(os.sep)) :]
        is_hidden_file = any(is_hidden(part) for part in name.split(os.sep))
        folder = "hidden" if is_hidden_file else os.path.dirname(name.rstrip(os.sep))
        folders.setdefault(folder, []).append(name)
    hidden = folders.pop("hidden", [])
    names = []
    for folder, inside in sorted(folders.items()):
        many = folder and len(inside) > _FEW
        names += [f"{folder}{os.sep} ({len(inside):,} files)"] if many else inside
    if hidden:
        names.append(f"{counted(len(hidden), 'hidden file')} such as {hidden[0]}")
    return [f"{what}: {counted(len(paths), 'file')}, {first_names(names)}."]


# Data in a table: columns path and pid, and optionally camid and split.

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NEEDED, _OPTIONAL = ("path", "pid"), ("camid", "split")
_CSV_EXAMPLE = "path,pid,camid,split"

Row = tuple[int, dict[str, str]]  # line, cell of each column


def read_table(file: str) -> OwnFiles:
    """Read a table in UTF-8 with a header; paths are relative to the table's folder.

    Commas, semicolons or tabs separate the columns, in any order. ``camid`` and ``split`` are given
    in every row or in none. Equal rows of one image count once.

    Raises:
        ValueError: the header or a row is wrong; the message begins with file and line.
        FileNotFoundError: the image of a row does not exist; the message begins likewise.
    """
    text = _read_text(file)
    separator = _separator(file, text)
    columns, *rows = _parse(file, text, separator)
    if not rows:
        raise _wrong(file, 2, "a row for each image", "no row; try filling the table")
    extra = [name for name in columns[1] if name not in _NEEDED + _OPTIONAL]
    filled = _filled_columns(file, rows)
    records, twice = _records(file, rows, filled)
    table = f"a table with {counted(len(rows), 'row')}"
    sentences = [f"{short(file)}: {table}, its columns separated by {SEPARATORS[separator]}."]
    sentences += spelled_differently(row["pid"] for _, row in rows)
    lists = {"Not used": ("column", extra), "Listed twice, taken once": ("row", twice)}
    for what, (noun, names) in lists.items():
        if names:
            sentences.append(f"{what}: {counted(len(names), noun)}, {first_names(names)}.")
    paths = {record.path for record in records}
    if "split" in filled:
        try:
            use = uses({record.split for record in records if record.split})
        except ValueError as error:
            raise ValueError(f"{short(file)}, column split: {error}") from None
        records = [replace(r, split=use[r.split]) for r in records if r.split and use[r.split]]
        parts = ", ".join(f"{part} is {use[part] or 'passed over'}" for part in use)
        sentences.append(f"Split: by the column split, {parts}.")
    cameras = "none, there is no column camid"
    if "camid" in filled:
        cameras = f"{len({record.camera for record in records})}, from the column camid"
    passed_over = sorted(paths - {record.path for record in records})
    return OwnFiles(records, [*sentences, f"Cameras: {cameras}."], passed_over)


def _read_text(file: str) -> str:
    with open_regular(file) as table:
        data = table.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding"
        raise _wrong(file, line, "text in UTF-8", f"{got}; try saving as CSV UTF-8") from None


def _separator(file: str, text: str) -> str:
    for separator in SEPARATORS:
        header = next(_cells(file, text, separator), (1, []))[1]
        if set(_NEEDED) <= {name.lower() for name in header}:
            return separator
    expected = f"a header with the columns path and pid, such as {_CSV_EXAMPLE}"
    first = text.split("\n", 1)[0].strip()
    raise _wrong(file, 1, expected, f"{first!r:.120}; try adding that line on top")


def _parse(file: str, text: str, separator: str) -> Iterator[Row]:
    """Yield the header, its names as both keys and cells, then each row that is not empty."""
    lines = _cells(file, text, separator)
    columns = [name.lower() for name in next(lines)[1]]
    for name in _NEEDED + _OPTIONAL:
        if columns.count(name) > 1:
            raise _wrong(file, 1, f"one column {name}", f"{columns.count(name)}")
    yield 1, {name: name for name in columns}
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(columns):
            expected = f"{counted(len(columns), 'cell')} separated by {SEPARATORS[separator]}"
            raise _wrong(file, line, expected, f"{len(cells)}; try quoting a cell that holds one")
        yield line, dict(zip(columns, cells, strict=True))


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


def _filled_columns(file: str, rows: list[Row]) -> set[str]:
    filled = set()
    for name in _OPTIONAL:
        empty = [line for line, row in rows if not row.get(name)]
        if not empty:
            filled.add(name)
        elif len(empty) < len(rows):
            got = f"an empty cell; try filling it in ({counted(len(empty), 'row')} without one)"
            raise _wrong(file, empty[0], f"a {name} in every row, or in none", got)
    return filled


def _records(file: str, rows: list[Row], filled: set[str]) -> tuple[list[Record], list[str]]:
    """Return a record per image and part, and the paths of repeated rows."""
    first: dict[str, tuple[int, Record]] = {}
    taken: dict[tuple[str, str | None], Record] = {}
    twice = []
    for line, row in rows:
        record = Record(
            path=_path(file, line, row["path"]),
            identity=canonical(_not_empty(file, line, "pid", row["pid"])),
            camera=canonical(row["camid"]) if "camid" in filled else None,
            split=part_of(row["split"]) if "split" in filled else None,
        )
        if "split" in filled and record.split is None:
            got = f"split={short(row['split'])}; try one of these"
            raise _wrong(file, line, f"a split, {EXPECTED}", got)
        before, same = first.setdefault(record.path, (line, record))
        if (same.identity, same.camera) != (record.identity, record.camera):
            expected = f"{short(row['path'])} with one identity and one camera"
            got = f"others than in line {before}; try correcting one of the two"
            raise _wrong(file, line, expected, got)
        if taken.setdefault((record.path, record.split), record) is not record:
            twice.append(row["path"])
    return list(taken.values()), twice


def _path(file: str, line: int, cell: str) -> str:
    _not_empty(file, line, "path", cell)
    written, turned = (
        os.path.normpath(os.path.join(os.path.dirname(file), name))
        for name in (cell, cell.replace("\\", "/"))
    )
    path = next(filter(os.path.isfile, (written, turned)), None)
    if path is None:
        got = f"nothing at {short(written)}; try paths relative to the table's folder"
        raise FileNotFoundError(str(_wrong(file, line, f"an image at path={short(cell)}", got)))
    if not path.lower().endswith(IMAGE_SUFFIXES):
        expected = f"an image ({' '.join(IMAGE_SUFFIXES)})"
        raise _wrong(file, line, expected, f"path={short(cell)}; try converting it")
    return path


def _not_empty(file: str, line: int, name: str, cell: str) -> str:
    if cell:
        return cell
    raise _wrong(file, line, f"a {name}", "an empty cell; try filling it in or removing the row")


def _wrong(file: str, line: int, expected: str, got: str) -> ValueError:
    return ValueError(f"{short(file)}, line {line}: expected {expected}, got {got}")


# Data in folders: one folder per identity, or Market-1501's names, with or without a split on top.

# A camera number ends where its digits do, or at Market-1501's sequence; img_c3po holds no camera.
_CAMERA = re.compile(r"(?P<pid>.+?)_c(?P<camera>[0-9]+)(?=s[0-9]|[^0-9A-Za-z]|$)", re.IGNORECASE)
_NAME_EXAMPLE = MARKET_NAMES.example

_CAMERA_FOLDER = re.compile(r"c[0-9]+|cam(era)?([-_ ]\w+|[0-9]+)", re.IGNORECASE)

_FORMS = {  # by the level of the cameras' folders
    None: "a folder per identity",
    0: "a folder per camera with a folder per identity inside",
    1: "a folder per identity with a folder per camera inside",
}


@dataclass
class _Part:
    """Images below one folder, with the identity of each, and the cameras that folders name."""

    form: str
    passed_over: list[str]
    images: list[tuple[str, str]] = field(default_factory=list)
    cameras: dict[str, str] = field(default_factory=dict)


def read_folder(root: str) -> OwnFiles:
    """Read the identity, the camera and the split of each image of an existing folder.

    Raises:
        ValueError: the folder holds no image in a known form, two folders mean one split, or an
            image exists in two formats.
        OSError: a folder cannot be listed.
    """
    splits = _splits_on_top(root)
    roots: dict[str | None, str] = {**splits} or {None: root}
    level = _camera_level(roots.values())
    parts = {s: _read_part(path, level) for s, path in roots.items()}
    passed_over = [path for part in parts.values() for path in part.passed_over]
    records = [
        Record(path, canonical(identity), part.cameras.get(path), split)
        for split, part in parts.items()
        for path, identity in part.images
    ]
    if not records:
        raise ValueError(_nothing_readable(root))
    forms = " and ".join(dict.fromkeys(part.form for part in parts.values() if part.images))
    sentences = [f"{short(root)}: {counted(len(records), 'image')}, {forms}."]
    sentences += spelled_differently(who for part in parts.values() for _, who in part.images)
    if splits:
        beside = scan_folder(root)
        passed_over += _outside(beside.images + beside.passed_over, splits.values())
        names = (f"{short(os.path.relpath(path, root))}/ is {s}" for s, path in splits.items())
        sentences.append(f"Split: by the folders, {', '.join(names)}.")
    records, cameras = _with_cameras(records)
    return OwnFiles(records, [*sentences, cameras], sorted(passed_over))


def _splits_on_top(root: str) -> dict[str, str]:
    top = _folders(root)
    by_part: dict[str, list[str]] = {}
    for folder in top:
        part = part_of(os.path.basename(folder))
        inner = {part_of(os.path.basename(path)): path for path in _folders(folder)}
        found = {part: folder} if part else {}
        if part in ("test", "val") and inner.keys() >= {"query", "gallery"}:
            found = {"query": inner["query"], "gallery": inner["gallery"]}
        for name, path in found.items():
            by_part.setdefault(name, []).append(path)
    divided = by_part.keys() & {"train", "query"} and by_part.keys() & {"gallery", "test", "val"}
    if not divided and not all(part_of(os.path.basename(folder)) for folder in top):
        return {}  # a person may be called Val
    for part, folders in by_part.items():
        if len(folders) > 1:
            raise ValueError(
                f"{short(root)}: expected one folder for {part}, got {first_names(folders)}; try "
                "moving the others elsewhere"
            )
    try:
        return {split: by_part[part][0] for part, split in uses(by_part).items() if split}
    except ValueError as error:
        raise ValueError(f"{short(root)}: {error}") from None


def _camera_level(roots: Iterable[str]) -> int | None:
    """Return which of two levels of folders are cameras: 0 the upper, 1 the lower, None neither.

    Images lie below two levels only. Names such as cam1 are cameras; other names are if they recur
    in the lower level, as the same cameras see several people.
    """
    upper = [path for root in roots for path in _folders(root)]
    lower = [inner for path in upper for inner in _folders(path)]
    names = [os.path.basename(path) for path in lower]
    if len(upper) < 2 or any(scan_folder(path, strict=False).images for path in upper):
        return None
    if all(map(_CAMERA_FOLDER.fullmatch, names)) or 2 * len(set(names)) <= len(names):
        above = all(_CAMERA_FOLDER.fullmatch(os.path.basename(path)) for path in upper)
        return 0 if above and not all(map(_CAMERA_FOLDER.fullmatch, names)) else 1
    return None


def _read_part(folder: str, camera_level: int | None) -> _Part:
    """Read one folder by its subfolders or by its names: the form with more images."""
    here = scan_folder(folder)
    inner = _folders(folder)
    if camera_level is not None:
        inner = [path for upper in inner for path in _folders(upper)]
    below = {path: scan_folder(path) for path in inner}
    flat = _by_names(here)
    nested = sum(len(scan.images) for scan in below.values())
    if camera_level is None and nested < max(1, len(flat.images)):
        return flat
    part = _Part(_FORMS[camera_level], here.images + _outside(here.passed_over, below))
    for path, scan in below.items():
        identity, other = os.path.basename(path), os.path.basename(os.path.dirname(path))
        if camera_level == 1:
            identity, other = other, identity
        part.images += [(image, identity) for image in scan.images]
        if camera_level is not None:
            part.cameras |= dict.fromkeys(scan.images, canonical(other))
        empty = [] if scan.images else [os.path.join(path, "")]
        part.passed_over += scan.passed_over or empty
    return part


def _by_names(here: FolderScan) -> _Part:
    """Read identities from names: before the camera if all have one, else before the first _."""
    cameras = [_CAMERA.match(_stem(image)) for image in here.images]
    all_have_one = all(cameras)
    part = _Part("images named <identity>_...", list(here.passed_over))
    for image, camera in zip(here.images, cameras, strict=True):
        identity, mark, _ = _stem(image).partition("_")
        if camera and all_have_one:
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
    below = tuple(os.path.join(folder, "") for folder in folders)
    return [path for path in paths if not path.startswith(below)]


def _with_cameras(records: list[Record]) -> tuple[list[Record], str]:
    """Read cameras from the names if all names have one; return a sentence about them, too."""
    if all(record.camera is not None for record in records):
        names = sorted({record.camera for record in records if record.camera})
        return records, f"Cameras: {len(names)}, a folder each ({first_names(names)})."
    stems = [_stem(record.path) for record in records]
    matches = [_CAMERA.match(stem) for stem in stems]
    cameras = [canonical(match["camera"]) for match in matches if match]
    if not cameras:
        return records, "Cameras: none, the names contain none."
    if len(cameras) == len(records):
        with_camera = [replace(r, camera=c) for r, c in zip(records, cameras, strict=True)]
        number = len(set(cameras))
        return with_camera, f"Cameras: {number}, read from the names (as in {_NAME_EXAMPLE})."
    without = [stem for stem, match in zip(stems, matches, strict=True) if not match]
    contain = "contains" if len(without) == 1 else "contain"
    return records, (
        f"Cameras: none, {counted(len(without), 'name')} of {len(records):,} {contain} none "
        f"({first_names(without)}; expected names like {_NAME_EXAMPLE}), so the others' are not "
        "used."
    )


def _nothing_readable(root: str) -> str:
    """Return the message for a folder without readable images; name images in other places."""
    scan = scan_folder(root)
    tables = [path for path in scan.passed_over if path.lower().endswith((".csv", ".tsv"))]
    deeper = [path for path in scan.passed_over if path.lower().endswith(IMAGE_SUFFIXES)]
    got, hint = "none", "the folder that holds them"
    if tables:
        hint = f"the table {short(tables[0])}"
    elif deeper:
        above = os.path.dirname(os.path.dirname(deeper[0]))
        got = "deeper ones"
        hint = short(os.path.dirname(above) if part_of(os.path.basename(above)) else above)
    elif scan.images:
        got = f"names without an identity, such as {short(os.path.basename(scan.images[0]))}"
        hint = "a folder per identity, or a table of path,pid"
    return (
        f"{short(root)} ({_KEY}): expected images ({' '.join(IMAGE_SUFFIXES)}) in a folder per "
        f"identity, or named like {_NAME_EXAMPLE}, directly or below folders {EXPECTED}; got "
        f"{got}; try {hint}"
    )
