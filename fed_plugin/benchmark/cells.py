"""Cells: one method, data set and seed each, with a folder that says what came of it.

``OUT/<dataset>/<method>/seed<k>/`` holds ``cell.json`` (what is run, and how far it is),
``train.log``, ``dump.npz`` (descriptors, without those of parts), ``result.json`` (written last:
there means finished) or ``failed.json``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.retrieval.result import Result
from fed_plugin.retrieval.whole_files import written_whole

FORMAT = "fed_plugin.cell/1"
RECORD = "cell.json"
CONFIG = "cell_config.yml"
DUMP = "dump.npz"
RESULT = "result.json"
FAILED = "failed.json"
FINAL_WEIGHTS = "model_final.pth"
LAST_CHECKPOINT = "last_checkpoint"


@dataclass(frozen=True)
class Cell:
    """What is run in a process of its own.

    Attributes:
        dataset: tested on.
        method: name in tables.
        seed: of training or of random weights.
        kind: "trained", "untrained" or "dump".
        source: path of the config or dump; name of an installed config.
        source_sha256: of that file.
        settings: what makes two cells the same; config values by key, or the dump's hash.
        folder: of the cell.
        config_text: the whole config, None for a dump.
    """

    dataset: str
    method: str
    seed: int
    kind: str
    source: str
    source_sha256: str
    settings: dict[str, Any]
    folder: Path
    config_text: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.dataset} / {self.method} / seed {self.seed}"


@dataclass(frozen=True)
class CellState:
    """What is in a cell's folder.

    Attributes:
        kind: "new", "begun", "trained" (only its evaluation is missing), "failed", "finished", or
            "changed": finished, but not what the plan asks for.
        differences: sentences about what changed.
        seconds: the last attempt took; None where nobody wrote it down.
        error: last words of a failure.
    """

    kind: str
    differences: tuple[str, ...] = ()
    seconds: float | None = None
    error: str = ""


def look(cell: Cell) -> CellState:
    """Say what is in a cell's folder."""
    record = _read(cell.folder / RECORD)
    if record is None:
        return CellState("new")
    seconds = record.get("seconds")
    differences = _differences(record, cell)
    if read_result(cell.folder) is not None:
        return CellState("changed" if differences else "finished", differences, seconds)
    failure = _read(cell.folder / FAILED)
    if failure is not None:
        return CellState("failed", differences, seconds, str(failure.get("error", "")))
    if differences:
        return CellState("begun", differences)
    return CellState("trained" if is_trained(cell.folder) else "begun", seconds=seconds)


def is_trained(folder: Path) -> bool:
    """Tell whether a training ended: the host names its last weights once they are there whole."""
    try:
        named = (folder / LAST_CHECKPOINT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return named == FINAL_WEIGHTS and (folder / FINAL_WEIGHTS).is_file()


def prepare(cell: Cell, resume: bool) -> None:
    """Make a cell's folder ready for an attempt.

    What an attempt left is removed, but for a whole training of the same settings, which is only
    evaluated, and, with ``resume``, for a half one.

    Raises:
        FileExistsError: the folder holds something that no cell wrote.
    """
    record = _read(cell.folder / RECORD)
    if cell.folder.exists() and record is None and any(cell.folder.iterdir()):
        raise FileExistsError(
            f"{cell.folder}: holds files but no {RECORD}, so no cell wrote them; expected an empty "
            "folder, try another `out`"
        )
    same = record is not None and not _differences(record, cell)
    kept = same and (resume or is_trained(cell.folder))
    if not kept:
        shutil.rmtree(cell.folder, ignore_errors=True)
    cell.folder.mkdir(parents=True, exist_ok=True)
    for name in (FAILED, RESULT):
        (cell.folder / name).unlink(missing_ok=True)
    if cell.config_text is not None:
        (cell.folder / CONFIG).write_text(cell.config_text, encoding="utf-8")
    half = bool(kept and not is_trained(cell.folder))
    resumed = half and (cell.folder / LAST_CHECKPOINT).is_file()
    write_record(cell, "running", resumed=resumed or bool(kept and record.get("resumed")))


def write_record(cell: Cell, state: str, **more: Any) -> None:
    """Write ``cell.json``; what an earlier one of the same attempt said beyond it stays."""
    earlier = (_read(cell.folder / RECORD) or {}) if state != "running" else {}
    content = {
        "format": FORMAT,
        "dataset": cell.dataset,
        "method": cell.method,
        "seed": cell.seed,
        "kind": cell.kind,
        "source": cell.source,
        "source_sha256": cell.source_sha256,
        "settings": cell.settings,
    }
    write_json(cell.folder / RECORD, {**earlier, **content, "state": state, **more})


def write_json(path: Path, content: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with written_whole(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def read_result(cell_folder: Path) -> Result | None:
    """Read a cell's result; None where there is none, or something else lies in its place."""
    try:
        return Result.load(cell_folder / RESULT)
    except (OSError, ValueError):
        return None


def read_record(folder: Path) -> dict[str, Any]:
    """Read a cell's ``cell.json``.

    Raises:
        ValueError: there is none, or it is no record of a cell.
    """
    record = _read(folder / RECORD)
    if record is None or not record.keys() >= {"dataset", "method", "seed"}:
        raise ValueError(
            f"{folder / RECORD}: expected the record of a cell ({FORMAT}); try removing its folder "
            "and running `python -m fed_plugin benchmark` again"
        )
    return record


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        return None
    return content


def _differences(record: dict[str, Any], cell: Cell) -> tuple[str, ...]:
    """Name what a record says otherwise than the plan."""
    was = record.get("settings", {})
    now = json.loads(json.dumps(cell.settings))
    found = [
        f"{key} was {_said(was, key)}, the plan says {_said(now, key)}"
        for key in sorted({*was, *now})
        if was.get(key, ...) != now.get(key, ...)
    ]
    if record.get("kind") != cell.kind:
        found.insert(0, f"it was {record.get('kind')}, the plan says {cell.kind}")
    return tuple(found)


def _said(settings: dict[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "the host's default"
