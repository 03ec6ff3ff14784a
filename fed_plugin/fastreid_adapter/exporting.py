"""Export of a config's model as one file, which is kept only if its outputs equal the model's.

Shape shorthand: ``B`` images, ``H, W`` height and width in pixels, ``D`` numbers, ``P`` parts.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from fastreid.data import build_reid_test_loader
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fed_plugin import __version__, arguments
from fed_plugin.arguments import FORMATS, check_file
from fed_plugin.fastreid_adapter.extract import (
    Description,
    TrainedModel,
    checked_descriptors,
    describe_images,
    load_trained,
)
from fed_plugin.fastreid_adapter.running_method import tensors_read
from fed_plugin.files import write_atomically
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.result import Result
from fed_plugin.synthocc.build import take
from fed_plugin.synthocc.casting import QUERY, SIZES, plan

INPUT = "images"
DESCRIPTOR, VISIBILITY = "descriptor", "visibility"

Outputs = dict[str, NDArray[np.float32]]
Describe = Callable[[NDArray[np.uint8]], Outputs]


def check_format(name: str, int8: bool = False) -> None:
    """Refuse a format as ``arguments.check_format`` does."""
    arguments.check_format(name, int8, find_spec)


# The graph of a file: photos in, unit descriptors and visibility out.


class DeployedModel(nn.Module):
    """Model that takes photos of ``INPUT.SIZE_TEST`` and does all further steps inside.

    Args:
        model: of any config, in evaluation mode and float32.
        flip: whether the outputs are means over photos and mirror images (``TEST.FLIP.ENABLED``).
    """

    def __init__(self, model: nn.Module, flip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.flip = flip
        seen = getattr(model, "estimates_visibility", False)
        self.output_names = (DESCRIPTOR, VISIBILITY) if seen else (DESCRIPTOR,)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Describe photos.

        Args:
            images: (B, H, W, 3) uint8 RGB.

        Returns:
            Descriptors (B, D) of unit length; with an OEM also the visibility (B, P) in [0, 1],
            1 = visible.

        Raises:
            ValueError: the model yields no descriptors.
        """
        planes = images.permute(0, 3, 1, 2).float()  # (B, 3, H, W) in [0, 255]
        if self.flip:
            # one pass for both: int8 cannot store weights that a graph uses twice
            both = self._describe(torch.cat((planes, planes.flip(3))))  # (2B, ...)
            count = images.shape[0]
            descriptors, *rest = ((out[:count] + out[count:]) / 2 for out in both)
        else:
            descriptors, *rest = self._describe(planes)
        return (F.normalize(descriptors), *rest)

    def _describe(self, images: Tensor) -> tuple[Tensor, ...]:
        if hasattr(self.model, "describe"):
            return self.model.describe(images)[: len(self.output_names)]
        outputs = self.model({"images": images.clone()})  # stock models write into their input
        return (checked_descriptors(self.model, outputs),)


@torch.no_grad()
def without_training_weights(graph: DeployedModel, example: Tensor) -> DeployedModel:
    """Return a copy without the weights that evaluation never touches.

    Classifiers, memories and FDM would make a file several times larger. One run on the example
    (B, H, W, 3) uint8 shows what is touched; ``graph`` is not modified.
    """
    lean = copy.deepcopy(graph)
    read = set(map(id, tensors_read(lean, lambda: lean(example))))
    for module in lean.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if id(tensor) not in read:
                    held[name] = None
    return lean.requires_grad_(False)


# The check of a file: its outputs against the model's, on random and on drawn images.

LIMIT = 1e-4
"""Greatest difference between a float32 file and the model, in any output."""

BATCHES = (1, 3, 8)


@dataclass(frozen=True)
class Difference:
    """Difference between a file and the model on one kind of images.

    Attributes:
        images: ``random`` or ``drawn``.
        greatest: absolute difference over all batches and outputs; NaN if an output is NaN.
        cosine: smallest cosine of the file's descriptor and the model's.
    """

    images: str
    greatest: float
    cosine: float


