"""``manifest.json``: what an occluder set is, where it came from and what its files hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT, VERSION = "fed_plugin occluder set", 1

_EXPECTED = f'a JSON object with "format": "{FORMAT}", "version": {VERSION} and "crops"'


@dataclass(frozen=True)
class Entry:
    """Describe one file of a set.

    Attributes:
        file: its name.
        sha256: of its bytes, in hex.
        size: (height, width) in pixels.
        ratio: height / width, rounded to four digits.
        kind: "tall" where h/w > 2 and NPO covers the full height, else "wide".
        transparent: whether it has an alpha channel.
        origin: the file it came from, or how it was drawn.
    """

    file: str
    sha256: str
    size: tuple[int, int]
    ratio: float
    kind: str
    transparent: bool
    origin: str


@dataclass(frozen=True)
class Manifest:
    """Hold a manifest that was read.

    Attributes:
        entries: one per file, in name order.
        about: everything else it says.
    """

    entries: tuple[Entry, ...]
    about: Mapping[str, Any]


def to_json(entries: list[Entry], about: Mapping[str, Any]) -> bytes:
    """Write a manifest; the same arguments give the same bytes.

    Args:
        entries: one per file.
        about: further values, such as source and licence; stand before the files.
    """
    tall = sum(entry.kind == "tall" for entry in entries)
    counts = {"count": len(entries), "tall": tall, "wide": len(entries) - tall}
    values = {"format": FORMAT, "version": VERSION, **counts, **about}
    head = [f" {_dump(key)}: {_dump(value)}" for key, value in values.items()]
    crops = ",\n".join(f"  {_dump(asdict(entry))}" for entry in entries)  # a line each
    text = "{\n" + ",\n".join([*head, f' "crops": [\n{crops}\n ]']) + "\n}\n"
    return text.encode("utf-8", "backslashreplace")  # a name in no encoding: JSON's own escape


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_manifest(folder: str | Path) -> Manifest | None:
    """Read a folder's manifest; None where it has none.

    Raises:
        ValueError: the file is no manifest of an occluder set, or one of a later version.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {_EXPECTED}; it is no JSON ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"{path}: expected {_EXPECTED}; got something else")
    if values.get("version") != VERSION:
        raise ValueError(
            f"{path}: expected version {VERSION}, got {values.get('version')!r}; try the "
            "fed_plugin that wrote it"
        )
    try:
        entries = tuple(_to_entry(crop) for crop in values.pop("crops"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its list of crops is damaged ({error!r})") from error
    return Manifest(entries, values)


def _to_entry(crop: Mapping[str, Any]) -> Entry:
    height, width = crop["size"]
    name = str(crop["file"])
    if Path(name).name != name:
        raise ValueError(f"file {name!r} is no name of a file in this folder")
    return Entry(
        file=name,
        sha256=str(crop["sha256"]),
        size=(int(height), int(width)),
        ratio=float(crop["ratio"]),
        kind=str(crop["kind"]),
        transparent=bool(crop["transparent"]),
        origin=str(crop["origin"]),
    )
