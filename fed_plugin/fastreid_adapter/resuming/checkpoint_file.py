"""A checkpoint's file that is there whole or not at all, whatever happens to its writer."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fed_plugin.files import write_atomically


class Recorder(io.RawIOBase):
    """Pass bytes on to a file, and keep the error that writing them ended in.

    PyTorch's writer answers a full disk with an error of its own that does not name it, and may
    write once more when it is freed: what comes behind an error, or behind the end, goes nowhere.

    Args:
        file: open to write bytes to.

    Attributes:
        ended: whether its time is over.
        error: the first one; None while all is well.
    """

    def __init__(self, file: Any) -> None:
        super().__init__()
        self.file = file
        self.ended = False
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write bytes; return how many."""
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
        """Flush the file, unless its time is over."""
        if not self.ended:
            self.file.flush()


@contextmanager
def written_checkpoint(path: str, mode: str) -> Iterator[Any]:
    """Open a file of a checkpointer to write to; it takes its name when it is on the disk.

    Args:
        path: of the file.
        mode: ``"w"`` or ``"wb"``.

    Raises:
        OSError: it could not be written; what lay at ``path`` before is as it was.
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
            f"{path}: could not be written ({cause.strerror or cause}); what was saved before is "
            "as it was; expected a folder with room for a checkpoint, try OUTPUT_DIR on another "
            "disk, or `--resume` once there is room"
        ) from error
    finally:
        if isinstance(recorder, Recorder):
            recorder.ended = True


def _interrupt_behind(
    error: BaseException | None, handled: BaseException | None
) -> BaseException | None:
    """Find Ctrl-C behind the error that PyTorch's writer ends in when it is closed half-way."""
    while error is not handled and isinstance(error, Exception):
        error = error.__context__
    return None if error is handled else error
