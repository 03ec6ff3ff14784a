"""What the OEM should answer: visibility targets from the two views of an image.

Shape shorthand: ``B`` images, ``P`` parts, ``H, W`` image height and width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

VISIBILITY_RULES = ("reference", "coverage")

GRAZED_RATIO = 3.0
"""``reference``: the largest of several touched parts stands alone above this ratio."""


@torch.no_grad()
def visibility_target(
    holistic: Tensor, occluded: Tensor, num_parts: int, rule: str = "reference"
) -> Tensor:
    """Say for each part of the occluded view how visible it is.

    Args:
        holistic: (B, 3, H, W), any float range.
        occluded: the same images with an occluder pasted on.
        num_parts: stripes P, from top to bottom.
        rule: ``"reference"`` for hard targets as the released code sets them, ``"coverage"`` for
            ``1 - share of changed pixels``.

    Returns:
        (B, P) in [0, 1], 1 = visible, without gradient.

    Raises:
        ValueError: an unknown rule, or views of different shape.

    Source: FED-Occluded-ReID@4a63184 (behaviour as described in the project's FED.md, 3).
    """
    if holistic.shape != occluded.shape:
        raise ValueError(
            f"the views differ in shape: {tuple(holistic.shape)}, {tuple(occluded.shape)}"
        )
    if rule not in VISIBILITY_RULES:
        raise ValueError(
            f"MODEL.FED.OEM.TARGET={rule!r}: expected one of {', '.join(VISIBILITY_RULES)}"
        )
    difference = (holistic - occluded).abs().sum(dim=1)  # (B, H, W)
    if rule == "coverage":
        return 1 - _stripe_means((difference > 0).to(holistic.dtype), num_parts)
    return _reference_target(_stripe_means(difference, num_parts))


def _stripe_means(pixels: Tensor, num_parts: int) -> Tensor:
    """Average (B, H, W) over P stripes -> (B, P)."""
    return F.adaptive_avg_pool2d(pixels.unsqueeze(1), (num_parts, 1)).flatten(1)


def _reference_target(touch: Tensor) -> Tensor:
    """Turn mean absolute differences per part (B, P) into hard targets (B, P).

    NOTE(reference): a part is hidden or visible, nothing between, and an occluder over the full
    height teaches nothing; MODEL.FED.OEM.TARGET "coverage" is the alternative.
    """
    touched = touch > 0
    num_touched = touched.sum(dim=1, keepdim=True)
    largest = touch.max(dim=1, keepdim=True).values
    # A part is grazed when the largest is more than three times the SECOND largest; the rest
    # are smaller still, so all of them count as visible.
    second = touch.topk(min(2, touch.shape[1]), dim=1).values[:, -1:]
    dominated = largest > GRAZED_RATIO * second
    hidden = torch.where(dominated, touch == largest, touched)
    informative = (num_touched > 0) & (num_touched < touch.shape[1])
    return 1 - (hidden & touched & informative).to(touch.dtype)
