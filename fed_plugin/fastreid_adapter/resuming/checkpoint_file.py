"""Write the file of a checkpoint atomically, and name the error that the writer ended in."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
        if not isinstance(error, OSError):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
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
