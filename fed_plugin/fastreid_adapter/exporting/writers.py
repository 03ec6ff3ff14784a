"""One writer for each format. What a file says of itself goes into the place the format has."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.exporting.graph import INPUT, DeployedModel

ABOUT = "fed_plugin.json"
"""Name of the extra file in both of PyTorch's formats; ONNX has one property for each entry."""

OPSET = 18  # what the exporter writes without converting, and onnxruntime >= 1.14 reads
BATCH = "batch"
PRODUCTS = ["MatMul", "Gemm"]
"""What becomes int8; onnxruntime's integer convolution exists and is slower on a CPU."""


def write(
    graph: DeployedModel,
    example: Tensor,
    format: str,
    file: BinaryIO,
    about: Mapping[str, str],
    *,
    int8: bool = False,
) -> None:
    """Write a model.

    Args:
        graph: to write, on the CPU and in evaluation mode.
        example: (B, H, W, 3) uint8 with B > 1; the file takes any B.
        format: one of ``FORMATS``, see ``check_format``.
        file: open to be written.
        about: what the file says of itself.
        int8: whether the weights of linear layers become int8, activations as they come.

    Raises:
        ValueError: ``int8``, and there is no linear layer to quantise.
    """
    with _quiet(), torch.no_grad():
        if format == "onnx":
            _write_onnx(graph, example, file, about, int8)
        elif format == "torchscript":
            module = _int8_linears(graph) if int8 else graph
            # our own check is sharper than the tracer's
            traced = torch.jit.trace(module, example, check_trace=False)
            torch.jit.save(traced, file, _extra_files={ABOUT: json.dumps(dict(about))})
        else:
            program = torch.export.export(graph, (example,), dynamic_shapes=_any_batch())
            torch.export.save(program, file, extra_files={ABOUT: json.dumps(dict(about))})


def _write_onnx(
    graph: DeployedModel, example: Tensor, file: BinaryIO, about: Mapping[str, str], int8: bool
) -> None:
    import onnx

    program = torch.onnx.export(
        graph,
        (example,),
        input_names=[INPUT],
        output_names=list(graph.output_names),
        dynamic_shapes=_any_batch(),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    if int8:
        proto = _int8_products(proto)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.helper.set_model_props(proto, dict(about))
    onnx.checker.check_model(proto)
    file.write(proto.SerializeToString())


def _any_batch() -> dict[str, Any]:
    return {INPUT: {0: torch.export.Dim(BATCH, min=1)}}


def _int8_products(proto: Any) -> Any:
    """Return an ONNX model whose products with weights are int8."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The OEM's small products have a matrix per part, for which onnxruntime has no kernel.
    matrices = {weight.name for weight in proto.graph.initializer if len(weight.dims) == 2}
    others = [
        node.name
        for node in proto.graph.node
        if node.op_type in PRODUCTS and node.input[1] not in matrices
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(proto, source)
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=PRODUCTS,
            nodes_to_exclude=others,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(target)
    _check_quantised(any(node.op_type == "MatMulInteger" for node in quantised.graph.node))
    return quantised


def _int8_linears(graph: nn.Module) -> nn.Module:
    """Return a copy of a model whose linear layers hold int8 weights."""
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    linears = [
        name
        for name, module in graph.named_modules()
        if type(module) is nn.Linear and module.weight is not None  # None: training's alone
    ]
    _check_quantised(bool(linears))
    return quantize_dynamic(graph, dict.fromkeys(linears, per_channel_dynamic_qconfig))


def _check_quantised(found: bool) -> None:
    if not found:
        raise ValueError(
            "--int8: expected a model with linear layers, which dynamic quantisation is for; this "
            "one has none that evaluation uses (convolutions stay float); try without --int8"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what exporters say of each other: deprecations, and shapes that we check anyway."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root")
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
