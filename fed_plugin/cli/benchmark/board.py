"""What the runner says while it runs: cells done, time left, what is running."""

from __future__ import annotations

import datetime
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from fed_plugin.cli.benchmark.cells import Cell
from fed_plugin.cli.training_process import TrainingProgress, read_progress
from fed_plugin.retrieval.result import Result

SECONDS_BETWEEN_LINES = {True: 0.5, False: 60.0}  # on a terminal, and off it
SURE = 0.05  # share of a training after which its own speed says when it ends


class Board:
    """Print a line per event to stderr, and on a terminal one more that is written over.

    Args:
        total: cells of the plan.
        done: how many of them were finished before.
        seconds: what finished cells took, by method.
    """

    def __init__(self, total: int, done: int, seconds: Mapping[str, list[float]]) -> None:
        self.total, self.done, self.failed = total, done, 0
        self.taken = {method: list(values) for method, values in seconds.items()}
        self.start = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.shown = self.start

    def begun(self, cell: Cell) -> None:
        """Say that a cell begins."""
        self._say(f"{self._count()}  begins: {cell.name}")

    def ended(self, cell: Cell, result: Result | None, seconds: float, error: str) -> None:
        """Say how a cell ended."""
        if result is None:
            self.failed += 1
            first = error.partition("\n")[0]
            self._say(f"{self._count()}  FAILED: {cell.name}: {first}")
            return
        self.done += 1
        self.taken.setdefault(cell.method, []).append(seconds)
        numbers = ", ".join(
            f"{name} {result.metrics[name].value:.1f}"
            for name in ("Rank-1", "mAP")
            if name in result.metrics
        )
        self._say(f"{self._count()}  done: {cell.name}: {numbers} ({clock(seconds)})")

    def show(self, running: Sequence[tuple[Cell, float]], waiting: Sequence[Cell]) -> None:
        """Say how far everything is, if it was not just said.

        Args:
            running: cells and the seconds they have been running.
            waiting: cells.
        """
        now = time.monotonic()
        if not running or now - self.shown < SECONDS_BETWEEN_LINES[self.on_terminal]:
            return
        self.shown = now
        progress = [read_progress(cell.folder / "metrics.json") for cell, _ in running]
        left = self.seconds_left(running, progress, waiting)
        words = [
            f"{cell.method}/{cell.dataset}/seed{cell.seed}"
            + (f" {at.done}/{at.total} loss {at.loss:.2f}" if at else "")
            for (cell, _), at in zip(running, progress, strict=True)
        ]
        eta = "?" if left is None else clock(left)
        line = f"{self._count()}  {clock(now - self.start)}, ETA {eta}  {', '.join(words)}"
        self._say(line, stays=not self.on_terminal)

    def seconds_left(
        self,
        running: Sequence[tuple[Cell, float]],
        progress: Sequence[TrainingProgress | None],
        waiting: Sequence[Cell],
    ) -> float | None:
        """Estimate when all is done; None while nothing is known.

        A running cell takes as long as its training's speed says, if it has run for long enough to
        say; any other as long as finished ones of its method, else as the mean of what is known.
        """
        own = [
            seconds * at.total / at.done if at and at.done >= SURE * at.total else None
            for (_, seconds), at in zip(running, progress, strict=True)
        ]
        known = [seconds for values in self.taken.values() for seconds in values]
        known = known or [guess for guess in own if guess is not None]
        if not known:
            return None
        usual = statistics.mean(known)

        def takes(cell: Cell) -> float:
            values = self.taken.get(cell.method)
            return statistics.mean(values) if values else usual

        rest = [
            max(0.0, (takes(cell) if guess is None else guess) - seconds)
            for (cell, seconds), guess in zip(running, own, strict=True)
        ]
        work = sum(rest) + sum(map(takes, waiting))
        return max(work / max(1, len(running)), max(rest, default=0.0))

    def close(self) -> None:
        """Leave the line that is written over."""
        if self.on_terminal:
            self._say("", stays=False)

    def _count(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total} cells{failed}"

    def _say(self, line: str, stays: bool = True) -> None:
        if self.on_terminal:
            width = shutil.get_terminal_size().columns - 1
            line = f"\r{line if stays else line[:width]}\x1b[K"
        print(line, end="\n" if stays else "", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Return h:mm:ss."""
    return str(datetime.timedelta(seconds=int(seconds)))
