"""Console of a command: one sentence for a mistake, progress, and the name of this machine."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

DEBUG = "FED_PLUGIN_DEBUG"
"""Environment variable that brings tracebacks back."""

MISTAKES = (ValueError, KeyError, OSError, RuntimeError, AssertionError, FloatingPointError)
"""Errors of wrong paths, keys, values and files, here and in the host; a bare assert is a bug."""


@dataclass
class Outcome:
    """Exit status of a command."""

    status: int = 0


@contextmanager
def one_sentence_for_mistakes(interrupted: str = "") -> Iterator[Outcome]:
    """Turn an input mistake into a line on stderr and status 1, Ctrl-C into status 130.

    Args:
        interrupted: what Ctrl-C leaves behind, and how to continue.
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
    """Return whether an error, or the error of a spawned rank, is one of ``MISTAKES``."""
    if _is_death_of_a_rank(error):
        return True
    if type(error).__name__ != "ProcessRaisedException":  # torch's, no child of RuntimeError
        return isinstance(error, MISTAKES)
    module, _, name = _last_line(str(error).strip()).partition(":")[0].rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), name, None)
    return isinstance(kind, type) and issubclass(kind, MISTAKES)


def sentence(error: BaseException) -> str:
    """Return the message of an error, without the traceback of a spawned rank."""
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
    if "DataLoader worker" in text and ("killed" in text or "exited" in text):
        text += (
            "; expected workers that live (out of memory, perhaps); try fewer "
            "DATALOADER.NUM_WORKERS, or more memory, such as docker run --shm-size 8g"
        )
    return text


def _is_death_of_a_rank(error: BaseException) -> bool:
    return type(error).__name__ == "ProcessExitedException"  # torch's


def _last_line(text: str) -> str:
    """Return the end of a traceback, from its last line without indentation on."""
    lines = text.split("\n")
    start = max(i for i, line in enumerate(lines) if line and not line.startswith((" ", "\t")))
    return "\n".join(lines[start:])


class WithoutTraceback(logging.Filter):
    """Filter that shortens the trainer's record of a mistake to one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; remove the traceback from the record of a mistake."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, MISTAKES) and str(error) and not os.environ.get(DEBUG):
            record.msg, record.args = "%s %s", (record.getMessage(), sentence(error))
            record.exc_info = None
        return True


@lru_cache(maxsize=1)
def machine_words() -> str:
    """Return the names of the processor, its cores and, if there is one, the GPU."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    words = [models[0] if models else platform.machine(), f"{os.cpu_count()} cores"]
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


class ProgressLine:
    """Progress of long work on stderr: a bar of tqdm on a terminal, else a line every 15 s."""

    SECONDS = 15.0
    """Time between two lines off a terminal; the first line waits too, as its ETA is a guess."""
    _FORMAT = "{desc}  {n_fmt}/{total_fmt}  {elapsed}, ETA {remaining}{postfix}"

    def __init__(self, what: str) -> None:
        self.what = what
        self.start = self._printed = time.perf_counter()
        self._finished = False
        self._bar: Any = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Print that ``done`` of ``total`` steps are done, unless a line was printed just now."""
        if self._finished:
            return
        self._finished = done >= total
        if sys.stderr.isatty():
            self._update_bar(done, total, note)
        elif self._finished or time.perf_counter() - self._printed >= self.SECONDS:
            self._print_line(done, total, note)

    def _update_bar(self, done: int, total: int, note: str) -> None:
        from tqdm import tqdm

        if self._bar is None:
            bar = self._FORMAT.replace("  {elapsed}", " {bar} {elapsed}")
            tqdm.monitor_interval = 0  # no thread beside ours
            width, height = shutil.get_terminal_size()  # 80, 24 where a terminal has no size
            size = {"ncols": width - 1, "nrows": height}
            self._bar = tqdm(desc=self.what, bar_format=bar, mininterval=0.2, **size)
            self._bar.start_t = time.time() - (time.perf_counter() - self.start)
        self._bar.total = total
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)
        if self._finished:
            self.close()

    def _print_line(self, done: int, total: int, note: str) -> None:
        from tqdm import tqdm

        self._printed = time.perf_counter()
        line = tqdm.format_meter(
            *(done, total, self._printed - self.start),
            prefix=self.what,
            postfix=note,
            bar_format=self._FORMAT,
        )
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line on a terminal, as far as the work went."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
