"""Console of a command: one sentence for a mistake, progress, and the name of this machine."""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

DEBUG = "FED_PLUGIN_DEBUG"
"""Environment variable that brings tracebacks back."""

MISTAKES = (ValueError, KeyError, OSError, RuntimeError, AssertionError, FloatingPointError)
"""Errors of wrong paths, keys, values and files, here and in the host; a bare assert is a bug."""


# Names of files, methods and data sets come from others, and a terminal obeys what they hold.


def printable(text: str, keep: str = "") -> str:
    """Return a text that every terminal and log file can show; ``keep`` names what stays."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


class PrintableStream:
    """Text stream in front of ``stream`` that spells control characters out."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; lines and tabs stay."""
        encoding = self.stream.encoding or "utf-8"
        text = printable(text, "\n\t").encode(encoding, "backslashreplace").decode(encoding)
        with self._named():
            return self.stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        with self._named():
            self.stream.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = error.filename or getattr(self.stream, "name", None)
            with suppress(OSError, ValueError):  # nothing more is written, nor at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def printable_output(*, stdout: bool = True) -> Iterator[None]:
    """Let standard error, logs and tracebacks spell control characters out.

    If ``stdout``, standard output does so, too: the host's log colours its lines there.
    """
    make_logs_printable()
    before = sys.stdout, sys.stderr
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_traceback
    if stdout and sys.stdout is not None:
        sys.stdout = PrintableStream(terminal(sys.stdout))
    if sys.stderr is not None:
        sys.stderr = PrintableStream(terminal(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def terminal(stream: Any) -> Any:
    """Return the stream behind a `PrintableStream`, for what draws on the terminal itself."""
    return getattr(stream, "stream", stream) if isinstance(stream, PrintableStream) else stream


def _print_traceback(*error: Any) -> None:
    PrintableStream(terminal(sys.stderr)).write("".join(traceback.format_exception(*error)))


class _PrintableRecord(logging.LogRecord):
    """Record of a log whose message and traceback every terminal can show."""

    _text: str | None = None

    def getMessage(self) -> str:  # noqa: N802 - the name that logging has for it
        """Return the message, without the colours that the host gives to its tables."""
        return printable(_COLOURS.sub("", super().getMessage()), "\n\t")

    @property
    def exc_text(self) -> str | None:
        """Traceback."""
        return self._text

    @exc_text.setter
    def exc_text(self, text: str | None) -> None:
        self._text = text and printable(text, "\n\t")


_COLOURS = re.compile("\x1b\\[(?:0|3[456])m")


@lru_cache(maxsize=1)
def make_logs_printable() -> None:
    """Let the records of fast-reid's loggers, and of ours, hold no control characters."""
    stock = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = stock(*args, **kwargs)
        ours = record.name.partition(".")[0] in ("fastreid", "fed_plugin")
        if ours and type(record) is logging.LogRecord:
            text = record.__dict__.pop("exc_text", None)
            record.__class__ = _PrintableRecord
            record.exc_text = text
        return record

    logging.setLogRecordFactory(make)
    stock_error = logging.Handler.handleError
    lost: set[logging.Handler] = set()

    def handle_error(handler: logging.Handler, record: logging.LogRecord) -> None:
        """Say once that a log is lost on a full disk, in place of a traceback for every line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            stock_error(handler, record)
        elif handler not in lost:
            lost.add(handler)
            name = getattr(getattr(handler, "stream", None), "name", "a log")
            print(f"{name}: its lines are lost ({error.strerror or error})", file=sys.stderr)

    def handle_thread(died: threading.ExceptHookArgs) -> None:
        if isinstance(died.exc_value, OSError) and not os.environ.get(DEBUG):
            print(f"a thread ended: {sentence(died.exc_value)}", file=sys.stderr)  # TensorBoard's
        else:
            stock_thread(died)

    stock_thread, threading.excepthook = threading.excepthook, handle_thread
    logging.Handler.handleError = handle_error  # type: ignore[method-assign]


@dataclass
class Outcome:
    """Exit status of a command."""

    status: int = 0


@contextmanager
def one_sentence_for_mistakes(interrupted: str = "") -> Iterator[Outcome]:
    """Turn an input mistake into a line on stderr and status 1, Ctrl-C into status 130.

    ``interrupted`` tells what Ctrl-C leaves behind, and how to continue.
    """
    outcome = Outcome()
    try:
        yield outcome
        if sys.stdout is not None:
            sys.stdout.flush()
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
    if type(error).__name__ == _DEATH_OF_A_RANK:
        return True
    if type(error).__name__ != "ProcessRaisedException":  # torch's, no child of RuntimeError
        return isinstance(error, MISTAKES)
    module, _, name = _last_line(str(error).strip()).partition(":")[0].rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), name, None)
    return isinstance(kind, type) and issubclass(kind, MISTAKES)


def sentence(error: BaseException) -> str:
    """Return the message of an error, without the traceback of a spawned rank."""
    if type(error).__name__ == _DEATH_OF_A_RANK:
        return (
            f"{str(error).replace('process', 'rank', 1)}, and the others were ended (out of "
            "memory, perhaps); `--resume` goes on from the newest checkpoint"
        )
    if isinstance(error, OSError) and error.strerror and error.errno in _NO_ROOM:
        return (
            f"{error.filename or 'a file'}: could not be written ({error.strerror}); expected "
            "room; try freeing some, or another disk for OUTPUT_DIR, --out and TMPDIR"
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


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DEATH_OF_A_RANK = "ProcessExitedException"  # torch's


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
            tqdm.monitor_interval = 0  # no thread beside ours
            width, height = shutil.get_terminal_size()  # 80, 24 where a terminal has no size
            look = {"bar_format": self._FORMAT.replace("  {elapsed}", " {bar} {elapsed}")}
            look |= {"ncols": width - 1, "nrows": height, "file": terminal(sys.stderr)}
            self._bar = tqdm(desc=printable(self.what), mininterval=0.2, **look)
            self._bar.start_t = time.time() - (time.perf_counter() - self.start)
        self._bar.total = total
        self._bar.set_postfix_str(printable(note), refresh=False)
        self._bar.update(done - self._bar.n)
        if self._finished:
            self.close()

    def _print_line(self, done: int, total: int, note: str) -> None:
        from tqdm import tqdm

        self._printed = time.perf_counter()
        line = tqdm.format_meter(
            *(done, total, self._printed - self.start),
            prefix=printable(self.what),
            postfix=printable(note),
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
