"""What an exported file costs in Rank-1, measured on a test set against the model itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastreid.data import build_reid_test_loader
from torch import Tensor

from fed_plugin.fastreid_adapter.description import Description
from fed_plugin.fastreid_adapter.exporting.graph import DESCRIPTOR
from fed_plugin.retrieval.comparison import MetricDifference, compare_results
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.result import Result


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
    difference: MetricDifference


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
