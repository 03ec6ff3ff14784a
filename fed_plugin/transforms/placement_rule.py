"""Placement beyond the reference: what the keys of ``INPUT.NPO`` ask for, and its drawing.

Every number is drawn before anything is decided and their count depends on the rule alone, so that
what happens to one image never shifts the draws of the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fed_plugin.transforms.people import PeopleSet
from fed_plugin.transforms.placement import (
    PersonPlacement,
    Placement,
    between,
    draw_placement,
    jitter_from,
    place_by_reference,
)

PLACEMENTS = ("reference", "free")
MOST_OCCLUDERS = 50
"""Of one image: more leave nothing to see, and each takes its share of a millisecond."""

Range = tuple[float, float]

_DRAWS_PER_OCCLUDER = 11
_SHARE_OF_HEIGHT = "shares of the image's height"
_SHARE_OF_WIDTH = "shares of the image's width"


@dataclass(frozen=True)
class PlacementRule:
    """Say where occluders may go, how large they are, how many, and how many of them are people.

    The defaults are the reference: one obstacle, in a corner, its size as ``draw_placement`` says.
    Every (low, high) includes both ends; values between them are equally likely.

    Args:
        placement: ``"reference"``, or ``"free"`` for any place inside the image.
        height: shares of the image's height that an obstacle covers; only ``"free"`` reads it.
        width: shares of the image's width, likewise and drawn apart: the crop is stretched, as by
            the reference. Visibility is told per stripe of the height, so height is set directly.
        count: how many occluders a covered image gets; later ones lie on earlier ones.
        people: share of occluders that are other people, in [0, 1].
        people_scale: size of the other person's image over that of the image, in (0, 4].
        people_height: shares of the other person's image, from the head down, that show; it stands
            at the lower edge of the image and is cut off by it.
        people_width: shares that show from the left or from the right; cut off by that edge.

    Raises:
        ValueError: a value outside its range, named by its config key.
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
            _refuse("PLACEMENT", self.placement, f"one of {', '.join(map(repr, PLACEMENTS))}")
        _check_range("HEIGHT", self.height, 1, _SHARE_OF_HEIGHT)
        _check_range("WIDTH", self.width, 1, _SHARE_OF_WIDTH)
        if self.placement == "reference":
            for key, value in (("HEIGHT", self.height), ("WIDTH", self.width)):
                default = getattr(PlacementRule, key.lower())
                if value != default:
                    _refuse(
                        key,
                        value,
                        f"{default}, as the reference's sizes are fixed; "
                        "try INPUT.NPO.PLACEMENT free",
                    )
        _check_count(self.count)
        if not _is_number(self.people) or not 0 <= self.people <= 1:
            _refuse("PEOPLE.PROB", self.people, "a share in [0, 1]")
        _check_range("PEOPLE.SCALE", self.people_scale, 4, "sizes over that of the image")
        for key, value in (("HEIGHT", self.people_height), ("WIDTH", self.people_width)):
            _check_range(f"PEOPLE.{key}", value, 1, "shares of the other person's image")

    @property
    def is_reference(self) -> bool:
        """Whether it is one obstacle by the reference's rules, drawn by ``draw_placement``."""
        return self.placement == "reference" and self.count == (1, 1) and not self.people

    def most_shown(self, size: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
        """Return the most rows and columns that an obstacle is ever pasted with.

        Args:
            size: (height, width) of the obstacle.
            image: (height, width) of the images.
        """
        height, width = image
        if self.placement == "free":
            height, width = (
                round(shares[1] * side)
                for shares, side in ((self.height, height), (self.width, width))
            )
        elif size[0] > 2 * size[1]:
            width //= 2
        else:
            height //= 2
        return max(1, height), max(1, width)

    def draw(
        self,
        sizes: Sequence[tuple[int, int]],
        image_height: int,
        image_width: int,
        generator: torch.Generator | None = None,
        people: PeopleSet | None = None,
        pid: Hashable = None,
    ) -> tuple[Placement | PersonPlacement, ...]:
        """Draw the occluders of one image.

        One ``torch.rand`` is taken per call: nine numbers for the reference, else one and eleven
        for each occluder that there might be.

        Args:
            sizes: (height, width) of every obstacle, at least one.
            image_height: rows of the image to cover.
            image_width: columns of the image to cover.
            generator: source of randomness; torch's default one if None.
            people: who may stand before the person; needed if ``people`` is above 0.
            pid: identity of the image, which none of the people drawn has.

        Raises:
            ValueError: no obstacle, an image without pixels, or an identity not among the people.
        """
        if self.is_reference:
            return (draw_placement(sizes, image_height, image_width, generator),)
        if not sizes or image_height < 1 or image_width < 1:
            raise ValueError(
                f"expected occluders and an image of at least 1 x 1, got {len(sizes)} occluders "
                f"and {image_height} x {image_width}"
            )
        low, high = self.count
        numbers = torch.rand(
            1 + high * _DRAWS_PER_OCCLUDER, generator=generator, dtype=torch.float64
        ).tolist()
        placements: list[Placement | PersonPlacement] = []
        for index in range(between(low, high, numbers[0])):
            start = 1 + index * _DRAWS_PER_OCCLUDER
            draws = numbers[start : start + _DRAWS_PER_OCCLUDER]
            if people is not None and draws[10] < self.people:
                person = people.other_than(pid, draws[0])
                placements.append(self._place_person(person, image_height, image_width, draws))
            elif self.placement == "free":
                placements.append(self._place_freely(sizes, image_height, image_width, draws))
            else:
                placements.append(place_by_reference(sizes, image_height, image_width, draws))
        return tuple(placements)

    def _place_freely(
        self,
        sizes: Sequence[tuple[int, int]],
        image_height: int,
        image_width: int,
        draws: Sequence[float],
    ) -> Placement:
        """Read the draws in the reference's order, the width last."""
        height = _extent(self.height, image_height, draws[2])
        width = _extent(self.width, image_width, draws[9])
        return Placement(
            occluder=int(draws[0] * len(sizes)),
            flip=draws[1] < 0.5,
            top=int(draws[3] * (image_height - height + 1)),
            left=int(draws[4] * (image_width - width + 1)),
            height=height,
            width=width,
            jitter=jitter_from(draws),
        )

    def _place_person(
        self, person: int, image_height: int, image_width: int, draws: Sequence[float]
    ) -> PersonPlacement:
        """Stand a person at the lower edge, cut off by it and by the left or the right edge."""
        low, high = self.people_scale
        scale = low + draws[3] * (high - low)
        frame_height = max(1, round(scale * image_height))
        frame_width = max(1, round(scale * image_width))
        height = min(image_height, _extent(self.people_height, frame_height, draws[2]))
        width = min(image_width, _extent(self.people_width, frame_width, draws[9]))
        at_left = draws[4] < 0.5
        return PersonPlacement(
            person=person,
            flip=draws[1] < 0.5,
            top=image_height - height,
            left=0 if at_left else image_width - width,
            height=height,
            width=width,
            frame_height=frame_height,
            frame_width=frame_width,
            frame_top=0,
            frame_left=frame_width - width if at_left else 0,
        )


def _extent(shares: Range, side: int, draw: float) -> int:
    return between(round(shares[0] * side), round(shares[1] * side), draw)


def _check_range(key: str, value: Sequence[Any], highest: int, what: str) -> None:
    is_range = len(value) == 2 and all(map(_is_number, value))
    if not is_range or not 0 < value[0] <= value[1] <= highest:
        _refuse(key, value, f"(low, high), {what}, with 0 < low <= high <= {highest}")


def _check_count(value: Sequence[Any]) -> None:
    is_range = len(value) == 2 and all(type(number) is int for number in value)
    if not is_range or not 1 <= value[0] <= value[1] <= MOST_OCCLUDERS:
        expected = f"(low, high), whole numbers with 1 <= low <= high <= {MOST_OCCLUDERS}"
        _refuse("COUNT", value, expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse(key: str, value: Any, expected: str) -> None:
    raise ValueError(f"INPUT.NPO.{key}={value!r}: expected {expected}")
