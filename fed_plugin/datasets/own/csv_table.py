"""Own data in a table: columns path and pid, camid and split where one has them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import replace

from fed_plugin.datasets.listing import IMAGE_SUFFIXES
from fed_plugin.datasets.own.records import Found, Record, canonical, spelled_differently
from fed_plugin.datasets.own.spellings import EXPECTED, part_of, uses
from fed_plugin.datasets.own.wording import counted, named, shown

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NEEDED, _OPTIONAL = ("path", "pid"), ("camid", "split")
_EXAMPLE = "path,pid,camid,split"

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
        *(file, 1, f"a header with the columns path and pid, such as {_EXAMPLE}"),
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
