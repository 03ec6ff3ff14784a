"""An appearance model for trackers: boxes of a frame, or crops, to descriptors.

Trackers in the manner of boxmot call ``get_features(xyxys, frame)``; those in the manner of
DeepSORT and StrongSORT call the model with a list of crops. Both hand on what OpenCV reads, BGR.

Source: boxmot's ``base_backend.py`` and forks of deep_sort_pytorch's ``deep_sort.py``, read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.fastreid_adapter.embedder import Embedder


class TrackerAppearance:
    """Describe the persons of a frame for a tracker.

    Args:
        embedder: of any config; its batch size is how many persons are described at once.

    Attributes:
        visibility: (N, P) of the last call's persons, None for a model that estimates none.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.visibility: NDArray[np.float32] | None = None
        self.num_dimensions = embedder([]).descriptors.shape[1]

    def get_features(self, xyxys: ArrayLike, img: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe boxes of a frame, as boxmot's trackers ask for it.

        Args:
            xyxys: (N, 4 or more) left, top, right, bottom in pixels, right and bottom excluded;
                parts outside of the frame are cut off, further columns ignored.
            img: (H, W, 3) uint8 BGR.

        Returns:
            (N, D) float32 of unit length; zeros, which are like nothing, for a box without a pixel
            in the frame.

        Raises:
            ValueError: boxes or a frame of another shape.
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
        """Describe crops, as DeepSORT's and StrongSORT's trackers ask for it.

        Args:
            crops: (H, W, 3) uint8 BGR each; one without pixels gives zeros.

        Returns:
            (N, D) float32 of unit length.

        Raises:
            ValueError: a crop is no such array; the message says which.
        """
        if isinstance(crops, np.ndarray) and crops.ndim == 3:
            raise ValueError(f"crops: expected a list of crops, got one of {crops.shape}; try [it]")
        crops = list(crops)
        full = [i for i, crop in enumerate(crops) if np.size(crop)]
        for i in full:
            _check_bgr(f"crop {i}", crops[i])
        said = self.embedder([crops[i][..., ::-1] for i in full])
        descriptors = np.zeros((len(crops), self.num_dimensions), np.float32)
        descriptors[full] = said.descriptors
        self.visibility = None
        if said.visibility is not None:
            self.visibility = np.zeros((len(crops), said.visibility.shape[1]), np.float32)
            self.visibility[full] = said.visibility
        return descriptors


def _check_bgr(name: str, image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"{name}: expected (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}")
