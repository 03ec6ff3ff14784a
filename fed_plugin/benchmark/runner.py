"""Runs cells, each in a process of its own, several at a time; a failure is not fatal to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from fed_plugin.cli.benchmark.board import Board
from fed_plugin.cli.benchmark.cells import (
    FAILED,
    RESULT,
    Cell,
    prepare,
    read_result,
    write_json,
    write_record,
)
from fed_plugin.cli.benchmark.devices import VISIBLE, choose_device
from fed_plugin.cli.machine import machine_words
from fed_plugin.cli.mistakes import DEBUG
from fed_plugin.cli.training_process import last_words, start_logged

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
    module = "fed_plugin.cli.benchmark.cell_process"
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
