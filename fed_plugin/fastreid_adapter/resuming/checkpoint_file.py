"""Write a checkpoint atomically, name the error of its writer, and look at what a file holds."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import torch

from fed_plugin.files import write_atomically


class Recorder(io.RawIOBase):
    """Writer of bytes into a file, which keeps the first error of writing.

    PyTorch's writer raises an error of its own for a full disk, without its name. It may write once
    more when it is freed. Bytes behind an error, or behind the end, are therefore dropped.
    """

    def __init__(self, file: Any) -> None:
        super().__init__()
        self.file = file
        self.ended = False
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write bytes and return their number."""
        if self.ended or self.error is not None:
            return len(data)
        try:
            return self.file.write(data)
        except BaseException as error:
            self.error = error
            raise

    def writable(self) -> bool:
        """Return True."""
        return True

    def flush(self) -> None:
        """Flush the file, unless the block has ended."""
        if not self.ended:
            self.file.flush()


@contextmanager
def written_checkpoint(path: str, mode: str) -> Iterator[Any]:
    """Open a file of a checkpointer for writing; the file gets its name when it is on the disk.

    Raises:
        OSError: The file could not be written; the content of ``path`` did not change.
    """
    recorder, handled = None, sys.exc_info()[1]
    try:
        with write_atomically(path) as file:
            recorder = Recorder(file)
            if "b" in mode:
                yield recorder
                if recorder.error is not None:
                    raise recorder.error
            else:
                text = io.StringIO()
                yield text
                recorder.write(text.getvalue().encode())
    except (OSError, RuntimeError) as error:
        interrupt = _interrupt_behind(error, handled)
        if interrupt is not None:
            raise interrupt from None
        cause = error if isinstance(error, OSError) else getattr(recorder, "error", None)
        if not isinstance(cause, OSError):
            raise
        raise OSError(
            f"{path}: could not be written ({cause.strerror or cause}); earlier files have not "
            "changed; expected a folder with room for a checkpoint; try another disk, or "
            "`--resume` once there is room"
        ) from error
    finally:
        if isinstance(recorder, Recorder):
            recorder.ended = True


def _interrupt_behind(
    error: BaseException | None, handled: BaseException | None
) -> BaseException | None:
    """Return Ctrl-C if it caused the error of a PyTorch writer that is closed half-way."""
    while error is not handled and isinstance(error, Exception):
        error = error.__context__
    return None if error is handled else error


_LARGEST = 1 << 53  # a larger number is no count, and no rate


def odd_value(content: dict[str, Any], checkpointables: dict[str, Any]) -> str:
    """Return what in a checkpoint no run can go on from; empty if nothing is wrong.

    Args:
        content: the whole checkpoint.
        checkpointables: optimizer and schedules by their key in the checkpoint; their own state
            shows of which kind each value has to be.
    """
    epoch, metric = content.get("epoch", -1), content.get("metric", -1)
    if not isinstance(epoch, Integral) or not -1 <= epoch < _LARGEST:
        return f"its epoch is {epoch!r:.60}, expected a whole number"
    if not (isinstance(metric, Real) or (torch.is_tensor(metric) and metric.numel() == 1)):
        return f"its metric is {metric!r:.60}, expected a number"
    for key, holder in checkpointables.items():
        if key in content and (why := _unlike(content[key], holder.state_dict(), key)):
            return f"its {why}"
    return ""


def _unlike(value: Any, example: Any, where: str) -> str:
    """Return which part of a value is of another kind than the same part of an example."""
    if isinstance(example, dict):
        if not isinstance(value, dict):
            return f"{where} is {value!r:.60}, expected a table"
        below = [
            (value[key], one, f"{where}.{key}") for key, one in example.items() if key in value
        ]
    elif isinstance(example, (list, tuple)):
        pair = isinstance(example, tuple)  # such as betas; a list may have any length
        if not isinstance(value, (list, tuple)) or (pair and len(value) != len(example)):
            return f"{where} is {value!r:.60}, expected a list such as {example!r:.60}"
        below = [(one, example[0], f"{where}[{i}]") for i, one in enumerate(value) if example]
    elif isinstance(example, Real):
        good = value is None and isinstance(example, bool)  # a switch that nobody set
        good = good or (isinstance(value, Real) and abs(value) < _LARGEST)  # no NaN, either
        return "" if good else f"{where} is {value!r:.60}, expected a number such as {example}"
    else:
        below = []
    return next(filter(None, (_unlike(*one) for one in below)), "")
