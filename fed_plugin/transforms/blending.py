"""A patch onto an image: its outline hard or soft, its alpha channel respected.

Shape shorthand: a patch is (3, h, w) in whole levels, or (4, h, w): colours multiplied by alpha,
then alpha. ``h, w`` are those of the rectangle that a placement covers.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fed_plugin.transforms.placement import PersonPlacement, Placement


def blend(
    image: Tensor, patch: Tensor, placement: Placement | PersonPlacement, feather: int = 0
) -> None:
    """Write a patch into an image, in place; pixels where it is transparent keep their bits.

    Args:
        image: (3, H, W) floating point in [0, 255], written to.
        patch: (3 or 4, h, w).
        placement: where it lies.
        feather: width in pixels of the rim over which it fades; 0 for a hard outline.

    Raises:
        ValueError: the placement does not fit the image.
    """
    region = region_of(image, placement)
    if not feather and len(patch) == 3:
        region[:] = patch
        return
    weight, colors = torch.ones(()), patch[:3].float()
    if feather:
        weight = edge_weights(support_of(patch), placement, image.shape[1], image.shape[2], feather)
        colors = colors * weight
    if len(patch) == 4:
        weight = weight * (patch[3].float() / 255)
    region.mul_((1 - weight).to(region.dtype)).add_(colors.to(region.dtype))


def region_of(image: Tensor, placement: Placement | PersonPlacement) -> Tensor:
    """Return the part of (C, H, W) that a placement covers, as a view.

    Raises:
        ValueError: the placement does not fit the image.
    """
    bottom, right = placement.top + placement.height, placement.left + placement.width
    if bottom > image.shape[1] or right > image.shape[2]:
        raise ValueError(f"{placement} does not fit an image of {tuple(image.shape[1:])}")
    return image[:, placement.top : bottom, placement.left : right]


def support_of(patch: Tensor) -> Tensor:
    """Return (h, w) bool: where a patch hides something of what is behind it."""
    if len(patch) == 3:
        return torch.ones(patch.shape[1:], dtype=torch.bool)
    return patch[3] > 0


def with_alpha(colors: Tensor, alpha: Tensor) -> Tensor:
    """Join colours and alpha so that a resize does not mix hidden colours into visible ones.

    Args:
        colors: (3, h, w) uint8.
        alpha: (h, w) uint8, 255 = opaque.

    Returns:
        (4, h, w) uint8, colours multiplied by alpha, then alpha.
    """
    pixels = cv2.cvtColor(colors.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(alpha.numpy(), pixels, 3)
    return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_RGBA2mRGBA)).permute(2, 0, 1)


def edge_weights(
    support: Tensor,
    placement: Placement | PersonPlacement,
    image_height: int,
    image_width: int,
    feather: int,
) -> Tensor:
    """Let an occluder fade towards its outline, from inside.

    A pixel ``d`` pixels from the nearest one that is not covered gets ``d / (feather + 1)``, at
    most 1 and never 0. Where the occluder is cut off by the edge of the image it does not fade.

    Args:
        support: (h, w) bool, what is covered of the placement's rectangle.
        placement: the rectangle.
        image_height: rows of the image.
        image_width: columns of the image.
        feather: width of the fading rim in pixels, at least 1.

    Returns:
        (h, w) in [0, 1], above 0 exactly on the support.
    """
    covered = np.ones((placement.height + 2, placement.width + 2), dtype=np.uint8)
    covered[1:-1, 1:-1] = support.numpy()
    covered[0] = placement.top == 0
    covered[-1] = placement.top + placement.height == image_height
    covered[1:-1, 0] = placement.left == 0
    covered[1:-1, -1] = placement.left + placement.width == image_width
    distance = cv2.distanceTransform(covered, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    return torch.from_numpy(np.minimum(distance / np.float32(feather + 1), np.float32(1)))
