"""How far a file's answers are from the model's, on random and on drawn images.

Shape shorthand: ``B`` images, ``H, W`` height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from fed_plugin.datasets.synthocc.build import take
from fed_plugin.datasets.synthocc.plan import QUERY, SIZES, plan
from fed_plugin.fastreid_adapter.description import describe_images
from fed_plugin.fastreid_adapter.exporting.graph import DESCRIPTOR, VISIBILITY

LIMIT = 1e-4
"""Greatest difference of a float32 file from the model, in any number it answers."""

BATCHES = (1, 3, 8)

Answers = dict[str, NDArray[np.float32]]
Describe = Callable[[NDArray[np.uint8]], Answers]


@dataclass(frozen=True)
class Difference:
    """Hold how far a file is from the model on one kind of images.

    Attributes:
        images: ``random`` or ``drawn``.
        greatest: absolute difference over all batches and outputs; NaN if a number is none.
        cosine: smallest, of a file's descriptor and the model's.
    """

    images: str
    greatest: float
    cosine: float


def model_answers(model: nn.Module, flip: bool) -> Describe:
    """Return what the evaluation itself computes, not the graph that was exported."""

    @torch.no_grad()
    def describe(images: NDArray[np.uint8]) -> Answers:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        said = describe_images(model, planes, flip)
        answers = {DESCRIPTOR: F.normalize(said["features"].float()).numpy()}
        if "visibility" in said:
            answers[VISIBILITY] = said["visibility"].numpy()
        return answers

    return describe


def differences(file: Describe, model: Describe, size: tuple[int, int]) -> list[Difference]:
    """Hold a file against the model, in batches of 1, 3 and 8.

    Args:
        file: what runs the file.
        model: what says how it should be.
        size: (H, W).

    Raises:
        ValueError: The file has other outputs than the model, or of other shapes.
    """
    found = []
    for name, images in (("random", random_images(size)), ("drawn", drawn_images(size))):
        gaps, cosines = [], []
        start = 0
        for count in BATCHES:
            batch = np.ascontiguousarray(images[start : start + count])
            start += count
            got, expected = file(batch), model(batch)
            gaps.append(_gap(got, expected))
            cosines.append((got[DESCRIPTOR] * expected[DESCRIPTOR]).sum(axis=1).min())
        found.append(Difference(name, float(np.max(gaps)), float(np.min(cosines))))
    return found


def _gap(got: Mapping[str, NDArray[np.float32]], expected: Answers) -> float:
    shapes = [{name: array.shape for name, array in said.items()} for said in (got, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the written file answers {shapes[0]}, expected {shapes[1]}")
    return float(np.max([np.abs(got[name] - expected[name]).max() for name in expected]))


def random_images(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (12, H, W, 3) uint8 of noise, the first black and the last white."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (sum(BATCHES), *size, 3), dtype=np.uint8)
    images[0], images[-1] = 0, 255
    return images


def drawn_images(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (12, H, W, 3) uint8 of drawn people, half of them occluded."""
    height, width = size
    people = (Image.fromarray(pixels) for pixels in _drawn_people())
    return np.stack([np.asarray(person.resize((width, height))) for person in people])


@lru_cache(maxsize=1)
def _drawn_people() -> tuple[NDArray[np.uint8], ...]:
    shots = plan(SIZES["tiny"], 0)
    half = sum(BATCHES) // 2
    occluded = islice((shot for shot in shots if shot.split == QUERY), half)
    whole = islice((shot for shot in shots if shot.split != QUERY), 0, None, 8)
    chosen = [*islice(whole, half), *occluded]
    return tuple(take("tiny", 0, shot).pixels for shot in chosen)
