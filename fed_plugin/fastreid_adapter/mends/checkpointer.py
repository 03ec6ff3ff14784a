"""Row 13: checkpoints that are there whole or not at all, and a newest one that is broken."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from .mending import Overlay, mend

logger = logging.getLogger("fastreid.compat")


@mend(
    row=13,
    after="fastreid.utils.checkpoint",
    reason="checkpoints are written in place: a kill leaves half of one under the newest's name",
)
def checkpoints_are_written_whole(module: ModuleType) -> bool:
    """Write checkpoints, and the name of the newest, beside their place; flush, then rename."""
    stock = module.PathManager
    if isinstance(stock, Overlay):
        return False

    def open_whole(path: str, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode not in ("w", "wb") or "://" in str(path):
            return stock.open(path, mode, *args, **kwargs)
        from fed_plugin.fastreid_adapter.resuming.checkpoint_file import written_checkpoint

        return written_checkpoint(str(path), mode)

    module.PathManager = Overlay(stock, open=open_whole)
    return True


@mend(
    row=13,
    after="fastreid.utils.checkpoint",
    reason="--resume fails for good when the newest checkpoint is broken",
)
def resume_passes_over_a_broken_checkpoint(module: ModuleType) -> bool:
    """Let ``--resume`` name a newest checkpoint that is broken, and go on from the one before."""
    checkpointer = module.Checkpointer
    stock = checkpointer.resume_or_load

    @functools.wraps(stock)
    def resume_or_load(self: Any, path: str, *, resume: bool = True) -> Any:
        if not (resume and self.has_checkpoint()):
            return stock(self, path, resume=resume)
        newest = _newest(self)
        others = [f for f in _newest_first(self.save_dir) if not _same(f, newest)]
        reasons = []
        for candidate in (newest, *others):
            try:
                content = _read_whole(self, candidate)
            except (OSError, ValueError, RuntimeError) as error:
                reasons.append(" ".join(str(error).split()))
                logger.warning("%s: not resumed from: %s", candidate, reasons[-1])
                continue
            self._load_file = lambda f, content=content: content  # what was just read
            self.resumed_from = candidate
            try:
                return self.load(candidate)
            except ValueError as error:
                raise ValueError(
                    f"{candidate}: not of a run with this config: {error}; try the config it was "
                    "written with, another OUTPUT_DIR, or no --resume to start again"
                ) from error
            finally:
                del self._load_file
        raise ValueError(
            f"{self.save_dir}: none of its checkpoints can be resumed from, the newest is {newest} "
            f"({reasons[0]}); expected a whole one, try another OUTPUT_DIR, or no --resume to "
            "start again"
        )

    checkpointer.resume_or_load = resume_or_load
    return True


def _newest(checkpointer: Any) -> str:
    """Return what ``last_checkpoint`` names; itself, if it names nothing that can be read."""
    try:
        return checkpointer.get_checkpoint_file()
    except UnicodeDecodeError:
        return os.path.join(checkpointer.save_dir, "last_checkpoint")


def _read_whole(checkpointer: Any, path: str) -> Any:
    """Read a checkpoint.

    Raises:
        ValueError: it is seen to be damaged, or is no checkpoint.
        OSError: it cannot be read.
    """
    why = damage(path)
    if why:
        raise ValueError(why)
    return checkpointer._load_file(path)


def damage(path: str) -> str:
    """Say in words why a file is no whole checkpoint; empty if nothing is seen to be wrong.

    Checksums of the archive are compared, which PyTorch does not do: a disk that lost some bytes
    would else be trained on.
    """
    import zipfile  # which takes long to import, and every import of the host imports this module

    if not os.path.isfile(path):
        return "no such file"
    if not zipfile.is_zipfile(path):
        return "" if _is_of_another_format(path) else "not whole, or no checkpoint"
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        return str(error)
    return f"{bad} in it is damaged" if bad else ""


def _is_of_another_format(path: str) -> bool:
    """Tell whether a file begins as PyTorch's old checkpoints do: a pickle, or a tar archive."""
    with open(path, "rb") as file:
        begin = file.read(262)
    return begin[:1] == b"\x80" or begin[257:262] == b"ustar"


def _newest_first(folder: str) -> list[str]:
    """List the checkpoints of a run, the last written first; those of the best epoch come last."""
    files = [path for path in Path(folder).glob("*.pth") if not path.name.startswith(".")]
    order = sorted(files, key=lambda p: (p.name != "model_best.pth", p.stat().st_mtime_ns))
    return [str(path) for path in reversed(order)]


def _same(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)