def model_outputs(model: nn.Module, flip: bool) -> Describe:
    """Return a function that computes what the evaluation computes, without the exported graph."""

    @torch.no_grad()
    def describe(images: NDArray[np.uint8]) -> Outputs:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        ours = describe_images(model, planes, flip)
        outputs = {DESCRIPTOR: F.normalize(ours.descriptors.float()).numpy()}
        if ours.visibility is not None:
            outputs[VISIBILITY] = ours.visibility.numpy()
        return outputs

    return describe


def differences(file: Describe, model: Describe, size: tuple[int, int]) -> list[Difference]:
    """Compare a file with the model, in batches of 1, 3 and 8 images of ``size`` (H, W).

    Raises:
        ValueError: the file has other outputs than the model, or outputs of other shapes.
    """
    result = []
    for name, images in (("random", random_images(size)), ("drawn", drawn_images(size))):
        gaps, cosines = [], []
        for batch in np.split(images, np.cumsum(BATCHES)[:-1]):
            got, expected = file(batch), model(batch)
            gaps.append(_gap(got, expected))
            cosines.append((got[DESCRIPTOR] * expected[DESCRIPTOR]).sum(axis=1).min())
        result.append(Difference(name, float(np.max(gaps)), float(np.min(cosines))))
    return result


def _gap(got: Outputs, expected: Outputs) -> float:
    shapes = [{name: out.shape for name, out in outputs.items()} for outputs in (got, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the written file has the outputs {shapes[0]}, expected {shapes[1]}")
    return float(np.max([np.abs(got[name] - expected[name]).max() for name in expected]))


def random_images(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (12, H, W, 3) uint8 of noise, the first black and the last white."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (sum(BATCHES), *size, 3), dtype=np.uint8)
    images[0], images[-1] = 0, 255
    return images


def drawn_images(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (12, H, W, 3) uint8 of drawn people, half of them occluded."""
    height, width = size
    people = (Image.fromarray(pixels) for pixels in _drawn_people())
    return np.stack([np.asarray(person.resize((width, height))) for person in people])


@lru_cache(maxsize=1)
def _drawn_people() -> tuple[NDArray[np.uint8], ...]:
    shots = plan(SIZES["tiny"], 0)
    half = sum(BATCHES) // 2
    occluded = islice((shot for shot in shots if shot.split == QUERY), half)
    whole = islice((shot for shot in shots if shot.split != QUERY), 0, None, 8)
    chosen = [*islice(whole, half), *occluded]
    return tuple(take("tiny", 0, shot).pixels for shot in chosen)


# One writer for each format. Entries about the file go into the place that the format has.

ABOUT = "fed_plugin.json"
"""Name of the extra file in both of PyTorch's formats; ONNX has one property for each entry."""

OPSET = 18  # the exporter writes opset 18 without a conversion; onnxruntime >= 1.14 reads it
BATCH = "batch"
PRODUCTS = ["MatMul", "Gemm"]
"""Operations that become int8; onnxruntime's integer convolution is slower on a CPU."""


def write(
    graph: DeployedModel,
    example: Tensor,
    format: str,
    file: BinaryIO,
    about: Mapping[str, str],
    *,
    int8: bool = False,
) -> None:
    """Write a model, which is on the CPU and in evaluation mode, in one of ``FORMATS``.

    The example is (B, H, W, 3) uint8 with B > 1; the file takes any B. With ``int8`` the weights of
    linear layers become int8; activations become int8 at run time.

    Raises:
        ValueError: int8 weights for a model without linear layers.
    """
    extra = {ABOUT: json.dumps(dict(about))}
    with _quiet(), torch.no_grad():
        if format == "onnx":
            _write_onnx(graph, example, file, about, int8)
        elif format == "torchscript":
            # our own check is sharper than the tracer's
            traced = torch.jit.trace(graph, example, check_trace=False)
            torch.jit.save(traced, file, _extra_files=extra)
        else:
            program = torch.export.export(graph, (example,), dynamic_shapes=_any_batch())
            torch.export.save(program, file, extra_files=extra)


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
        quantized = onnx.load(target)
    if not any(node.op_type == "MatMulInteger" for node in quantized.graph.node):
        raise ValueError(
            "--int8: expected a model with linear layers, got a model whose evaluation uses none "
            "(convolutions stay float); try without --int8"
        )
    return quantized


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' warnings about deprecations and about shapes, which are checked."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


# An exported file, opened as its user would open it: without a config, without a class of ours.

OUTPUTS = "outputs"
"""Entry about a file: the names of its outputs, with commas."""

Arrays = tuple[NDArray[np.float32], ...]


class ExportedFile:
    """File that :func:`export_model` wrote in one of ``FORMATS``, open to be run on the CPU.

    ``about`` holds the entries about the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a package for the format is not installed, or `export` did not write the file.
    """

    def __init__(self, path: str | os.PathLike[str], format: str) -> None:
        check_format(format)
        check_file(path, "one that `export` wrote")
        try:
            opened = _open_onnx(path) if format == "onnx" else _open_torch(os.fspath(path), format)
        except Exception as error:  # each reader has errors of its own
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{path}: not a {format} file that can be read ({why}); expected one that `export` "
                f"wrote, try another of {', '.join(FORMATS)}"
            ) from error
        self._run, self.about = opened
        if OUTPUTS not in self.about:
            raise ValueError(f"{path}: expected a file that `export` wrote, got another file")

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Describe photos (B, H, W, 3) uint8 RGB of the size that ``about`` names.

        The result has an array by the name of each output.
        """
        names = self.about[OUTPUTS].split(",")
        return dict(zip(names, self._run(images), strict=True))


def _open_onnx(path: str | os.PathLike[str]) -> tuple[Callable[[Any], Arrays], dict[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        os.fspath(path), options, providers=["CPUExecutionProvider"]
    )
    about = dict(session.get_modelmeta().custom_metadata_map)
    return lambda images: tuple(session.run(None, {INPUT: images})), about


def _open_torch(path: str, format: str) -> tuple[Callable[[Any], Arrays], dict[str, str]]:
    extra = {ABOUT: ""}
    if format == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user asked for TorchScript, which is deprecated
            module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    else:
        with open(path, "rb") as file:
            module = torch.export.load(file, extra_files=extra).module()

    @torch.no_grad()
    def run(images: NDArray[np.uint8]) -> Arrays:
        return tuple(out.numpy() for out in module(torch.from_numpy(images)))

    return run, json.loads(extra[ABOUT] or "{}")


# The export of a config's model.


@dataclass(frozen=True)
class Exported:
    """Written file with the entries about it, and its differences from the model.

    ``shapes`` of the outputs are without the batch. ``float32`` holds differences before any
    quantisation. Those of the quantised file have no limit; they are None without int8.
    """

    path: Path
    about: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    float32: tuple[Difference, ...]
    int8: tuple[Difference, ...] | None


def export_model(
    cfg: Any,
    format: str,
    path: str | os.PathLike[str],
    about: Mapping[str, str],
    *,
    int8: bool = False,
    trained: TrainedModel | None = None,
) -> Exported:
    """Export a config's model in float32, or with int8 weights.

    The file takes photos (B, H, W, 3) uint8 RGB of ``INPUT.SIZE_TEST`` and any B. Its outputs are
    ``descriptor`` (B, D) of unit length and, with FED's OEM, ``visibility`` (B, P), as the
    evaluation computes them, ``TEST.FLIP.ENABLED`` included. The check of an int8 file covers the
    float32 file first. Nothing is left at ``path`` unless all checks passed.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` exports random weights, drawn from ``SEED``.
        format: one of ``FORMATS``.
        path: file to write, or to replace.
        about: further entries about the file, such as ``config``.
        int8: whether the weights of linear layers become int8.
        trained: model of ``on_cpu(cfg)``; None loads the model.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a package for the format is not installed, the checkpoint is of another model,
            or the file differs from the model by more than ``LIMIT``.
    """
    check_format(format, int8)
    cfg = on_cpu(cfg)
    flip, size = bool(cfg.TEST.FLIP.ENABLED), _size(cfg)
    with write_atomically(path) as file:
        trained = trained or load_trained(cfg)
        model = model_outputs(trained.model, flip)
        example = torch.from_numpy(random_images(size)[:2])
        expected = model(example.numpy())
        _check_finite(expected, cfg.MODEL.WEIGHTS)
        graph = without_training_weights(DeployedModel(trained.model, flip).eval(), example)
        entries = {**about, **_entries(cfg, graph, trained)}
        result: dict[str, tuple[Difference, ...]] = {}
        for precision in ("float32", "int8") if int8 else ("float32",):
            entries["precision"] = precision
            file.seek(0)
            file.truncate()
            write(graph, example, format, file, entries, int8=precision == "int8")
            file.flush()
            written = ExportedFile(file.name, format)
            try:
                result[precision] = tuple(differences(written, model, size))
            except RuntimeError as error:  # a model whose code keeps the batch of the example
                why = f"not written: fails where the model does not ({str(error).splitlines()[-1]})"
                raise ValueError(f"{path}: {why}; try another format than {format}") from error
            _check_limit(result[precision], precision, format)
    shapes = {name: array.shape[1:] for name, array in expected.items()}
    return Exported(Path(path), entries, shapes, result["float32"], result.get("int8"))


def on_cpu(cfg: Any) -> Any:
    """Return a config for float32 on the CPU, where every reader of a file runs."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    if "FED" in cfg.MODEL:
        cfg.MODEL.FED.PRECISION = "fp32"
    return cfg


def _size(cfg: Any) -> tuple[int, int]:
    sides = [int(side) for side in cfg.INPUT.SIZE_TEST]
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(
            f"INPUT.SIZE_TEST={sides}: expected [height, width], as an exported file takes images "
            "of one size; try INPUT.SIZE_TEST [256,128]"
        )
    return sides[0], sides[1]


def _check_finite(outputs: Outputs, weights: str) -> None:
    broken = [name for name, array in outputs.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(
            f"MODEL.WEIGHTS={weights}: the model's own {' and '.join(broken)} of random images is "
            "not finite; expected numbers, try a checkpoint of a training that did not diverge"
        )


def _check_limit(result: tuple[Difference, ...], precision: str, format: str) -> None:
    limit = LIMIT if precision == "float32" else np.finfo(np.float32).max  # int8: any finite one
    worst = max(result, key=lambda one: one.greatest if one.greatest == one.greatest else np.inf)
    if not worst.greatest <= limit:
        raise ValueError(
            f"--format {format}: the {precision} file differs from the model by "
            f"{worst.greatest:.2g} on {worst.images} images; expected at most {LIMIT:.0e}, and "
            "nothing was written; try another --format"
        )


def _entries(cfg: Any, graph: DeployedModel, trained: TrainedModel) -> dict[str, str]:
    height, width = cfg.INPUT.SIZE_TEST
    return {
        "fed_plugin": __version__,
        "model": cfg.MODEL.META_ARCHITECTURE,
        "weights_sha256": trained.weights_sha256 or "untrained",
        "input": f"images: uint8 RGB, (batch, {height}, {width}, 3)",
        "height": str(height),
        "width": str(width),
        "flip": str(graph.flip),
        OUTPUTS: ",".join(graph.output_names),
    }


def rank_both(
    cfg: Any,
    dataset_name: str,
    model: Description,
    file: Describe,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Result, Result]:
    """Rank a test set with a model and with its exported file, by cosine distance.

    ``model`` describes the test set by the model. The file runs on the images of the host's own
    loader; ``progress`` gets images done and images in all, after each batch.

    Raises:
        ValueError: a transform of the config leaves images that are not uint8 photos.
    """
    loader, _ = build_reid_test_loader(cfg, dataset_name=dataset_name)
    features: list[NDArray[np.float32]] = []
    for batch in loader:
        features.extend(file(as_photos(batch["images"]))[DESCRIPTOR])
        if progress is not None:
            progress(len(features), len(loader.dataset))
    exported = replace(model, features=np.stack(features), visibility=None, part_features=None)
    of_model, of_file = (
        evaluate_dump(description.to_dump({}), distance="cosine")
        for description in (model, exported)
    )
    return of_model, of_file


def as_photos(images: Tensor) -> NDArray[np.uint8]:
    """Return images (B, 3, H, W) float in [0, 255] as photos (B, H, W, 3) uint8.

    Raises:
        ValueError: a value is no whole number in [0, 255].
    """
    photos = images.round().clamp(0, 255)
    if not bool((photos == images).all()):
        raise ValueError(
            "--dataset: expected test images of whole grey levels, as an exported file takes uint8 "
            "photos; try the config's own test transforms"
        )
    return np.ascontiguousarray(photos.byte().permute(0, 2, 3, 1).numpy())
