"""Row 23: ONNX export."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from .mending import mend


@mend(
    row=23,
    after="fastreid.modeling.meta_arch.build",
    reason="torch >= 2.9 exports by another exporter, which needs onnxscript",
)
def onnx_export_takes_the_exporter_it_was_written_for(module: ModuleType) -> bool:
    """Let an export that names an ``operator_export_type`` take the exporter that knows the word.

    tools/deploy/onnx_export.py calls ``torch.onnx.export`` itself. Calls without that argument, and
    calls that choose an exporter, go through unchanged.
    """
    import torch

    stock = torch.onnx.export
    dynamo = inspect.signature(stock).parameters.get("dynamo")
    if dynamo is None or dynamo.default is not True or hasattr(stock, "chooses_its_exporter"):
        return False

    @functools.wraps(stock)
    def export(*args: Any, **kwargs: Any) -> Any:
        if "operator_export_type" in kwargs:
            kwargs.setdefault("dynamo", False)
        return stock(*args, **kwargs)

    export.chooses_its_exporter = True  # type: ignore[attr-defined]
    torch.onnx.export = export
    return True
