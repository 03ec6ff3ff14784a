"""Whether a command ended well: by itself, in one sentence, leaving nothing that looks whole."""

from __future__ import annotations

from pathlib import Path

from corpus.cases import MARKER, REFUSED, RUNS, Case
from corpus.forks import Ended

WHOLE = frozenset({".npz", ".json", ".pth", ".png", ".svg", ".html", ".md", ".csv", ".jpg"})
LOGS = frozenset({"metrics.json"})
"""What the host's trainer appends to while it runs."""


def outputs(folder: Path) -> dict[str, int]:
    """Return the files that look like results, by name, with the time of their last change."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in WHOLE and path.name not in LOGS and not path.name.startswith(".")
    }


def complaint(case: Case, ended: Ended, folder: Path, before: dict[str, int]) -> str:
    """Return what is wrong with the end of a case, in a sentence; empty if nothing is.

    Args:
        case: that was run.
        ended: how.
        folder: it ran in.
        before: ``outputs`` after it was broken and before the command.
    """
    said = ended.out + ended.err
    if (folder / MARKER).exists():
        return "planted code ran"
    if ended.status is None:
        return f"still running after {case.seconds:.0f} s"
    if "Traceback (most recent call last)" in said:
        return f"a traceback: {ended.err.strip().splitlines()[-1][:200]}"
    if ended.status not in (0, 1):
        return f"exit status {ended.status}: {ended.err.strip()[-200:]}"
    if case.ends == REFUSED and ended.status == 0:
        return "not noticed: exit status 0"
    if case.ends == RUNS and ended.status == 1:
        return f"refused, expected to run: {_sentence(ended.err)[:300]}"
    return _complaint_of_refusal(case, ended, folder, before) if ended.status else ""


def _complaint_of_refusal(case: Case, ended: Ended, folder: Path, before: dict[str, int]) -> str:
    sentence = _sentence(ended.err)
    if not case.gives_verdicts and not sentence:
        return f"exit status 1 and no 'error: ': {ended.err.strip()[-200:]}"
    if "\n" in sentence and not case.drawing:
        return f"more than a line: {sentence[:300]!r}"
    where = ended.out + ended.err if case.reports else sentence
    if case.says and not any(name in where for name in case.says):
        return f"none of {', '.join(case.says)} is named: {where.strip()[-300:]}"
    left = [name for name, changed in outputs(folder).items() if before.get(name) != changed]
    return f"left behind: {', '.join(left)}" if left else ""


def _sentence(err: str) -> str:
    """Return what follows ``error: ``, up to the hint at the debug variable."""
    _, found, rest = f"\n{err}".rpartition("\nerror: ")
    return rest.partition("\n(FED_PLUGIN_DEBUG")[0].strip("\n") if found else ""
