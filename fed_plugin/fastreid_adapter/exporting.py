"""Write a config's model, read the file back, and keep it only if it answers as the model does."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from torch.overrides import TorchFunctionMode

from fed_plugin import __version__
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.fastreid_adapter.extract import (
    Description,
    checked_descriptors,
    describe_images,
    load_trained,
)
from fed_plugin.fastreid_adapter.meta_arch import FED
from fed_plugin.files import write_atomically
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.evaluation import compare_results, evaluate_dump
from fed_plugin.retrieval.result import Result
from fed_plugin.synthocc.build import take
from fed_plugin.synthocc.casting import QUERY, SIZES, plan

# What an exported file computes: photos in, unit descriptors and visibility out.
#
# Shape shorthand: ``B`` images, ``H, W`` height and width in pixels, ``D`` numbers, ``P`` parts.

INPUT = "images"
DESCRIPTOR, VISIBILITY = "descriptor", "visibility"


class DeployedModel(nn.Module):
    """Take photos of ``INPUT.SIZE_TEST`` as they are, and do the rest inside.

    Args:
        model: of any config, in evaluation mode and float32.
        flip: whether the mirror images count, too, as with ``TEST.FLIP.ENABLED``.
    """

    def __init__(self, model: nn.Module, flip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.flip = flip
        fed = isinstance(model, FED)
        seen = fed and model.heads.estimates_visibility
        self.output_names = (DESCRIPTOR, VISIBILITY) if seen else (DESCRIPTOR,)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Describe photos.

        Args:
            images: (B, H, W, 3) uint8 RGB.

        Returns:
            Descriptors (B, D) of unit length; with FED's OEM also the visibility (B, P) in [0, 1],
            1 = visible.

        Raises:
            ValueError: The model yields no descriptors.
        """
        planes = images.permute(0, 3, 1, 2).float()  # (B, 3, H, W) in [0, 255]
        if not self.flip:
            said = self._describe(planes)
            return (F.normalize(said[0]), *said[1:])
        # in one pass: weights that a graph uses twice are not stored as int8 can take them
        both = self._describe(torch.cat((planes, planes.flip(3))))  # (2B, ...)
        count = images.shape[0]
        said = tuple((out[:count] + out[count:]) / 2 for out in both)
        return (F.normalize(said[0]), *said[1:])

    def _describe(self, images: Tensor) -> tuple[Tensor, ...]:
        model = self.model
        if not isinstance(model, FED):  # stock models write into what they get
            answer = model({"images": images.clone()})
            return (checked_descriptors(model, answer),)
        # Not FED.describe: its move to the model's device would be frozen into the file.
        tokens = model.backbone((images - model.pixel_mean) / model.pixel_std)
        visibility, descriptors = model.heads.erase(tokens)
        if model.normalize_output:
            descriptors = F.normalize(descriptors)
        return (descriptors, visibility)[: len(self.output_names)]


