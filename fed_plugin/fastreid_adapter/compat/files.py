"""Rows 20 and 21: files that are refused, or looked for in the wrong place."""

from __future__ import annotations

import errno
import functools
import io
import os
from types import ModuleType
from typing import Any

from .mending import Overlay, mend, mentions


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
    from fed_plugin.modeling.weight_files import SAFETENSORS, read_weights

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
                "writes it; try `python -m fed_plugin convert` for one of the released FED code"
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
