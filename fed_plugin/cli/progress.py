"""One line that says how far long work is, and how long it takes."""

from __future__ import annotations

import datetime
import sys
import time
from types import TracebackType


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
