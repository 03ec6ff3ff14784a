"""Rules of placement, the reference's and others, and their drawing.

All random numbers of an image are drawn before any decision. Their count depends on the rule alone.
Therefore one image never shifts the draws of the next image.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fed_plugin.transforms.people import PeopleSet
from fed_plugin.transforms.placement import (
    AnyPlacement,
    PersonPlacement,
    Placement,
    Sizes,
    between,
    check_sizes,
    draw_placement,
    jitter_from,
    place_by_reference,
)

PLACEMENTS = ("reference", "free")
MOST_OCCLUDERS = 50
"""Limit for one image: more occluders leave nothing to see and cost time."""

Range = tuple[float, float]

_DRAWS_PER_OCCLUDER = 11


@dataclass(frozen=True)
class PlacementRule:
    """Places, sizes and number of occluders, and the share of people among occluders.

    The defaults are the reference: one obstacle in a corner, with the size of ``draw_placement``.
    Every (low, high) includes both ends; values between the ends are equally likely.

    Args:
        placement: ``"reference"``, or ``"free"`` for any place inside the image.
        height: shares of the image's height that an obstacle covers; for ``"free"`` alone. Height
            and width are drawn apart and stretch the crop, as the reference does.
        width: shares of the image's width, likewise.
        count: number of occluders of a covered image; later ones lie on earlier ones.
        people: share of occluders that are other people, in [0, 1].
        people_scale: size of the other person's image over the size of the image, in (0, 4].
        people_height: visible shares of the other person's image, from the head down. The edges of
            the image cut the person off.
        people_width: visible shares from the left or from the right.

    Raises:
        ValueError: a value outside its range; the message begins with ``name=value``.
    """

    placement: str = "reference"
    height: Range = (0.25, 0.5)
    width: Range = (0.5, 1.0)
    count: tuple[int, int] = (1, 1)
    people: float = 0.0
    people_scale: Range = (0.75, 1.25)
    people_height: Range = (0.4, 0.8)
    people_width: Range = (0.4, 0.8)

    def __post_init__(self) -> None:
        if self.placement not in PLACEMENTS:
            self._refuse("placement", f"one of {', '.join(map(repr, PLACEMENTS))}")
        for side in ("height", "width"):
            self._check_range(side, 1, f"shares of the image's {side}")
            default = getattr(PlacementRule, side)
            if self.placement == "reference" and getattr(self, side) != default:
                fixed = "as the reference's sizes are fixed; try placement 'free'"
                self._refuse(side, f"{default}, {fixed}")
        whole = len(self.count) == 2 and all(type(number) is int for number in self.count)
        if not whole or not 1 <= self.count[0] <= self.count[1] <= MOST_OCCLUDERS:
            limits = f"1 <= low <= high <= {MOST_OCCLUDERS}"
            self._refuse("count", f"(low, high), whole numbers with {limits}")
        if not _is_number(self.people) or not 0 <= self.people <= 1:
            self._refuse("people", "a share in [0, 1]")
        self._check_range("people_scale", 4, "sizes over that of the image")
        for name in ("people_height", "people_width"):
            self._check_range(name, 1, "shares of the other person's image")

    def _check_range(self, name: str, highest: int, meaning: str) -> None:
        value = getattr(self, name)
        is_range = len(value) == 2 and all(map(_is_number, value))
        if not is_range or not 0 < value[0] <= value[1] <= highest:
            self._refuse(name, f"(low, high), {meaning}, with 0 < low <= high <= {highest}")

    def _refuse(self, name: str, expected: str) -> None:
        raise ValueError(f"{name}={getattr(self, name)!r}: expected {expected}")

    @property
    def is_reference(self) -> bool:
        """True for one obstacle by the reference's rules, which ``draw_placement`` draws."""
        return self.placement == "reference" and self.count == (1, 1) and not self.people

    def most_shown(self, size: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
        """Return the most rows and columns of a pasted obstacle; both sizes are (height, width)."""
        height, width = image
        if self.placement == "free":
            height, width = round(self.height[1] * height), round(self.width[1] * width)
        elif size[0] > 2 * size[1]:
            width //= 2
        else:
            height //= 2
        return max(1, height), max(1, width)

    def draw(
        self,
        sizes: Sizes,
        image_height: int,
        image_width: int,
        generator: torch.Generator | None = None,
        people: PeopleSet | None = None,
        pid: Hashable = None,
    ) -> tuple[AnyPlacement, ...]:
        """Draw the occluders of one image.

        Each call takes one ``torch.rand``: nine numbers for the reference, else one number, and
        eleven for each of the most occluders of the rule. Arguments are those of
        :func:`draw_placement`, and the people who may stand before the person, needed if the rule
        has a share of people; no drawn person has the identity ``pid`` of the image.

        Raises:
            ValueError: no obstacle, an image without pixels, or an identity not among the people.
        """
        if self.is_reference:
            return (draw_placement(sizes, image_height, image_width, generator),)
        check_sizes(sizes, image_height, image_width)
        low, high = self.count
        amount = 1 + high * _DRAWS_PER_OCCLUDER
        first, *numbers = torch.rand(amount, generator=generator, dtype=torch.float64).tolist()
        placements: list[AnyPlacement] = []
        for index in range(between(low, high, first)):
            draws = numbers[index * _DRAWS_PER_OCCLUDER :][:_DRAWS_PER_OCCLUDER]
            if people is not None and draws[10] < self.people:
                person = people.other_than(pid, draws[0])
                placements.append(self._place_person(person, image_height, image_width, draws))
            elif self.placement == "free":
                placements.append(self._place_freely(len(sizes), image_height, image_width, draws))
            else:
                placements.append(place_by_reference(sizes, image_height, image_width, draws))
        return tuple(placements)

    def _place_freely(
        self, count: int, image_height: int, image_width: int, draws: Sequence[float]
    ) -> Placement:
        # the order of the draws is the reference's, with the width last
        height = _extent(self.height, image_height, draws[2])
        width = _extent(self.width, image_width, draws[9])
        top = int(draws[3] * (image_height - height + 1))
        left = int(draws[4] * (image_width - width + 1))
        occluder, flip = int(draws[0] * count), draws[1] < 0.5
        return Placement(occluder, flip, top, left, height, width, jitter_from(draws))

    def _place_person(
        self, person: int, image_height: int, image_width: int, draws: Sequence[float]
    ) -> PersonPlacement:
        # the lower edge and the left or the right edge of the image cut the person off
        low, high = self.people_scale
        scale = low + draws[3] * (high - low)
        frame_height = max(1, round(scale * image_height))
        frame_width = max(1, round(scale * image_width))
        height = min(image_height, _extent(self.people_height, frame_height, draws[2]))
        width = min(image_width, _extent(self.people_width, frame_width, draws[9]))
        flip, top, at_left = draws[1] < 0.5, image_height - height, draws[4] < 0.5
        left, frame_left = (0, frame_width - width) if at_left else (image_width - width, 0)
        frame = frame_height, frame_width, 0, frame_left
        return PersonPlacement(person, flip, top, left, height, width, *frame)


def _extent(shares: Range, side: int, draw: float) -> int:
    return between(round(shares[0] * side), round(shares[1] * side), draw)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
