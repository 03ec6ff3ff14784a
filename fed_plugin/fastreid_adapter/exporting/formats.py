"""Which formats there are, and what each needs before the model is built."""

from __future__ import annotations

from importlib.util import find_spec

import torch

FORMATS = ("onnx", "torchscript", "torch-export")
INT8_FORMATS = ("onnx", "torchscript")
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

# 2.6 is the first whose exporter to ONNX starts from torch.export, with dynamic shapes.
EXPORTS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)


def check_format(name: str, int8: bool = False) -> None:
    """Refuse a format that is not known, or that cannot be written here.

    Args:
        name: one of ``FORMATS``.
        int8: whether weights are to become int8.

    Raises:
        ValueError: An unknown format, one without int8, or what it needs is not installed.
    """
    if name not in FORMATS:
        raise ValueError(f"--format {name}: expected one of {', '.join(FORMATS)}")
    if int8 and name not in INT8_FORMATS:
        raise ValueError(
            f"--int8: --format {name} has no dynamic quantisation here; try one of "
            f"{', '.join(INT8_FORMATS)}"
        )
    if name != "torchscript" and not EXPORTS:
        raise ValueError(
            f"--format {name}: expected PyTorch 2.6 or later, got {torch.__version__}; try "
            "--format torchscript"
        )
    if name == "onnx":
        missing = [package for package in ONNX_PACKAGES if find_spec(package) is None]
        if missing:
            raise ValueError(
                f"--format onnx needs the packages {', '.join(ONNX_PACKAGES)}, and "
                f"{', '.join(missing)} is not installed; try pip install 'fed_plugin[onnx]'"
            )
