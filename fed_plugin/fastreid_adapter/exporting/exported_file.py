"""An exported file, opened as its user would: no config, no class of ours in what runs.

Shape shorthand: ``B`` images, ``H, W`` height and width in pixels.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fed_plugin.fastreid_adapter.exporting.formats import FORMATS, check_format
from fed_plugin.fastreid_adapter.exporting.graph import INPUT
from fed_plugin.fastreid_adapter.exporting.writers import ABOUT

OUTPUTS = "outputs"
"""Entry of what a file says of itself: the names of its outputs, with commas."""

Arrays = tuple[NDArray[np.float32], ...]


class ExportedFile:
    """Read a file that :func:`export_model` wrote, and run it on the CPU.

    Args:
        path: of the file.
        format: one of ``FORMATS``.

    Attributes:
        about: what the file says of itself.

    Raises:
        FileNotFoundError: No such file.
        ValueError: What reads the format is not installed, or the file is none of ours.
    """

    def __init__(self, path: str | os.PathLike[str], format: str) -> None:
        check_format(format)
        open_file = {"onnx": _open_onnx, "torchscript": _open_script, "torch-export": _open_export}
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such file; expected one that `export` wrote")
        try:
            self._run, self.about = open_file[format](os.fspath(path))
        except Exception as error:  # each reader has kinds of its own
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{path}: not a {format} file that can be read ({why}); expected one that `export` "
                f"wrote, try another of {', '.join(FORMATS)}"
            ) from error
        if OUTPUTS not in self.about:
            raise ValueError(f"{path}: expected a file that `export` wrote, got one that is not")

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Describe photos.

        Args:
            images: (B, H, W, 3) uint8 RGB of the size that ``about`` names.

        Returns:
            Arrays by the names of the outputs.
        """
        names = self.about[OUTPUTS].split(",")
        return dict(zip(names, self._run(images), strict=True))


def _open_onnx(path: str) -> tuple[Callable[[Any], Arrays], dict[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = dict(session.get_modelmeta().custom_metadata_map)
    return lambda images: tuple(session.run(None, {INPUT: images})), about


def _open_script(path: str) -> tuple[Callable[[Any], Arrays], dict[str, str]]:
    extra = {ABOUT: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and asked for
        module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    return _on_arrays(module), json.loads(extra[ABOUT] or "{}")


def _open_export(path: str) -> tuple[Callable[[Any], Arrays], dict[str, str]]:
    extra = {ABOUT: ""}
    with open(path, "rb") as file:
        program = torch.export.load(file, extra_files=extra)
    return _on_arrays(program.module()), json.loads(extra[ABOUT] or "{}")


def _on_arrays(module: Callable[[torch.Tensor], Any]) -> Callable[[Any], Arrays]:
    @torch.no_grad()
    def run(images: NDArray[np.uint8]) -> Arrays:
        return tuple(out.numpy() for out in module(torch.from_numpy(images)))

    return run
