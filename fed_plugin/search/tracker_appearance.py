"""Appearance model for trackers: descriptors of boxes in a frame, or of crops.

Trackers like boxmot's call ``get_features(xyxys, frame)``. Trackers like DeepSORT's and
StrongSORT's call the model with a list of crops. Both pass OpenCV's channel order, BGR.

Source: boxmot's ``base_backend.py`` and forks of deep_sort_pytorch's ``deep_sort.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.fastreid_adapter.embedder import Embedder


class TrackerAppearance:
    """Descriptors of the persons in a frame, for a tracker.

    Args:
        embedder: embedder of any config. The batch size of the embedder is the number of persons
            that are described at once.

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
            (N, D) float32 of unit length; zeros for a box without a pixel in the frame.

        Raises:
            ValueError: the boxes or the frame have another shape.
        """
        boxes = np.asarray(xyxys, np.float64)
        if boxes.size == 0:
            boxes = np.empty((0, 4))
        if boxes.ndim != 2 or boxes.shape[1] < 4 or not np.isfinite(boxes[:, :4]).all():
            raise ValueError(f"xyxys: expected (N, 4) finite numbers, got {boxes.shape}")
        _check_bgr("img", img)
        height, width = img.shape[:2]
        edges = boxes[:, :4].round().clip(0, [width, height, width, height]).astype(int)
        return self([img[top:bottom, left:right] for left, top, right, bottom in edges])

    def __call__(self, crops: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Describe crops, for trackers like DeepSORT's and StrongSORT's.

        Args:
            crops: arrays (H, W, 3) uint8 BGR; a crop without pixels gives zeros.

        Returns:
            (N, D) float32 of unit length.

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
        descriptors = np.zeros((len(crops), self.num_dimensions), np.float32)
        descriptors[full] = outputs.descriptors
        self.visibility = None
        if outputs.visibility is not None:
            self.visibility = np.zeros((len(crops), outputs.visibility.shape[1]), np.float32)
            self.visibility[full] = outputs.visibility
        return descriptors


def _check_bgr(name: str, image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}")
