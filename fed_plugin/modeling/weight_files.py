"""Files of weights, read without executing anything of them: PyTorch's formats and safetensors."""

from __future__ import annotations

import functools
import io
import os
import pickle
from collections.abc import Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from types import ModuleType
from typing import Any

import torch

SAFETENSORS = ".safetensors"

_TENSOR_MODULES = {"torch", "torch._utils", "torch.nn.parameter", "torch.storage", "collections"}
_TENSOR_NAMES = {
    *("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "Parameter", "Size"),
    *("device", "dtype", "OrderedDict", "Counter"),  # MultiStepLR counts its milestones
}
_NUMBER_MODULES = {"numpy", "numpy.dtypes", "numpy.core.multiarray", "numpy._core.multiarray"}
_NUMBER_NAMES = {"_reconstruct", "scalar", "ndarray", "dtype"}


def read_weights(path: str | os.PathLike[str], numbers: Any = ()) -> Any:
    """Read a checkpoint, or the tensors of a ``.safetensors`` file.

    Args:
        path: of the file.
        numbers: further names that a checkpoint may mention, as
            ``torch.serialization.safe_globals`` takes them.

    Returns:
        What was saved, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is something else, or needs code to run; the message is a reason without the
            file's name.
    """
    os.stat(path)
    try:
        if os.fspath(path).endswith(SAFETENSORS):
            return _read_safetensors(path)
        return _read_checkpoint(path, numbers)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # on noise the unpicklers raise a dozen kinds
        raise ValueError(_reason(error)) from error


def unwrapped(content: Any) -> Any:
    """Return the state dict of a checkpoint, which may lie under ``model`` or ``state_dict``."""
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return content


def _read_safetensors(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError(
            "reading safetensors needs a package of that name; try "
            "`pip install fed_plugin[safetensors]`"
        ) from error
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def _read_checkpoint(path: str | os.PathLike[str], numbers: Any) -> Any:
    # NOTE: torch < 2.6 executes what it loads unless it is told not to; before 2.5 it could not be
    # told which numbers of NumPy to let in, so that names are looked up here
    allow = getattr(torch.serialization, "safe_globals", None)
    if allow is None:
        return _load_restricted(path)
    allowed: AbstractContextManager[Any] = allow(list(numbers))
    with allowed:
        return torch.load(path, map_location="cpu", weights_only=True)


def _load_restricted(file: Any) -> Any:
    names = restricted_pickle()
    if _ignores_pickle_modules():
        serialization: Any = torch.serialization
        with serialization._open_file_like(file, "rb") as opened:
            if not serialization._is_zipfile(opened):
                return serialization._legacy_load(opened, "cpu", names, encoding="utf-8")
            with serialization._open_zipfile_reader(opened) as archive:
                return serialization._load(archive, "cpu", names, encoding="utf-8")
    return torch.load(file, map_location="cpu", weights_only=False, pickle_module=names)


@functools.lru_cache(maxsize=1)
def _ignores_pickle_modules() -> bool:
    """Try whether ``torch.load`` takes its own pickle whatever it is given, as 1.13.1 does."""
    harmless = io.BytesIO()
    torch.save(Fraction(1, 2), harmless)
    harmless.seek(0)
    try:
        torch.load(harmless, weights_only=False, pickle_module=restricted_pickle())
    except pickle.UnpicklingError:
        return False
    return True


class _NamesOfTensors(pickle.Unpickler):
    """Find what tensors and numbers are rebuilt from, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        is_tensor = module in _TENSOR_MODULES and (
            name in _TENSOR_NAMES or (name.isidentifier() and name.endswith("Storage"))
        )
        is_number = module in _NUMBER_MODULES and (
            name in _NUMBER_NAMES or (name.isidentifier() and name.endswith("DType"))
        )
        is_bytes = (module, name) == ("_codecs", "encode")  # how old pickles hold those of numbers
        if not (is_tensor or is_number or is_bytes):
            raise pickle.UnpicklingError(f"Weights only load failed: it mentions {module}.{name}")
        return super().find_class(module, name)


def restricted_pickle() -> ModuleType:
    """Return a module like ``pickle`` that ``torch.load`` takes and that executes nothing."""

    def load(file: Any, **options: Any) -> Any:
        return _NamesOfTensors(file, **options).load()

    module = ModuleType("restricted_pickle")
    module.__dict__.update(Unpickler=_NamesOfTensors, load=load)
    return module


def _reason(error: Exception) -> str:
    """Say in one line why a file cannot be read."""
    text = str(error).strip()
    if isinstance(error, pickle.UnpicklingError) and "eights only load failed" in text:
        return "it holds more than tensors, which would have to be executed"
    return text.splitlines()[0] if text else type(error).__name__
