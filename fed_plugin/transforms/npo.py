"""NPO augmentation: occluders over a copy of the image, first drawn, then applied.

``PlacementRule.draw`` decides everything from the sizes alone; ``NPOAugmentation.apply`` and
``paste`` change pixels. Therefore the picture and its mask agree by construction.

Source: FED-Occluded-ReID@4a63184, behaviour as measured; no line of its code.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fed_plugin.transforms.occluders import OccluderSet
from fed_plugin.transforms.people import PeopleSet
from fed_plugin.transforms.placement import AnyPlacement, Placement
from fed_plugin.transforms.placement_rule import PlacementRule


class NPOAugmentation:
    """Transform of an image into the image and an occluded copy, or into the copy alone.

    Each call takes one ``torch.rand(1)`` for the probability, then the numbers of ``rule.draw``,
    also when nothing is pasted. The transform holds no random state. The default generator of
    torch, which loaders seed per worker, makes the transform reproducible.

    ``aug(image)`` is ``aug.apply(image, aug.draw(height, width))`` without the mask.

    Args:
        probability: share of images that get an occluder, in [0, 1]; the reference covers all.
            The two views of an image without occluder are equal.
        rule: places, number and kinds of occluders; the reference's by default.
        feather: width in pixels of the rim over which occluders fade; the reference has hard edges.
        people: people who may stand before others; needed if ``rule.people`` is above 0.
        views: 2 for both views, which FED learns from; 1 for the occluded view alone, an
            augmentation for any other method.
        find_pid: returns the identity of the image in progress, for calls without ``pid``.

    Raises:
        ValueError: a probability outside [0, 1], a negative feather, views that are neither 1 nor
            2, or no people for a rule with people.
    """

    def __init__(
        self,
        occluders: OccluderSet,
        probability: float = 1.0,
        rule: PlacementRule | None = None,
        feather: int = 0,
        people: PeopleSet | None = None,
        views: int = 2,
        find_pid: Callable[[], Hashable] | None = None,
    ) -> None:
        self.rule = PlacementRule() if rule is None else rule
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"expected a probability in [0, 1], got {probability}")
        if feather < 0:
            raise ValueError(f"feather={feather}: expected 0 or more pixels")
        if views not in (1, 2):
            raise ValueError(f"expected 1 or 2 views, got {views}")
        if self.rule.people and people is None:
            raise ValueError(f"expected a PeopleSet, as {self.rule.people} of occluders are people")
        self.occluders, self.people, self.find_pid = occluders, people, find_pid
        self.probability, self.feather, self.views = probability, feather, views

    def __call__(
        self, image: Tensor, generator: Generator | None = None, pid: Hashable = None
    ) -> Tensor:
        """Stack the image and its occluded copy, (2, 3, H, W), or occlude the image, (3, H, W).

        The image is (3, H, W) floating point in [0, 255], after the crop and before normalisation,
        and is not modified. For generator and pid see :meth:`draw`.

        Raises:
            ValueError: the image is not (3, H, W) floating point, or a person's image cannot be
                read.
        """
        _check_image(image)
        height, width = image.shape[1:]
        views, _ = self.apply(image, self.draw(height, width, generator, pid))
        return views if self.views == 2 else views[1]

    def draw(
        self, height: int, width: int, generator: Generator | None = None, pid: Hashable = None
    ) -> tuple[AnyPlacement, ...]:
        """Draw the occluders of an image of ``height`` x ``width`` pixels, in the order of pasting.

        There are none for an image that stays whole. Without a generator, torch's default one is
        used. The identity ``pid`` of the image is needed if ``rule.people`` is above 0.

        Raises:
            ValueError: an image without pixels, or an identity that is not among the people.
        """
        if self.rule.people and pid is None and self.find_pid is not None:
            pid = self.find_pid()
        covers = torch.rand(1, generator=generator, dtype=torch.float64).item() < self.probability
        sizes = self.occluders.sizes
        placements = self.rule.draw(sizes, height, width, generator, self.people, pid)
        return placements if covers else ()

    def apply(self, image: Tensor, placements: Sequence[AnyPlacement]) -> tuple[Tensor, Tensor]:
        """Paste occluders that ``draw`` returned for this size; return what may change, too.

        The image is (3, H, W) floating point in [0, 255], and is not modified.

        Returns:
            The two views (2, 3, H, W), and the mask (H, W) bool: True where an occluder covers the
            image, wholly or in part. Elsewhere the views are equal.

        Raises:
            ValueError: the image is not (3, H, W) floating point, a placement does not fit the
                image, or a person's image cannot be read.
        """
        _check_image(image)
        height, width = image.shape[1:]
        views = image.expand(2, 3, height, width).contiguous()
        mask = torch.zeros(height, width, dtype=torch.bool)
        for placement in placements:
            if isinstance(placement, Placement):
                patch = _occluder_patch(self.occluders, placement)
            else:
                assert self.people is not None  # a rule with people needs a set of people
                patch = torch.from_numpy(self.people.cut(placement)).permute(2, 0, 1)
            blend(views[1], patch, placement, self.feather)
            region_of(mask[None], placement)[0].logical_or_(support_of(patch))
        return views, mask

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.occluders!r}, probability={self.probability}, "
            f"rule={self.rule}, feather={self.feather}, people={self.people!r}, "
            f"views={self.views})"
        )


def paste(image: Tensor, occluders: OccluderSet, placement: Placement, feather: int = 0) -> Tensor:
    """Cover a copy of an image with an occluder, resized with bicubic weights.

    The image is (3, H, W) floating point in [0, 255]. The placement was drawn for this set and
    image size. ``feather`` is as for :class:`NPOAugmentation`.

    Returns:
        (3, H, W), in [0, 255] where covered and whole grey levels where covered wholly, equal to
        ``image`` elsewhere.

    Raises:
        ValueError: the image is not (3, H, W) floating point, or the placement does not fit.
    """
    _check_image(image)
    occluded = image.clone()
    blend(occluded, _occluder_patch(occluders, placement), placement, feather)
    return occluded


def _check_image(image: Tensor) -> None:
    if image.dim() != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise ValueError(
            "NPO needs a (3, H, W) floating point image in [0, 255], got "
            f"{tuple(image.shape)} of {image.dtype}; try NPO after the step to tensor"
        )


# A patch is (3, h, w) in whole levels, or (4, h, w): colours multiplied by alpha, then alpha.
# ``h, w`` are the sides of the rectangle that a placement covers.


def _occluder_patch(occluders: OccluderSet, placement: Placement) -> Tensor:
    index = placement.occluder
    crop, alpha = occluders.tensor(index), occluders.alpha(index)  # (3, h, w), (h, w)
    if placement.jitter is not None:
        crop = torch.from_numpy(placement.jitter(occluders[index])).permute(2, 0, 1)
    if alpha is not None:
        crop = with_alpha(crop, alpha)
    # NOTE(reference): it resizes through PIL; torch's anti-aliased bicubic differs by at most two
    # grey levels and takes a third of the time. OpenCV's does not anti-alias.
    size = (placement.height, placement.width)
    patch = F.interpolate(crop[None], size, mode="bicubic", antialias=True)[0]
    if alpha is not None:
        patch[:3] = torch.minimum(patch[:3], patch[3])  # bicubic weights overshoot
    return patch.flip(-1) if placement.flip else patch


def with_alpha(colors: Tensor, alpha: Tensor) -> Tensor:
    """Join colours and alpha such that a resize mixes no hidden colour into a visible one.

    The colours (3, h, w) and the alpha (h, w), 255 = opaque, are uint8. The result (4, h, w) uint8
    holds colours multiplied by alpha, then alpha.
    """
    pixels = cv2.cvtColor(colors.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(alpha.numpy(), pixels, 3)
    return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_RGBA2mRGBA)).permute(2, 0, 1)


def support_of(patch: Tensor) -> Tensor:
    """Return (h, w) bool, True where a patch hides something of the image."""
    if len(patch) == 3:
        return torch.ones(patch.shape[1:], dtype=torch.bool)
    return patch[3] > 0


def blend(image: Tensor, patch: Tensor, placement: AnyPlacement, feather: int = 0) -> None:
    """Write a patch (3 or 4, h, w) into an image (3, H, W) floating point in [0, 255], in place.

    Pixels under transparent ones keep their bits. ``feather`` is as for :class:`NPOAugmentation`.

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


