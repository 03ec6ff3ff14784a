"""One thing that the import hook may meet: files, a command line, and what must come of it."""

from __future__ import annotations

import re
import shutil
import zipapp
from dataclasses import dataclass, field

from hook_environment import Environment, Files, write_files

USE = "import fastreid.config; print(fastreid.config.keys)"
LOADS = "['drawn']\n"


@dataclass(frozen=True)
class Situation:
    """One thing that may go wrong.

    Args:
        name: in words.
        host: files over the drawn-up fast-reid; None takes one away.
        site: files in site-packages, likewise.
        words: of Python's command line, where fast-reid is used.
        env: of the process.
        flags: of every command line, the bare start's too.
        before: words in front of the interpreter, of both command lines.
        prints: what must come on the standard output.
        reads: a pattern of the line that the user reads on the standard error; "" for silence.
        ends: exit status.
        start_reads: a pattern of the last line that every start says; "" for silence.
        noisy: a flag makes Python itself talk on the standard error.
        zipped: ``host`` and ``host/app``, if it is there, are packed after they were written.
    """

    name: str
    host: Files = field(default_factory=dict)
    site: Files = field(default_factory=dict)
    words: tuple[str, ...] = ("-c", USE)
    env: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    prints: str = LOADS
    reads: str = ""
    ends: int = 0
    start_reads: str = ""
    noisy: bool = False
    zipped: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came: whether Python started, what the user read, and what is wrong with it."""

    starts: bool
    reads: str
    wrong: tuple[str, ...]


def judge(situation: Situation, environment: Environment) -> Outcome:
    """Put an environment into the situation, start Python there, use fast-reid there."""
    write_files(environment.host, situation.host)
    write_files(environment.site, situation.site)
    if situation.zipped:
        _zip(environment)
    options = {"env": situation.env, "before": situation.before}
    start = environment.run(*situation.flags, "-c", "pass", **options)
    use = environment.run(*situation.flags, *situation.words, **options)
    said = [] if situation.noisy else _beyond(start.stderr, use.stderr)
    prints = environment.fill(situation.prints)
    wrong = []
    start_said = [] if situation.noisy else start.stderr.splitlines()
    if start.returncode or not _last_line_is(situation.start_reads, start_said):
        wrong.append(f"start: exit {start.returncode}, {start.stderr!r}")
    if use.returncode != situation.ends:
        wrong.append(f"exit {use.returncode}, expected {situation.ends}")
    if use.stdout != prints:
        wrong.append(f"printed {use.stdout!r}, expected {prints!r}")
    one_line = situation.ends != 0 or len(said) <= 1  # a traceback has more
    if not (one_line and _last_line_is(situation.reads, said)):
        wrong.append(f"said {said}, expected {situation.reads!r}")
    read = (said or start_said or use.stdout.splitlines() or [""])[-1].strip()
    return Outcome(start.returncode == 0, environment.hide(read), tuple(wrong))


def _zip(environment: Environment) -> None:
    app = environment.host / "app"
    if app.is_dir():
        zipapp.create_archive(app, environment.host / "app.pyz")
        return
    shutil.make_archive(str(environment.folder / "host"), "zip", environment.host)
    shutil.rmtree(environment.host)


def _beyond(start: str, whole: str) -> list[str]:
    """Return the lines of an output behind those of the start."""
    return whole.splitlines()[len(start.splitlines()) :]


def _last_line_is(pattern: str, lines: list[str]) -> bool:
    if not pattern:
        return not lines
    return bool(lines) and re.search(pattern, lines[-1]) is not None
