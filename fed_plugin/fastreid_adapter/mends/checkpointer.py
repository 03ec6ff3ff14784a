"""Row 13: checkpoints that are there whole or not at all, and a newest one that is broken."""

from __future__ import annotations

import errno
import functools
import io
import logging
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Overlay, mend, mentions

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


# Rows 20 and 21: files that are refused, or looked for in the wrong place.


def numpy_is_refused() -> bool:
    """Tell whether ``torch.load`` refuses a NumPy scalar in a checkpoint."""
    import pickle

    import numpy as np
    import torch

    buffer = io.BytesIO()
    torch.save({"metric": np.float64(0.5)}, buffer)
    buffer.seek(0)
    try:
        torch.load(buffer)
    except pickle.UnpicklingError:
        return True
    return False


def numpy_globals() -> list[Any]:
    """List what NumPy scalars and arrays are rebuilt from, under the names of NumPy 1 and 2.

    They build numbers and nothing else; objects inside an array would need names of their own.
    """
    import numpy as np

    core = getattr(np, "_core", None) or np.core
    scalar, reconstruct = core.multiarray.scalar, core.multiarray._reconstruct
    known: list[Any] = [np.ndarray, np.dtype]
    for package in ("numpy.core", "numpy._core"):
        known.append((scalar, f"{package}.multiarray.scalar"))
        known.append((reconstruct, f"{package}.multiarray._reconstruct"))
    dtypes = getattr(np, "dtypes", None)
    for name in getattr(dtypes, "__all__", ()):
        if name.startswith(("Int", "UInt", "Float", "Bool")):
            known.append(getattr(dtypes, name))
    return known


@mend(
    row=20,
    after="fastreid.utils.checkpoint",
    reason="torch < 2.6 executes what is planted in a checkpoint, and safetensors are not known",
)
def checkpoints_execute_nothing(module: ModuleType) -> bool:
    """Let ``Checkpointer`` read tensors and numbers alone, also those of a ``.safetensors``."""
    stock = module.Checkpointer._load_file
    if mentions(stock, "safetensors") or mentions(stock, "weights_only"):
        return False
    from fed_plugin.modeling.checkpoints import SAFETENSORS, read_weights

    @functools.wraps(stock)
    def _load_file(self: Any, f: str) -> Any:
        content = read_weights(f, numpy_globals())
        return {"model": content} if str(f).endswith(SAFETENSORS) else content

    module.Checkpointer._load_file = _load_file
    return True


@mend(
    row=20,
    after="fastreid.utils.checkpoint",
    reason="torch >= 2.6 refuses checkpoints that hold NumPy numbers",
)
def checkpoints_may_hold_numpy(module: ModuleType) -> bool:
    """Let ``Checkpointer`` load NumPy scalars and arrays; all else that is refused stays so."""
    import torch

    allow = getattr(torch.serialization, "safe_globals", None)
    if allow is None or not numpy_is_refused():
        return False
    stock = module.Checkpointer._load_file

    @functools.wraps(stock)
    def _load_file(self: Any, f: str) -> Any:
        with allow(numpy_globals()):
            return stock(self, f)

    module.Checkpointer._load_file = _load_file
    return True


@mend(
    row=20,
    after="fastreid.utils.checkpoint",
    reason="a file that is no checkpoint of the host ends in an error that does not name it",
)
def wrong_checkpoint_is_named(module: ModuleType) -> bool:
    """Let ``Checkpointer`` refuse a file that is no checkpoint in one sentence with its path."""
    import pickle

    stock = module.Checkpointer._load_file
    if mentions(stock, "top-level"):
        return False

    @functools.wraps(stock)
    def _load_file(self: Any, f: str) -> Any:
        try:
            content = stock(self, f)
        except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of a file cut short
                raise
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"MODEL.WEIGHTS or last_checkpoint names {f}: not a PyTorch checkpoint that can be "
                f"loaded safely ({why})"
            ) from error
        if not isinstance(content, dict) or "model" not in content:
            raise ValueError(
                f"MODEL.WEIGHTS={f}: expected a checkpoint with a top-level 'model', as fast-reid "
                "writes it; try `fed-plugin convert` for one of the released FED code"
            )
        if not _is_state_dict(content["model"]):
            raise ValueError(
                f"MODEL.WEIGHTS={f}: its 'model' is no table of tensors by name; expected a "
                "state dict, as fast-reid writes it"
            )
        return content

    module.Checkpointer._load_file = _load_file
    return True


def _is_state_dict(content: Any) -> bool:
    """Tell whether something maps names to tensors or arrays, and nothing else."""
    import numpy as np
    import torch

    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, (torch.Tensor, np.ndarray))
        for name, value in content.items()
    )


@mend(
    row=21,
    after=(
        "fastreid.modeling.backbones.regnet.regnet",
        "fastreid.modeling.backbones.regnet.effnet",
    ),
    reason="RegNet and EffNet open their tables relative to the working directory",
)
def backbone_tables_lie_beside_the_package(module: ModuleType) -> bool:
    """Open ``fastreid/modeling/...yaml`` beside the package unless the working directory has it."""
    kind = "regnet" if hasattr(module, "regnet_cfg") else "effnet"
    if not mentions(getattr(module, f"build_{kind}_backbone"), "'fastreid/modeling/"):
        return False
    cfg = getattr(module, f"{kind}_cfg")

    def merge_from_file(cfg_filename: str) -> None:
        cfg.merge_from_file(beside_the_package(cfg_filename))

    setattr(module, f"{kind}_cfg", Overlay(cfg, merge_from_file=merge_from_file))
    return True


def beside_the_package(path: str) -> str:
    """Turn ``fastreid/...`` into a path beside the imported package, unless it exists as it is."""
    import fastreid

    if os.path.isabs(path) or os.path.exists(path):
        return path
    root = os.path.dirname(os.path.dirname(os.path.abspath(str(fastreid.__file__))))
    return os.path.join(root, path)


# Row 20: the weights that the host's own backbones start from.

BACKBONES = (
    *("mobilenet", "mobilenetv3", "osnet", "regnet.effnet", "regnet.regnet", "repvgg", "resnest"),
    *("resnet", "resnext", "shufflenet", "vision_transformer"),
)


@mend(
    row=20,
    after=tuple(f"fastreid.modeling.backbones.{name}" for name in BACKBONES),
    reason="torch < 2.6 executes what is planted in pretrained weights, and no error names them",
)
def pretrained_weights_execute_nothing(module: ModuleType) -> bool:
    """Let a backbone read tensors alone, also those of a ``.safetensors``, or name the file."""
    if isinstance(module.torch, Overlay):
        return False
    module.torch = Overlay(module.torch, load=load_pretrained)
    return True


def load_pretrained(path: Any, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """Read pretrained weights in the place of ``torch.load``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds something else than tensors by name; the message names it.
    """
    from fed_plugin.modeling.checkpoints import read_weights

    where = f"MODEL.BACKBONE.PRETRAIN_PATH or a download, {path}"
    try:
        content = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{where}: not a PyTorch checkpoint of tensors ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where}: holds a {type(content).__name__}, expected a state dict")
    return content
