"""Runs cells, each in a process of its own, several at a time; a failure is not fatal to others."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from fed_plugin.benchmark.cells import (
    FAILED,
    RESULT,
    Cell,
    CellState,
    look,
    prepare,
    read_result,
    write_json,
    write_record,
)
from fed_plugin.benchmark.plan import Plan
from fed_plugin.benchmark.summary import (
    COLUMNS,
    NUMBERS,
    failures_table,
    join_results,
    results_tables,
)
from fed_plugin.benchmark.training_process import (
    TrainingProgress,
    last_words,
    read_progress,
    start_logged,
)
from fed_plugin.console import DEBUG, machine_words
from fed_plugin.retrieval.result import Result

# What the runner says while it runs: cells done, time left, what is running.

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
    return str(timedelta(seconds=int(seconds)))


# Which CUDA device a cell runs on, where there are several of them.

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cuda_devices() -> list[str]:
    """Return the devices of this process as ``CUDA_VISIBLE_DEVICES`` calls them; none without CUDA.

    They are counted and not touched: this process keeps no memory on any.
    """
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    names = map(str, range(count)) if named is None else map(str.strip, named.split(","))
    return list(names)[:count]


def choose_device(cell: Cell, devices: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """Return the device that the fewest running cells have, the first of several.

    Args:
        cell: to start.
        devices: to choose among.
        taken: those of the cells that are running.

    Returns:
        None where there is nothing to choose, or the cell's config names its device by number.
    """
    wanted = str(cell.settings.get("MODEL.DEVICE", "cuda"))
    if len(devices) < 2 or wanted != "cuda":
        return None
    return min(devices, key=list(taken).count)


LOG = "train.log"
MISTAKE = "error: "
LINES_OF_A_MISTAKE = 40
SECONDS_TO_END = 5.0
SECONDS_BETWEEN_LOOKS = 0.2

Command = Callable[[Cell, bool], list[str]]


@dataclass
class Running:
    """A cell's process, the CUDA device chosen for it, and when it began."""

    cell: Cell
    process: subprocess.Popen[bytes]
    device: str | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began


def cell_command(cell: Cell, resume: bool) -> list[str]:
    """Return the command that runs a prepared cell."""
    module = "fed_plugin.benchmark.cells"
    return [sys.executable, "-m", module, str(cell.folder), *(["--resume"] if resume else [])]


def run_cells(
    cells: Sequence[Cell],
    board: Board,
    *,
    jobs: int = 1,
    resume: bool = False,
    lock: int | None = None,
    devices: Sequence[str] = (),
    command: Command = cell_command,
    finished: Callable[[Cell], None] = lambda cell: None,
) -> dict[str, str]:
    """Run cells; whatever ends this call, an error or Ctrl-C too, ends their processes.

    Args:
        cells: to run, in order.
        board: told of everything.
        jobs: how many at a time.
        resume: whether half-trained cells go on from their newest checkpoint.
        lock: file descriptor that cells inherit.
        devices: of CUDA; where there are several, every cell sees one of them only.
        command: makes the command of a cell.
        finished: called after every cell that came to an end.

    Returns:
        The last words of those that failed, by their names.
    """
    waiting, running, failures = deque(cells), list[Running](), dict[str, str]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.popleft()
                board.begun(cell)
                try:
                    prepare(cell, resume)
                    device = choose_device(cell, devices, [one.device for one in running])
                    running.append(_start(cell, command(cell, resume), jobs, lock, device))
                except OSError as error:
                    failures[cell.name] = str(error)
                    board.ended(cell, None, 0.0, str(error))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                error = _conclude(one)
                if error:
                    failures[one.cell.name] = error
                board.ended(one.cell, read_result(one.cell.folder), one.seconds, error)
                finished(one.cell)
            board.show([(one.cell, one.seconds) for one in running], list(waiting))
            if running:
                with suppress(subprocess.TimeoutExpired):
                    running[0].process.wait(SECONDS_BETWEEN_LOOKS)
    finally:
        end([one.process for one in running])
    return failures


def _start(
    cell: Cell, command: list[str], jobs: int, lock: int | None, device: str | None
) -> Running:
    """Start a cell in a session of its own, so that Ctrl-C in the terminal does not reach it.

    The pipe to its standard input is never written to: it closes when this process dies, however it
    dies, and tells the cell to end as well.
    """
    environment = {} if "OMP_NUM_THREADS" in os.environ or jobs < 2 else _threads(jobs)
    if device is not None:
        environment[VISIBLE] = device
    with (cell.folder / LOG).open("ab") as log:
        process = start_logged(
            command,
            log,
            environment,
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )
    return Running(cell, process, device)


def _threads(jobs: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}


def _conclude(one: Running) -> str:
    """Write down how a cell ended; return the last words of one that failed."""
    folder, status = one.cell.folder, one.process.returncode
    _end_group(one.process, signal.SIGKILL)  # what it left running, such as loader workers
    one.process.stdin.close()
    if read_result(folder) is not None:
        ended = datetime.now(timezone.utc).isoformat(timespec="seconds")
        about = {"seconds": round(one.seconds, 1), "ended": ended, "machine": machine_words()}
        write_record(one.cell, "finished", **about)
        return ""
    error = _last_words(folder / LOG, status)
    log = str(folder / LOG)
    write_json(folder / FAILED, {"error": error, "exit_status": status, "log": log})
    write_record(one.cell, "failed", seconds=round(one.seconds, 1))
    return error


