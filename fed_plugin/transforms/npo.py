"""NPO augmentation: an obstacle over a copy of the image, drawn first and applied after.

``draw_placement`` decides everything from the sizes alone, ``paste`` and ``occlusion_mask`` only
carry it out: the picture and its mask agree by construction.

Source: FED-Occluded-ReID@4a63184, behaviour as measured; no line of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fed_plugin.transforms.occluders import OccluderSet
from fed_plugin.transforms.placement import Placement, draw_placement

# torch narrows uint8 with anti-aliased bicubic weights since 2.1; before, through float
_RESIZES_BYTES = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 1)


def paste(image: Tensor, occluders: OccluderSet, placement: Placement) -> Tensor:
    """Cover a copy of an image with an occluder, opaque, resized with bicubic weights.

    Args:
        image: (3, H, W) floating point in [0, 255]; not modified.
        occluders: the set that ``placement.occluder`` indexes.
        placement: what ``draw_placement`` returned for this set and image size.

    Returns:
        (3, H, W), whole grey levels in [0, 255] where covered, equal to ``image`` elsewhere.

    Raises:
        ValueError: the image is not (3, H, W) floating point, or the placement does not fit it.
    """
    _check_image(image)
    occluded = image.clone()
    _paste_onto(occluded, occluders, placement)
    return occluded


class NPOAugmentation:
    """Return an image and an occluded copy of it.

    Each call takes one ``torch.rand(1)`` for the probability, then the nine numbers of
    ``draw_placement``, also when nothing is pasted. It holds no random state: the default
    generator of torch, which loaders seed per worker, makes it reproducible.

    Args:
        occluders: what to paste.
        probability: share of images that get an occluder, in [0, 1]; the reference covers all.
            The views of an image that gets none are equal.

    Raises:
        ValueError: a probability outside [0, 1].
    """

    def __init__(self, occluders: OccluderSet, probability: float = 1.0) -> None:
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"expected a probability in [0, 1], got {probability}")
        self.occluders = occluders
        self.probability = probability

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Stack the image and its occluded copy.

        Args:
            image: (3, H, W) floating point in [0, 255], after the crop and before normalisation;
                not modified.
            generator: source of randomness; torch's default one if None.

        Returns:
            (2, 3, H, W): holistic first, occluded second.

        Raises:
            ValueError: the image is not (3, H, W) floating point.
        """
        _check_image(image)
        height, width = image.shape[1:]
        covers = torch.rand(1, generator=generator, dtype=torch.float64).item() < self.probability
        placement = draw_placement(self.occluders.sizes, height, width, generator)
        views = image.expand(2, 3, height, width).contiguous()
        if covers:
            _paste_onto(views[1], self.occluders, placement)
        return views

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.occluders!r}, probability={self.probability})"


def _check_image(image: Tensor) -> None:
    if image.dim() != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise ValueError(
            "NPO needs a (3, H, W) floating point image in [0, 255], got "
            f"{tuple(image.shape)} of {image.dtype}; it comes after the step to tensor"
        )


def _paste_onto(image: Tensor, occluders: OccluderSet, placement: Placement) -> None:
    """Write the resized occluder into ``image``, which is the caller's own copy."""
    bottom, right = placement.top + placement.height, placement.left + placement.width
    if bottom > image.shape[1] or right > image.shape[2]:
        raise ValueError(f"{placement} does not fit an image of {tuple(image.shape[1:])}")
    crop = occluders.tensor(placement.occluder)  # (3, h, w)
    if placement.jitter is not None:
        jittered = placement.jitter(occluders[placement.occluder])
        crop = torch.from_numpy(jittered).permute(2, 0, 1)
    patch = _resize(crop, placement.height, placement.width)
    image[:, placement.top : bottom, placement.left : right] = (
        patch.flip(-1) if placement.flip else patch
    )


def _resize(crop: Tensor, height: int, width: int) -> Tensor:
    """Resize (3, h, w) uint8 with PIL's bicubic weights, to whole levels in [0, 255].

    NOTE(reference): it resizes through PIL; torch's anti-aliased bicubic differs by at most two
    grey levels and takes a third of the time. OpenCV's does not anti-alias.
    """
    if _RESIZES_BYTES:
        return F.interpolate(crop[None], (height, width), mode="bicubic", antialias=True)[0]
    pixels = crop[None].float()
    for size in ((crop.shape[1], width), (height, width)):  # rounded in between, as PIL does
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).round_().clamp_(0, 255)
    return pixels[0]