class _Touched(TorchFunctionMode):
    """Remember which tensors any operation got."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._remember(args)
        self._remember((kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def _remember(self, values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor):
                self.ids.add(id(value))
            elif isinstance(value, (tuple, list)):
                self._remember(value)


@torch.no_grad()
def without_training_weights(graph: DeployedModel, example: Tensor) -> DeployedModel:
    """Return a copy without the weights that evaluation never touches.

    Classifiers, memories and FDM would make a file several times larger.

    Args:
        graph: left as it is.
        example: (B, H, W, 3) uint8, to run it once.
    """
    lean = copy.deepcopy(graph)
    with _Touched() as touched:
        lean(example)
    for module in lean.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None and id(tensor) not in touched.ids:
                    held[name] = None
    return lean.requires_grad_(False)


# How far a file's answers are from the model's, on random and on drawn images.
#
# Shape shorthand: ``B`` images, ``H, W`` height and width in pixels.

LIMIT = 1e-4
"""Greatest difference of a float32 file from the model, in any number it answers."""

BATCHES = (1, 3, 8)

Answers = dict[str, NDArray[np.float32]]
Describe = Callable[[NDArray[np.uint8]], Answers]


@dataclass(frozen=True)
class Difference:
    """Hold how far a file is from the model on one kind of images.

    Attributes:
        images: ``random`` or ``drawn``.
        greatest: absolute difference over all batches and outputs; NaN if a number is none.
        cosine: smallest, of a file's descriptor and the model's.
    """

    images: str
    greatest: float
    cosine: float


def model_answers(model: nn.Module, flip: bool) -> Describe:
    """Return what the evaluation itself computes, not the graph that was exported."""

    @torch.no_grad()
    def describe(images: NDArray[np.uint8]) -> Answers:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        said = describe_images(model, planes, flip)
        answers = {DESCRIPTOR: F.normalize(said["features"].float()).numpy()}
        if "visibility" in said:
            answers[VISIBILITY] = said["visibility"].numpy()
        return answers

    return describe


def differences(file: Describe, model: Describe, size: tuple[int, int]) -> list[Difference]:
    """Hold a file against the model, in batches of 1, 3 and 8.

    Args:
        file: what runs the file.
        model: what says how it should be.
        size: (H, W).

    Raises:
        ValueError: The file has other outputs than the model, or of other shapes.
    """
    found = []
    for name, images in (("random", random_images(size)), ("drawn", drawn_images(size))):
        gaps, cosines = [], []
        start = 0
        for count in BATCHES:
            batch = np.ascontiguousarray(images[start : start + count])
            start += count
            got, expected = file(batch), model(batch)
            gaps.append(_gap(got, expected))
            cosines.append((got[DESCRIPTOR] * expected[DESCRIPTOR]).sum(axis=1).min())
        found.append(Difference(name, float(np.max(gaps)), float(np.min(cosines))))
    return found


def _gap(got: Mapping[str, NDArray[np.float32]], expected: Answers) -> float:
    shapes = [{name: array.shape for name, array in said.items()} for said in (got, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the written file answers {shapes[0]}, expected {shapes[1]}")
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


# Which formats there are, and what each needs before the model is built.

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


# One writer for each format. What a file says of itself goes into the place the format has.

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


# An exported file, opened as its user would: no config, no class of ours in what runs.
#
# Shape shorthand: ``B`` images, ``H, W`` height and width in pixels.

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


@dataclass(frozen=True)
class Exported:
    """Say what was written and how far it is from the model.

    Attributes:
        path: of the file.
        about: what the file says of itself.
        shapes: of its outputs, without the batch.
        float32: differences of the file before any quantisation.
        int8: differences of the quantised file, on which there is no limit; None without int8.
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
) -> Exported:
    """Export a config's model in float32, or with int8 weights.

    The file takes photos (B, H, W, 3) uint8 RGB of ``INPUT.SIZE_TEST`` and any B, and answers
    ``descriptor`` (B, D) of unit length and, with FED's OEM, ``visibility`` (B, P). It computes
    what the evaluation does, ``TEST.FLIP.ENABLED`` included. An int8 file was checked as float32
    before it was quantised. Nothing is left at ``path`` unless all checks held.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` exports random weights, drawn from ``SEED``.
        format: one of ``FORMATS``.
        path: to write to, over what is there.
        about: what else the file says of itself, such as ``config``.
        int8: whether linear layers become int8, see ``writers``.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: What the format needs is not installed, the checkpoint is of another model, or
            the file answers otherwise than the model by more than ``LIMIT``.
    """
    check_format(format, int8)
    cfg = _on_cpu(cfg)
    flip = bool(cfg.TEST.FLIP.ENABLED)
    height, width = _size(cfg)
    with write_atomically(path) as file:
        model = load_trained(cfg)
        answers = model_answers(model, flip)
        example = torch.from_numpy(random_images((height, width))[:2])
        _check_finite(answers(example.numpy()), cfg.MODEL.WEIGHTS)
        graph = without_training_weights(DeployedModel(model, flip).eval(), example)
        said = {**about, **_description(cfg, graph)}
        found: dict[str, tuple[Difference, ...]] = {}
        for precision in ("float32", "int8") if int8 else ("float32",):
            said["precision"] = precision
            file.seek(0)
            file.truncate()
            write(graph, example, format, file, said, int8=precision == "int8")
            file.flush()
            written = ExportedFile(file.name, format)
            found[precision] = tuple(differences(written, answers, (height, width)))
            _refuse(found[precision], precision, format)
        shapes = {name: array.shape[1:] for name, array in answers(example.numpy()).items()}
    return Exported(Path(path), said, shapes, found["float32"], found.get("int8"))