def _last_words(log: Path, status: int) -> str:
    """Return what ``cli/mistakes.py`` said of a user's mistake, else the end of the log."""
    lines = last_words(log, LINES_OF_A_MISTAKE)
    begin = max((i for i, line in enumerate(lines) if line.startswith(MISTAKE)), default=None)
    if begin is None:
        crashed = any(line.startswith("Traceback (most recent call last)") for line in lines)
        text = " / ".join(lines[-1:] if crashed else lines[-3:]) or "it said nothing"
    else:
        said = [line for line in lines[begin:] if not line.startswith(f"({DEBUG}=1")]
        text = "\n".join(said).removeprefix(MISTAKE)
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = " (memory?)" if -status == signal.SIGKILL else ""
        return f"killed by {name}{hint}; last words: {text}"
    return text if status else f"ended with status 0 but wrote no {RESULT}; last words: {text}"


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and all they started: asked first, killed after a while."""
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
#
# The lock is the kernel's, on ``OUT/.lock``: it ends with the processes that hold it, so that a
# dead runner's is free. Cells inherit it; while one of a killed runner still runs, no other run
# begins.

LOCK = ".lock"
PATIENCE = 15.0
"""Seconds that the cells of a dead runner get to notice that it is dead."""


@contextmanager
def only_runner(out: Path) -> Iterator[int]:
    """Hold a folder's lock; yield its file descriptor, for cells to inherit.

    Raises:
        RuntimeError: somebody else holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, out)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, out: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, host = os.pread(descriptor, 200, 0).decode(errors="replace").partition(" ")
            host = host.strip()
            if not _is_dead(pid, host) or time.monotonic() > give_up:
                raise RuntimeError(
                    f"{out}: process {pid or '?'} on {host or '?'} runs cells in it; expected one "
                    "runner at a time, try waiting for it, or --out with another folder"
                ) from None
            time.sleep(0.2)


def _is_dead(pid: str, host: str) -> bool:
    """Is this the number of a process of this machine that is no more?"""
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


# One call of ``benchmark``: what is finished stays, what is not is run, everything is joined.

NAMED = 3  # changed cells in a message


def run_plan(
    plan: Plan,
    cells: Sequence[Cell],
    *,
    others: Sequence[Cell] = (),
    jobs: int = 1,
    resume: bool = False,
    lock: int | None = None,
    command: Command = cell_command,
) -> int:
    """Run the cells that are not finished, then print a table of all.

    Args:
        plan: they belong to.
        cells: wanted.
        others: the plan's other cells; what is finished of them is joined and shown as well.
        jobs: how many at a time.
        resume: whether half trainings go on from their newest checkpoint.
        lock: file descriptor that cells inherit.
        command: makes the command of a cell.

    Returns:
        Exit status: 1 if a cell failed.

    Raises:
        ValueError: a finished cell is not what the plan asks for.
    """
    states = [look(cell) for cell in cells]
    refuse_changed(plan, cells, states)
    waiting = [cell for cell, at in zip(cells, states, strict=True) if at.kind != "finished"]
    seconds: dict[str, list[float]] = {}
    for cell, state in zip(cells, states, strict=True):
        if state.kind == "finished" and state.seconds:
            seconds.setdefault(cell.method, []).append(state.seconds)
    shown = [*cells, *(cell for cell in others if look(cell).kind == "finished")]
    board = Board(len(cells), len(cells) - len(waiting), seconds)

    def join(_: Cell | None = None) -> str:
        return str(join_results(plan, shown))

    try:
        failures = run_cells(
            waiting,
            board,
            jobs=jobs,
            resume=resume,
            lock=lock,
            devices=cuda_devices() if jobs > 1 else (),
            command=command,
            finished=join,
        )
    finally:
        board.close()
    joined = join()  # before anything is printed: a pipe to `head` may be closed
    print(f"\n{plan.name}\n\n{results_tables(shown)}")
    print(f"\n{', '.join(COLUMNS)} {NUMBERS}\n")
    print(f"numbers: {joined}")
    if failures:
        print(f"\n{failures_table(failures)}\nlogs: {plan.out / '*/*/seed*/train.log'}")
        print("The same command tries failed cells again.")
    return 1 if failures else 0


def refuse_changed(plan: Plan, cells: Sequence[Cell], states: Sequence[CellState]) -> None:
    """Refuse to go on where finished cells are not what the plan asks for.

    Raises:
        ValueError: it names them, and what is different.
    """
    changed = [
        (cell, state) for cell, state in zip(cells, states, strict=True) if state.kind == "changed"
    ]
    if not changed:
        return
    named = "; ".join(
        f"{cell.name}: {', '.join(state.differences)}" for cell, state in changed[:NAMED]
    )
    more = f"; and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    folders = os.path.commonpath([cell.folder for cell, _ in changed])
    raise ValueError(
        f"{plan.path}: not what the plan asks for now, though finished: {named}{more}; try the old "
        f"values, --out with another folder, or removing what changed below {folders}"
    )
