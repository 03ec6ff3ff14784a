"""Tensors of any published weight file, read without executing anything, out of its wrappers."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fed_plugin.arguments import check_file
from fed_plugin.files import refuse_bomb

SAFETENSORS = ".safetensors"


def read_weights(path: str | os.PathLike[str] | io.BytesIO, numbers: Any = ()) -> Any:
    """Read a checkpoint, or the tensors of a ``.safetensors`` file.

    Args:
        path: file to read, or an open binary file whose ``str`` is a path.
        numbers: further names that a checkpoint may mention, as
            ``torch.serialization.safe_globals`` takes them.

    Returns:
        What the file holds, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else, or needs code to run; the message is a reason
            without the file's name.
    """
    if not isinstance(path, io.IOBase):
        os.stat(path)
    try:
        if str(path).endswith(SAFETENSORS):
            return _read_safetensors(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                refuse_bomb(archive)
        if isinstance(path, io.IOBase):
            path.seek(0)
        with torch.serialization.safe_globals(list(numbers)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # the unpicklers raise a dozen kinds of errors on noise
        raise ValueError(_reason(error)) from error


def unwrapped(content: Any) -> Any:
    """Return the state dict of a checkpoint, alone or under ``model`` or ``state_dict``."""
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return content


def _read_safetensors(path: Any) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load, load_file
    except ImportError as error:
        raise ValueError(
            "reading safetensors needs a package of that name; try "
            "`pip install fed_plugin[safetensors]`"
        ) from error
    is_open = isinstance(path, io.IOBase)
    tensors: dict[str, Tensor] = load(path.read()) if is_open else load_file(path)
    return tensors


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, pickle.UnpicklingError) and "eights only load failed" in text:
        return "it holds more than tensors, which would have to be executed"
    return text.splitlines()[0] if text else type(error).__name__


WRAPPERS = ("teacher", "model_ema", "model", "module", "state_dict", "target_encoder")
"""Entries that hold the state dict of a published file, the first that is there."""


class Traced(Tensor):
    """Tensor that knows which tensors of the file it was made of."""

    sources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> Traced:
        """Return a tensor of the file; one of half precision in full precision."""
        made = (tensor.float() if tensor.is_floating_point() else tensor).as_subclass(cls)
        made.sources = frozenset((name,))
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        inputs = [*args, *(kwargs or {}).values()]
        inputs = [
            x for item in inputs for x in (item if isinstance(item, list | tuple) else [item])
        ]
        sources = frozenset[str]().union(*(x.sources for x in inputs if isinstance(x, Traced)))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, Traced):
                tensor.sources = sources
        return made


class WeightFile(NamedTuple):
    """Tensors of a weight file.

    Attributes:
        tensors: by the file's names, without its wrappers.
        wrappers: entries that held the tensors, from outside to inside.
    """

    tensors: dict[str, Tensor]
    wrappers: tuple[str, ...]


def read_weight_file(path: str | os.PathLike[str], wrapper: str = "") -> WeightFile:
    """Read a ``.pth``, ``.pt``, ``.bin``, ``.safetensors``, ``.npz`` file or TorchScript archive.

    Args:
        path: file to read.
        wrapper: entry that holds the state dict, such as ``"student"``; empty for the first of
            :data:`WRAPPERS`.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: the file holds something else, or needs code to run.
    """
    check_file(path, "a file of weights", f"path={str(path)!r}")
    try:
        if str(path).endswith(".npz"):
            content: Any = _read_npz(path)
        elif _is_torchscript(path):
            content = _read_torchscript(path)
        else:
            content = read_weights(path, [argparse.Namespace])
    except ValueError as error:
        raise ValueError(
            f"path={str(path)!r}: not a PyTorch checkpoint of tensors ({error})"
        ) from error
    return unwrap_tensors(content, path, wrapper)


def unwrap_tensors(
    content: Any, path: str | os.PathLike[str] | io.BytesIO, wrapper: str = ""
) -> WeightFile:
    """Return the tensors of what a file holds, as :func:`read_weight_file`.

    Raises:
        ValueError: there are none.
    """
    wrappers: list[str] = []
    while isinstance(content, Mapping):
        here = [name for name in WRAPPERS if isinstance(content.get(name), Mapping)]
        if wrapper and not wrappers:
            here = [wrapper] if isinstance(content.get(wrapper), Mapping) else []
        if not here:
            break
        wrappers.append(here[0])
        content = content[here[0]]
    if wrapper and not wrappers:
        raise ValueError(f"wrapper={wrapper!r}: {str(path)!r} has no such entry")
    if not isinstance(content, Mapping):
        raise ValueError(
            f"path={str(path)!r}: holds a {type(content).__name__}, expected a state dict"
        )
    tensors: dict[str, Tensor] = {
        name: Traced.of(name, value)
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        others = [str(name) for name, value in content.items() if isinstance(value, Mapping)]
        asked = f"; wrapper={others[0]!r} would take that entry" if others else ""
        raise ValueError(f"path={str(path)!r}: holds no tensors, expected a state dict{asked}")
    return WeightFile(tensors, tuple(wrappers))


def _read_npz(path: Any) -> dict[str, Tensor]:
    """Read the arrays of Google's files."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            refuse_bomb(arrays.zip)
            return {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
    except Exception as error:  # noise, as in read_weights
        raise ValueError(_reason(error)) from error


def _is_torchscript(path: Any) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(path: Any) -> dict[str, Tensor]:
    """Read the tensors of a TorchScript archive; ``torch.jit.load`` would run its code."""
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive)
            (data,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            root = _ScriptUnpickler(archive, data.removesuffix("data.pkl"), data).load()
            return dict(_tensors_below(root, ""))
    except Exception as error:  # noise, as in read_weights
        raise ValueError(f"TorchScript archive: {error}") from error


class _ScriptModule:
    """Inert stand-in for any module of an archive."""


def _tensors_below(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _ScriptModule):
            yield from _tensors_below(value, f"{prefix}{name}.")


def _rebuild(flat: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return flat.as_strided(size, stride, offset).clone()


def _first(value: Any, *_: Any) -> Any:
    return value


class _ScriptUnpickler(pickle.Unpickler):
    """Builds tensors, lists and inert modules; refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, data: str) -> None:
        super().__init__(io.BytesIO(archive.read(data)))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for."""
        if module.startswith("__torch__"):
            return _ScriptModule
        kind = name.removesuffix("Storage").lower()
        dtype = getattr(torch, {"char": "int8", "byte": "uint8"}.get(kind, kind), None)
        if module == "torch" and name.endswith("Storage") and isinstance(dtype, torch.dtype):
            return dtype
        if module == "torch.jit._pickle":  # lists with a type, values with a type
            return _first
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in known:
            raise ValueError(f"it asks for {module}.{name}, which would have to be executed")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        """Return a storage as a flat tensor."""
        _, dtype, key, _, count = pid
        if not count:
            return torch.empty(0, dtype=dtype)
        data = bytearray(self.archive.read(f"{self.folder}data/{key}"))
        return torch.frombuffer(data, dtype=dtype)
