"""Write a config's model, read the file back, and keep it only if it answers as the model does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fed_plugin import __version__
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.fastreid_adapter.exporting.checking import (
    LIMIT,
    Difference,
    differences,
    model_answers,
    random_images,
)
from fed_plugin.fastreid_adapter.exporting.exported_file import OUTPUTS, ExportedFile
from fed_plugin.fastreid_adapter.exporting.formats import check_format
from fed_plugin.fastreid_adapter.exporting.graph import DeployedModel, without_training_weights
from fed_plugin.fastreid_adapter.exporting.writers import write
from fed_plugin.fastreid_adapter.trained_model import load_trained
from fed_plugin.retrieval.whole_files import written_whole


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
    with written_whole(path) as file:
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
