"""Tables of images: ``path,pid,camid,split`` as a spreadsheet, an editor or a disk leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.cases import EITHER, REFUSED, Case, Put, write
from corpus.folders import commands
from corpus.material import PEOPLE, QUERY

CATEGORY = "csv"
TABLE = "table.csv"


def make_cases() -> Iterator[Case]:
    """Yield every odd table under training, test and check."""
    for what, (content, ends) in _tables().items():
        for where, words in commands(TABLE).items():
            if where == "training" and ends == EITHER:
                continue  # a test reads the same lines
            yield Case(f"{CATEGORY}: {what}, {where}", _put(content), words, (TABLE,), ends)


def _put(content: str | bytes) -> Put:
    def put(folder: Path) -> None:
        lines = [
            f"{path.relative_to(folder)},{path.name[:4]},{path.name[6]},{path.parent.name}"
            for path in sorted((folder / PEOPLE).rglob("*.jpg"))
        ]
        whole = "\n".join(lines)
        text = content.replace("{rows}", whole) if isinstance(content, str) else content
        write(TABLE, text)(folder)

    return put


def _tables() -> dict[str, tuple[str | bytes, str]]:
    head, one = "path,pid,camid,split\n", f"{QUERY},101,1,query\n"
    return {
        "empty": ("", REFUSED),
        "line breaks alone": ("\n\n\n", REFUSED),
        "a header alone": (head, REFUSED),
        "no header": ("{rows}\n", REFUSED),
        "no pid": ("path,camid,split\n{rows}\n", REFUSED),
        "pid twice": ("path,pid,pid,split\n{rows}\n", REFUSED),
        "a missing image": (f"{head}{{rows}}\nnowhere.jpg,101,1,query\n", REFUSED),
        "an empty path": (f"{head}{{rows}}\n,101,1,query\n", REFUSED),
        "an empty pid": (f"{head}{{rows}}\n{QUERY},,1,query\n", REFUSED),
        "an unknown split": (f"{head}{{rows}}\n{QUERY},101,1,holdout\n", REFUSED),
        "a cell too many": (f"{head}{{rows}}\n{QUERY},101,1,query,9\n", REFUSED),
        "a cell too few": (f"{head}{{rows}}\n{QUERY}\n", REFUSED),
        "an open quote": (f'{head}{{rows}}\n"{QUERY},101,1,query\n', REFUSED),
        "UTF-16": ((head + one).encode("utf-16"), REFUSED),
        "Latin-1": ((head + one).encode() + b"\xe9.jpg,101,1,query\n", REFUSED),
        "zeros": (bytes(500), REFUSED),
        "a NUL in a path": (f"{head}{{rows}}\na\0b.jpg,101,1,query\n", REFUSED),
        "a workbook": (b"PK\x03\x04" + bytes(range(256)), REFUSED),
        "the same image for two people": (f"{head}{{rows}}\n{QUERY},102,1,query\n", EITHER),
        "a path out of the folder": (f"{head}{{rows}}\n../../etc/x.jpg,101,1,query\n", REFUSED),
        "a folder for an image": (f"{head}{{rows}}\npeople,101,1,query\n", REFUSED),
        "itself as an image": (f"{head}{{rows}}\n{TABLE},101,1,query\n", REFUSED),
        "a cell of a million letters": (f"{head}{'x' * 1_000_000},101,1,query\n", REFUSED),
        "negative identities": (f"{head}{{rows}}\n{QUERY},-1,1,query\n", EITHER),
        "semicolons in one row": (f"{head}{one.replace(',', ';')}", REFUSED),
    }
