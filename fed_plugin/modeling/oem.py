"""Occlusion Erasing Module: how visible each part is, and what remains of it.

Shape shorthand: ``B`` images, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fed_plugin.modeling.parts import PartLayerNorm, PartLinear

REDUCTION = 4
"""``W1`` maps C channels to C / 4."""


class NothingErased(nn.Module):
    """Stand-in for the OEM in a method without one: every part counts as visible."""

    def forward(self, part_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return visibility 1 (B, P) and the parts (B, P, C) unchanged."""
        return part_features.new_ones(part_features.shape[:2]), part_features


class OcclusionErasingModule(nn.Module):
    """Estimator of a visibility per part, which scales the part.

    ``s_i = sigmoid(w2 . LN(W1 f_i + b1) + b2)``, weights not shared among parts, no other
    non-linearity.

    Args:
        num_parts: P.
        embed_dim: C, divisible by 4.

    Source: FED-Occluded-ReID@4a63184 (behaviour: docs/method.md, section 2).
    """

    def __init__(self, num_parts: int, embed_dim: int) -> None:
        super().__init__()
        hidden_dim = embed_dim // REDUCTION
        self.reduce = PartLinear(num_parts, embed_dim, hidden_dim)
        self.norm = PartLayerNorm(num_parts, hidden_dim)
        self.score = PartLinear(num_parts, hidden_dim, 1)

    def forward(self, part_features: Tensor) -> tuple[Tensor, Tensor]:
        """Erase what is not visible.

        Args:
            part_features: ``f`` (B, P, C).

        Returns:
            ``visibility`` s (B, P) in (0, 1), 1 = visible; and ``s_i f_i`` (B, P, C), before
            BatchNorm. Gradients flow through both.
        """
        score = self.score(self.norm(self.reduce(part_features)))  # (B, P, 1)
        visibility = torch.sigmoid(score)
        return visibility.squeeze(-1), visibility * part_features


# Visibility targets from the two views of an image, ``H, W`` its height and width.

VISIBILITY_RULES = ("reference", "coverage")

GRAZED_RATIO = 3.0
"""``reference``: above this ratio only the largest of several touched parts is hidden."""


@torch.no_grad()
def visibility_target(
    holistic: Tensor, occluded: Tensor, num_parts: int, rule: str = "reference"
) -> Tensor:
    """Return how visible each part of the occluded view is.

    Args:
        holistic: (B, 3, H, W), any float range.
        occluded: (B, 3, H, W), the same images with an occluder pasted on.
        num_parts: stripes P, from top to bottom.
        rule: ``"reference"`` for hard targets as the released code sets them, ``"coverage"`` for
            ``1 - share of changed pixels``.

    Returns:
        (B, P) in [0, 1], 1 = visible, without gradient.

    Raises:
        ValueError: an unknown rule, or views of different shape.

    Source: FED-Occluded-ReID@4a63184 (behaviour: docs/method.md, section 3).
    """
    if holistic.shape != occluded.shape:
        shapes = tuple(holistic.shape), tuple(occluded.shape)
        raise ValueError("the views differ in shape: {}, {}".format(*shapes))
    if rule not in VISIBILITY_RULES:
        raise ValueError(f"rule={rule!r}: expected one of {', '.join(VISIBILITY_RULES)}")
    difference = (holistic - occluded).abs().sum(dim=1)  # (B, H, W)
    if rule == "coverage":
        return 1 - _stripe_means((difference > 0).to(holistic.dtype), num_parts)
    return _reference_target(_stripe_means(difference, num_parts))


def _stripe_means(pixels: Tensor, num_parts: int) -> Tensor:
    """Average (B, H, W) over P stripes -> (B, P)."""
    return F.adaptive_avg_pool2d(pixels.unsqueeze(1), (num_parts, 1)).flatten(1)


def _reference_target(touch: Tensor) -> Tensor:
    """Turn mean absolute differences per part (B, P) into hard targets (B, P).

    NOTE(reference): a part is hidden or visible, with nothing between, and an occluder over the
    full height teaches nothing; the rule "coverage" is the alternative.
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