def _refuse(found: tuple[Difference, ...], precision: str, format: str) -> None:
    limit = LIMIT if precision == "float32" else np.inf  # int8: finite, at least
    worst = max(found, key=lambda one: one.greatest if one.greatest == one.greatest else np.inf)
    if not worst.greatest <= limit or worst.greatest == np.inf:
        raise ValueError(
            f"--format {format}: the {precision} file answers otherwise than the model, by "
            f"{worst.greatest:.2g} on {worst.images} images; expected at most {LIMIT:.0e}, and "
            "nothing was written; try another --format"
        )


def _size(cfg: Any) -> tuple[int, int]:
    sides = [int(side) for side in cfg.INPUT.SIZE_TEST]
    if len(sides) != 2:
        raise ValueError(
            f"INPUT.SIZE_TEST={sides}: expected [height, width], as an exported file takes images "
            "of one size; try INPUT.SIZE_TEST [256,128]"
        )
    return sides[0], sides[1]


def _check_finite(answers: Mapping[str, np.ndarray], weights: str) -> None:
    """Refuse a model that is broken itself, which no format mends."""
    broken = [name for name, array in answers.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(
            f"MODEL.WEIGHTS={weights}: the model's own {' and '.join(broken)} of random images is "
            "not finite; expected numbers, try a checkpoint of a training that did not diverge"
        )


def _on_cpu(cfg: Any) -> Any:
    """Return a config for float32 on the CPU, where every reader of a file can follow."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    if "FED" in cfg.MODEL:
        cfg.MODEL.FED.PRECISION = "fp32"
    return cfg


def _description(cfg: Any, graph: DeployedModel) -> dict[str, str]:
    weights = cfg.MODEL.WEIGHTS
    height, width = cfg.INPUT.SIZE_TEST
    return {
        "fed_plugin": __version__,
        "model": cfg.MODEL.META_ARCHITECTURE,
        "weights_sha256": content_hash(weights) if weights else "untrained",
        "input": f"images: uint8 RGB, (batch, {height}, {width}, 3)",
        "height": str(height),
        "width": str(width),
        "flip": str(graph.flip),
        OUTPUTS: ",".join(graph.output_names),
    }


# What an exported file costs in Rank-1, measured on a test set against the model itself.


@dataclass(frozen=True)
class Rank1Cost:
    """Hold Rank-1 in per cent, cosine distance.

    Attributes:
        model: of the model.
        file: of the exported file.
        difference: file - model, with the interval over the same queries.
    """

    model: float
    file: float
    difference: Estimate


def measure_rank1(
    cfg: Any,
    dataset_name: str,
    model: Description,
    file: Callable[[Any], dict[str, Any]],
    progress: Callable[[int, int], None] | None = None,
) -> Rank1Cost:
    """Describe a test set with an exported file, through the host's own loader, and rank it.

    Args:
        cfg: config.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        model: what the model says of the same test set.
        file: takes (B, H, W, 3) uint8; see ``ExportedFile``.
        progress: called with images done and images in all, after each batch.

    Raises:
        ValueError: A transform of the config leaves no uint8 images, so a file cannot be given
            what the model was.
    """
    loader, _ = build_reid_test_loader(cfg, dataset_name=dataset_name)
    total, blocks, done = len(loader.dataset), [], 0
    for batch in loader:
        blocks.append(file(as_photos(batch["images"]))[DESCRIPTOR])
        done += len(blocks[-1])
        if progress is not None:
            progress(done, total)
    exported = dataclasses.replace(
        model, features=np.concatenate(blocks), visibility=None, part_features=None
    )
    of_model, of_file = (_ranked(description) for description in (model, exported))
    return Rank1Cost(
        of_model.metrics["Rank-1"].value,
        of_file.metrics["Rank-1"].value,
        compare_results(of_file, of_model)["Rank-1"],
    )


def as_photos(images: Tensor) -> Any:
    """Return images (B, 3, H, W) float in [0, 255] as the photos (B, H, W, 3) uint8 they were.

    Raises:
        ValueError: They are no whole numbers in that range.
    """
    photos = images.round().clamp(0, 255)
    if not bool((photos == images).all()):
        raise ValueError(
            "--dataset: the test images of this config are no uint8 photos, which an exported file "
            "takes; try the config's own test transforms"
        )
    return np.ascontiguousarray(photos.byte().permute(0, 2, 3, 1).numpy())


def _ranked(description: Description) -> Result:
    return evaluate_dump(description.to_dump({}), distance="cosine")


__all__ = [
    "FORMATS",
    "LIMIT",
    "Difference",
    "Exported",
    "ExportedFile",
    "Rank1Cost",
    "check_format",
    "export_model",
    "measure_rank1",
]