def region_of(image: Tensor, placement: AnyPlacement) -> Tensor:
    """Return the part of (C, H, W) that a placement covers, as a view.

    Raises:
        ValueError: the placement does not fit the image.
    """
    bottom, right = placement.top + placement.height, placement.left + placement.width
    if bottom > image.shape[1] or right > image.shape[2]:
        raise ValueError(f"{placement} does not fit an image of {tuple(image.shape[1:])}")
    return image[:, placement.top : bottom, placement.left : right]


def edge_weights(
    support: Tensor, placement: AnyPlacement, image_height: int, image_width: int, feather: int
) -> Tensor:
    """Return weights with which an occluder fades towards its outline, from inside.

    The weight of a pixel is ``d / (feather + 1)``, at most 1 and never 0, with ``d`` the distance
    to the nearest pixel that is not covered. An occluder does not fade where the edge of the image
    cuts it off. ``support`` (h, w), bool, are the covered pixels of the placement's rectangle. The
    result (h, w) is in [0, 1], above 0 exactly on the support.
    """
    covered = np.ones((placement.height + 2, placement.width + 2), dtype=np.uint8)
    covered[1:-1, 1:-1] = support.numpy()
    covered[0] = placement.top == 0
    covered[-1] = placement.top + placement.height == image_height
    covered[1:-1, 0] = placement.left == 0
    covered[1:-1, -1] = placement.left + placement.width == image_width
    distance = cv2.distanceTransform(covered, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    return torch.from_numpy(np.minimum(distance / np.float32(feather + 1), np.float32(1)))
