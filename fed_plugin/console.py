"""One sentence and exit status 1 for what a user can get wrong; a traceback for our own bugs."""

from __future__ import annotations

import builtins
import datetime
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

DEBUG = "FED_PLUGIN_DEBUG"
"""Environment variable that brings tracebacks back."""

MISTAKES = (ValueError, KeyError, OSError, RuntimeError, AssertionError, FloatingPointError)
"""What wrong paths, keys, values and files end in, here and in the host; a bare assert is a bug."""


@dataclass
class Outcome:
    """Exit status of a command."""

    status: int = 0


@contextmanager
def one_sentence_for_mistakes(interrupted: str = "") -> Iterator[Outcome]:
    """Turn an input mistake into a line on stderr and status 1, Ctrl-C into status 130.

    Args:
        interrupted: what Ctrl-C leaves behind, and how to go on.
    """
    outcome = Outcome()
    try:
        yield outcome
    except KeyboardInterrupt:
        outcome.status = 130
        print("\n" + "; ".join(filter(None, ("interrupted", interrupted))), file=sys.stderr)
    except Exception as error:
        if os.environ.get(DEBUG) or not str(error) or not is_mistake(error):
            raise
        outcome.status = 1
        print(f"error: {sentence(error)}", file=sys.stderr)
        print(f"({DEBUG}=1 shows where it was raised)", file=sys.stderr)


def is_mistake(error: BaseException) -> bool:
    """Tell whether an error is one of ``MISTAKES``, a spawned rank's word of one, or its death."""
    if _is_death_of_a_rank(error):
        return True
    if type(error).__name__ != "ProcessRaisedException":  # torch's, no child of RuntimeError
        return isinstance(error, MISTAKES)
    kind = getattr(builtins, _last_line(str(error).strip()).partition(":")[0], None)
    return isinstance(kind, type) and issubclass(kind, MISTAKES)


def sentence(error: BaseException) -> str:
    """Say what went wrong, without the traceback that a spawned rank's error carries."""
    if _is_death_of_a_rank(error):
        return (
            f"{str(error).replace('process', 'rank', 1)}, and the others were ended (out of "
            "memory, perhaps); `--resume` goes on from the newest checkpoint"
        )
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = str(text).strip()
    if "Traceback (most recent call last)" in text:
        last = _last_line(text)
        text = last.partition(": ")[2] or last
    return text


def _is_death_of_a_rank(error: BaseException) -> bool:
    return type(error).__name__ == "ProcessExitedException"  # torch's


def _last_line(text: str) -> str:
    """Return the end of a traceback from the last line on that is not indented."""
    lines = text.split("\n")
    start = max(i for i, line in enumerate(lines) if line and not line.startswith((" ", "\t")))
    return "\n".join(lines[start:])


class WithoutTraceback(logging.Filter):
    """Shorten the trainer's record of a mistake to one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; cut the traceback off one about a mistake."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, MISTAKES) and str(error) and not os.environ.get(DEBUG):
            record.msg, record.args = "%s %s", (record.getMessage(), sentence(error))
            record.exc_info = None
        return True


# What a machine is called where something was measured on it.


@lru_cache(maxsize=1)
def machine_words() -> str:
    """Name the processor, its cores and, if there is one, the GPU."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    words = [models[0] if models else platform.machine(), f"{os.cpu_count()} cores"]
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


# One line that says how far long work is, and how long it takes.


class ProgressLine:
    """Print ``what  done/total  elapsed, ETA`` to stderr, over itself on a terminal.

    Args:
        what: the work, in a few words.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.start = time.perf_counter()
        self.printed = 0.0 if sys.stderr.isatty() else self.start
        self.finished = False
        self.on_terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` steps are done; lines are a while apart."""
        now = time.perf_counter()
        # off a terminal the first line waits too: nobody is watching, and its ETA would be wild
        early = done < total and now - self.printed < (0.2 if self.on_terminal else 15)
        if early or self.finished:
            return
        self.finished = done >= total
        self.printed = now
        elapsed = now - self.start
        eta = "?" if not done else _clock(elapsed / done * (total - done))
        line = f"{self.what}  {done}/{total}  {_clock(elapsed)}, ETA {eta}  {note}"
        end = "\r" if self.on_terminal else "\n"
        print(f"{line:<79}", end=end, file=sys.stderr, flush=True)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.on_terminal and self.printed:
            print(file=sys.stderr)


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))
