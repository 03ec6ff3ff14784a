"""Run the cells of a plan, each in a process of its own; a failed cell does not stop the others."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fed_plugin.benchmark import summary, training_process
from fed_plugin.benchmark.cells import (
    FAILED,
    RESULT,
    Cell,
    CellState,
    look,
    prepare,
    read_result,
    write_record,
)
from fed_plugin.benchmark.plan import Plan
from fed_plugin.benchmark.training_process import LOG, TrainingProgress, TrainingWatch
from fed_plugin.console import DEBUG, machine_words, printable, terminal
from fed_plugin.files import FolderInUseError, FolderLock, write_json
from fed_plugin.retrieval.estimates import as_text
from fed_plugin.retrieval.result import Result

# The board: cells done, time left, and the running cells.

SECONDS_BETWEEN_LINES = {True: 0.5, False: 60.0}  # on a terminal, and elsewhere
SHARE_TO_TRUST = 0.05  # of a training, after which the speed of the training gives the time left


class Board:
    """Lines on stderr: one line per event, and one more line for the progress.

    On a terminal the progress line is written over itself; elsewhere a line comes every minute.
    ``seconds`` are those of finished cells, by method.
    """

    def __init__(self, total: int, done: int, seconds: Mapping[str, list[float]]) -> None:
        self.total, self.done, self.failed = total, done, 0
        self.seconds = {method: list(values) for method, values in seconds.items()}
        self.start = self.last_line = time.monotonic()
        self.watches: dict[str, TrainingWatch] = {}
        self.on_terminal = sys.stderr.isatty()
        look = {"bar_format": "{bar:10}| {desc}", "dynamic_ncols": True, "leave": False}
        hidden = not self.on_terminal
        self.bar = tqdm(total=total, file=terminal(sys.stderr), disable=hidden, **look)

    def begin(self, cell: Cell) -> None:
        """Print that a cell begins."""
        self._print(f"{self._count()}  begins: {cell.name}")

    def end(self, cell: Cell, result: Result | None, seconds: float, error: str) -> None:
        """Print how a cell ended; a cell without a result has failed."""
        if result is None:
            self.failed += 1
            first = error.partition("\n")[0]
            self._print(f"{self._count()}  FAILED: {cell.name}: {first}")
            return
        self.done += 1
        self.seconds.setdefault(cell.method, []).append(seconds)
        known = {name: result.metrics[name] for name in ("Rank-1", "mAP") if name in result.metrics}
        numbers = ", ".join(f"{name} {one.value:.1f}" for name, one in known.items())
        self._print(f"{self._count()}  done: {cell.name}: {numbers} ({clock(seconds)})")

    def show(self, running: Sequence[tuple[Cell, float]], waiting: Sequence[Cell]) -> None:
        """Show running cells with their seconds, unless the last progress line is new."""
        now = time.monotonic()
        if not running or now - self.last_line < SECONDS_BETWEEN_LINES[self.on_terminal]:
            return
        self.last_line = now
        progress, words = [], []
        for cell, _ in running:
            at = self.watches.setdefault(cell.name, TrainingWatch(cell.folder)).look()
            done = f" {at.done}/{at.total} loss {at.loss:.2f}" if at else ""
            progress.append(at)
            words.append(f"{cell.method}/{cell.dataset}/seed{cell.seed}{done}")
        left = self.seconds_left(running, progress, waiting)
        eta = "?" if left is None else clock(left)
        line = f"{self._count()}  {clock(now - self.start)}, ETA {eta}  {', '.join(words)}"
        if self.on_terminal:
            self.bar.n = self.done + self.failed + sum(at.share for at in progress if at)
            self.bar.set_description_str(printable(line))
        else:
            self._print(line)

    def seconds_left(
        self,
        running: Sequence[tuple[Cell, float]],
        progress: Sequence[TrainingProgress | None],
        waiting: Sequence[Cell],
    ) -> float | None:
        """Estimate when all cells are done; None while nothing is known.

        The speed of a training gives the time of a running cell, after a few per cent of it. Any
        other cell takes as long as the finished cells of its method, or as all known cells.
        """
        own = [
            seconds / at.share if at and at.share >= SHARE_TO_TRUST else None
            for (_, seconds), at in zip(running, progress, strict=True)
        ]
        known = [seconds for values in self.seconds.values() for seconds in values]
        known = known or [guess for guess in own if guess is not None]
        if not known:
            return None
        usual = statistics.mean(known)

        def takes(cell: Cell) -> float:
            values = self.seconds.get(cell.method)
            return statistics.mean(values) if values else usual

        rest = [
            max(0.0, (takes(cell) if guess is None else guess) - seconds)
            for (cell, seconds), guess in zip(running, own, strict=True)
        ]
        work = sum(rest) + sum(map(takes, waiting))
        return max(work / max(1, len(running)), max(rest, default=0.0))

    def close(self) -> None:
        """Remove the progress line of a terminal."""
        self.bar.close()

    def _count(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total} cells{failed}"

    def _print(self, line: str) -> None:
        self.bar.write(printable(line), file=terminal(sys.stderr))
        sys.stderr.flush()


def clock(seconds: float) -> str:
    """Return h:mm:ss."""
    return str(timedelta(seconds=int(seconds)))


# The CUDA device of a cell, where the machine has several devices.

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cuda_devices() -> list[str]:
    """Return the names of this process's devices in ``CUDA_VISIBLE_DEVICES``; none without CUDA.

    Counting touches no device: this process keeps no memory on a device.
    """
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    names = map(str, range(count)) if named is None else map(str.strip, named.split(","))
    return list(names)[:count]


def choose_device(cell: Cell, devices: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """Return the device with the fewest running cells, the first of several.

    None where the machine has one device, or the cell's config names a device by number.
    """
    wanted = str(cell.settings.get("MODEL.DEVICE", "cuda"))
    if len(devices) < 2 or wanted != "cuda":
        return None
    return min(devices, key=list(taken).count)


# The processes of the cells.

MISTAKE = "error: "
LINES_OF_A_MISTAKE = 40
SECONDS_TO_END = 5.0
SECONDS_BETWEEN_LOOKS = 0.2

Command = Callable[[Cell, bool], list[str]]


@dataclass
class Running:
    """Running cell with its process, its CUDA device, and its start."""

    cell: Cell
    process: subprocess.Popen[bytes]
    device: str | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.began


def cell_command(cell: Cell, resume: bool) -> list[str]:
    """Return the command that runs a prepared cell."""
    words = (str(cell.folder), *(["--resume"] if resume else []))
    return training_process.python_command("fed_plugin.benchmark.cells", *words)


def run_cells(
    cells: Sequence[Cell],
    board: Board,
    *,
    jobs: int = 1,
    resume: bool = False,
    lock: FolderLock | None = None,
    devices: Sequence[str] = (),
    command: Command = cell_command,
    finished: Callable[[Cell], None] = lambda cell: None,
) -> dict[str, str]:
    """Run cells in order; return the last lines of failed cells, by name of the cell.

    The end of this call, also by an error or Ctrl-C, ends the processes of the cells. Cells inherit
    the lock. If there are several CUDA ``devices``, every cell sees one device only.
    """
    waiting, running, failures = deque(cells), list[Running](), dict[str, str]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.popleft()
                board.begin(cell)
                try:
                    prepare(cell, resume)
                    device = choose_device(cell, devices, [one.device for one in running])
                    running.append(_start(cell, command(cell, resume), jobs, lock, device))
                except (OSError, FolderInUseError) as error:
                    failures[cell.name] = str(error)
                    board.end(cell, None, 0.0, str(error))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                error = _conclude(one)
                if error:
                    failures[one.cell.name] = error
                board.end(one.cell, read_result(one.cell.folder), one.seconds, error)
                finished(one.cell)
            board.show([(one.cell, one.seconds) for one in running], list(waiting))
            if running:
                with suppress(subprocess.TimeoutExpired):
                    running[0].process.wait(SECONDS_BETWEEN_LOOKS)
    finally:
        end([one.process for one in running])
    return failures


def _start(
    cell: Cell, command: list[str], jobs: int, lock: FolderLock | None, device: str | None
) -> Running:
    """Start a cell in a session of its own, which Ctrl-C in the terminal does not reach.

    Nothing is written to the pipe of the cell's standard input. The pipe closes when this process
    dies, also by a kill, and the closed pipe ends the cell.
    """
    environment = {}
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    if device is not None:
        environment[VISIBLE] = device
    descriptors = () if lock is None else lock.descriptors
    with (cell.folder / LOG).open("ab") as log:
        options = {"stdin": subprocess.PIPE, "start_new_session": True, "pass_fds": descriptors}
        process = training_process.start_logged(command, log, environment, **options)
    return Running(cell, process, device)


def _conclude(one: Running) -> str:
    """Write how a cell ended into its folder; return the last lines of a failed cell."""
    folder, status = one.cell.folder, one.process.returncode
    _end_group(one.process, signal.SIGKILL)  # processes that the cell left, such as loader workers
    one.process.stdin.close()
    if read_result(folder) is not None:
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"seconds": round(one.seconds, 1), "ended": ended, "machine": machine_words()}
        write_record(one.cell, "finished", **about)
        return ""
    error = _failure(folder / LOG, status)
    log = str(folder / LOG)
    write_json(folder / FAILED, {"error": error, "exit_status": status, "log": log})
    write_record(one.cell, "failed", seconds=round(one.seconds, 1))
    return error


def _failure(log: Path, status: int) -> str:
    """Return the sentence about a user's mistake (``console``), or the end of the log."""
    lines = training_process.last_lines(log, LINES_OF_A_MISTAKE)
    begin = max((i for i, line in enumerate(lines) if line.startswith(MISTAKE)), default=None)
    if begin is None:
        crashed = any(line.startswith("Traceback (most recent call last)") for line in lines)
        text = " / ".join(lines[-1:] if crashed else lines[-3:]) or "the log is empty"
    else:
        sentence = [line for line in lines[begin:] if not line.startswith(f"({DEBUG}=1")]
        text = "\n".join(sentence).removeprefix(MISTAKE)
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = " (memory?)" if -status == signal.SIGKILL else ""
        return f"killed by {name}{hint}; last lines: {text}"
    return text if status else f"ended with status 0 but wrote no {RESULT}; last lines: {text}"


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and their children by SIGTERM, and a few seconds later by SIGKILL."""
    for process in processes:
        _end_group(process, signal.SIGTERM)
    give_up = time.monotonic() + SECONDS_TO_END
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, give_up - time.monotonic()))
        _end_group(process, signal.SIGKILL)
        process.wait()


def _end_group(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, how)


# One runner at a time in a folder.

PATIENCE = 15.0
"""Seconds in which the cells of a dead runner must end."""


def only_runner(out: Path) -> FolderLock:
    """Return the lock of a folder; the lock is free when no cell of a killed runner still runs."""
    remedy = "waiting for it, or --out with another folder"
    return FolderLock(out, work="runs cells in it", remedy=remedy, patience=PATIENCE)


# One call of ``benchmark``: run the cells that are not finished, and join all results.

MOST_NAMED = 3  # changed cells in a message


def run_plan(
    plan: Plan,
    cells: Sequence[Cell],
    *,
    others: Sequence[Cell] = (),
    jobs: int = 1,
    **options: Any,
) -> int:
    """Run the cells that are not finished, then print a table of all; return 1 if a cell failed.

    The finished ones of the ``others`` are joined and printed too; ``options`` go to ``run_cells``.

    Raises:
        ValueError: A finished cell has other settings than the plan.
    """
    states = [(cell, look(cell)) for cell in cells]
    refuse_changed(plan, states)
    waiting = [cell for cell, state in states if state.kind != "finished"]
    seconds: dict[str, list[float]] = {}
    for cell, state in states:
        if state.kind == "finished" and state.seconds:
            seconds.setdefault(cell.method, []).append(state.seconds)
    listed = [*cells, *(cell for cell in others if look(cell).kind == "finished")]
    board = Board(len(cells), len(cells) - len(waiting), seconds)

    def join(_: Cell | None = None) -> Path:
        return summary.join_results(plan, listed)

    devices = cuda_devices() if jobs > 1 else ()
    with closing(board):
        options |= {"jobs": jobs, "devices": devices, "finished": join}
        failures = run_cells(waiting, board, **options)
    joined = join()  # before the first print: a pipe to `head` may be closed
    print(f"\n{plan.name}\n\n{summary.results_tables(listed)}")
    print(f"\n{', '.join(summary.COLUMNS)} {summary.NUMBERS}\n")
    print(f"numbers: {joined}")
    if failures:
        print(f"\n{as_text(summary.FAILURE_COLUMNS, failures.items())}")
        print(f"logs: {plan.out / '*/*/seed*/train.log'}")
        print("The same command tries failed cells again.")
    return 1 if failures else 0


def refuse_changed(plan: Plan, states: Sequence[tuple[Cell, CellState]]) -> None:
    """Raise a ValueError for finished cells with other settings than the plan."""
    changed = [(cell, state) for cell, state in states if state.kind == "changed"]
    if not changed:
        return
    named = "; ".join(
        f"{cell.name}: {', '.join(state.differences)}" for cell, state in changed[:MOST_NAMED]
    )
    more = f"; and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
    folders = os.path.commonpath([cell.folder for cell, _ in changed])
    raise ValueError(
        f"{plan.path}: finished cells have other settings than the plan: {named}{more}; try the "
        f"old values, --out with another folder, or removing the changed cells below {folders}"
    )
