"""Appearance model for trackers: descriptors of boxes in a frame, or of crops.

Trackers like boxmot's call ``get_features(xyxys, frame)``. Trackers like DeepSORT's and
StrongSORT's call the model with a list of crops. Both pass OpenCV's channel order, BGR.

Source: boxmot's ``base_backend.py`` and forks of deep_sort_pytorch's ``deep_sort.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fed_plugin.fastreid_adapter.embedder import Embedder


class TrackerAppearance:
    """Descriptors of the persons in a frame, for a tracker, by an embedder of any config.

    Attributes:
        visibility: (N, P) of the persons in the last call; None for a model without visibility.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.visibility: NDArray[np.float32] | None = None
        self.num_dimensions = embedder([]).descriptors.shape[1]

    def get_features(self, xyxys: ArrayLike, img: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe boxes of a frame, for trackers like boxmot's.

        Args:
            xyxys: (N, 4 or more) left, top, right, bottom in pixels, right and bottom excluded.
                Parts outside the frame are cut off; further columns are ignored.
            img: (H, W, 3) uint8 BGR.

        Returns:
            (N, D) float32 of unit length. Of a box without a pixel in the frame, the nearest
            pixels are described, with visibility 0.

        Raises:
            ValueError: other shapes, or a box that is not finite; the message names the row.
        """
        boxes = _finite_boxes(xyxys)
        _check_bgr("img", img)
        size = np.array([img.shape[1], img.shape[0]])
        clipped = boxes.reshape(-1, 2, 2).clip(0, size)
        low, high = clipped.round().swapaxes(0, 1)
        outside = (low >= high).any(axis=1)
        low = np.where(low < high, low, np.floor(clipped[:, 0]).clip(0, size - 1)).astype(int)
        high = np.maximum(low + 1, high).astype(int)
        (lefts, tops), (rights, bottoms) = low.T, high.T
        edges = zip(tops, bottoms, lefts, rights, strict=True)
        descriptors = self([img[top:bottom, left:right] for top, bottom, left, right in edges])
        if self.visibility is not None:
            self.visibility[outside] = 0
        return descriptors

    def __call__(self, crops: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Describe crops (H, W, 3) uint8 BGR, for trackers like DeepSORT's and StrongSORT's.

        Returns:
            (N, D) float32 of unit length. A crop without pixels has visibility 0 and the
            descriptor :func:`no_information`.

        Raises:
            ValueError: a crop is another array; the message names the crop.
        """
        if isinstance(crops, np.ndarray) and crops.ndim == 3:
            raise ValueError(f"crops: expected a list of crops, got {crops.shape}; try [crop]")
        crops = list(crops)
        full = [i for i, crop in enumerate(crops) if np.size(crop)]
        for i in full:
            _check_bgr(f"crop {i}", crops[i])
        outputs = self.embedder([crops[i][..., ::-1] for i in full])
        descriptors = np.tile(no_information(self.num_dimensions), (len(crops), 1))
        known = outputs.descriptors.any(axis=1)  # a model may answer a crop with zeros
        rows = np.array(full, int)[known]
        descriptors[rows] = outputs.descriptors[known]
        self.visibility = None
        if outputs.visibility is not None:
            self.visibility = np.zeros((len(crops), outputs.visibility.shape[1]), np.float32)
            self.visibility[rows] = outputs.visibility[known]
        return descriptors


def no_information(num_dimensions: int) -> NDArray[np.float32]:
    """Return the descriptor (D,) of a crop without pixels, always the same one.

    Trackers divide by the length of a descriptor, therefore the descriptor has unit length. Its
    signs alternate: its similarity to a descriptor of a model is about 0.
    """
    signs = 1 - 2 * (np.arange(num_dimensions) % 2)
    return (signs / np.sqrt(num_dimensions)).astype(np.float32)


def _finite_boxes(xyxys: Any) -> NDArray[np.float64]:
    if isinstance(xyxys, torch.Tensor):
        xyxys = xyxys.detach().double().cpu().numpy()
    try:
        boxes = np.asarray(xyxys, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"xyxys: expected (N, 4) numbers, got others ({error})") from error
    if boxes.size == 0:
        boxes = np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] < 4:
        hint = "; try [box]" if boxes.shape[:1] >= (4,) and boxes.ndim == 1 else ""
        raise ValueError(f"xyxys: expected (N, 4) numbers, got {boxes.shape}{hint}")
    boxes = boxes[:, :4]
    broken = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    if broken.size:
        raise ValueError(
            f"xyxys: row {broken[0]}: expected finite numbers, got {boxes[broken[0]].tolist()}; "
            "try leaving out boxes that the tracker lost"
        )
    return boxes


def _check_bgr(name: str, image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}")
