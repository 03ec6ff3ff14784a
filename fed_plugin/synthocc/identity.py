"""Attributes that identify a drawn person, and families of people who look alike.

Members of one family wear the same three colours; therefore colour alone does not separate them.
Members differ in the arrangement of the colours, and in hair, sleeves, legs, shoes, hats and bags.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from fed_plugin.synthocc.surface import RGB


def stream(seed: int, *key: int | str) -> Generator:
    """Return the random stream of ``key`` under ``seed``, both 0 or more.

    Everything drawn has a stream of its own; therefore process and order do not matter. A key is
    words and integers, such as ``("query", pid, camid, index)``.
    """
    words = [  # Python's own hash() differs between processes
        int.from_bytes(hashlib.sha256(part.encode()).digest()[:4], "little")
        if isinstance(part, str)
        else part
        for part in key
    ]
    return Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=tuple(words))))


FAMILY_SIZE = 4
_LEAST_DIFFERENCES = 4  # least number of different attributes within a family

COLOURS: dict[str, RGB] = {
    "white": (0.93, 0.93, 0.91), "black": (0.10, 0.10, 0.12), "grey": (0.52, 0.53, 0.55),
    "navy": (0.12, 0.17, 0.36), "blue": (0.18, 0.36, 0.74), "sky": (0.50, 0.72, 0.90),
    "teal": (0.10, 0.50, 0.50), "green": (0.18, 0.55, 0.25), "olive": (0.42, 0.43, 0.20),
    "yellow": (0.93, 0.80, 0.22), "orange": (0.91, 0.49, 0.14), "red": (0.79, 0.14, 0.15),
    "wine": (0.44, 0.09, 0.17), "pink": (0.92, 0.56, 0.66), "purple": (0.43, 0.23, 0.57),
    "brown": (0.40, 0.26, 0.16), "sand": (0.79, 0.68, 0.50),
}  # fmt: skip
LEG_COLOURS = ("black", "navy", "grey", "blue", "sand", "olive", "brown", "white", "wine")
SKIN: tuple[RGB, ...] = (
    (0.96, 0.80, 0.70), (0.88, 0.68, 0.54), (0.76, 0.55, 0.40), (0.58, 0.39, 0.27),
    (0.40, 0.26, 0.18),
)  # fmt: skip
HAIR_COLOURS: tuple[RGB, ...] = (
    (0.09, 0.07, 0.07), (0.28, 0.17, 0.10), (0.52, 0.33, 0.17), (0.86, 0.70, 0.40),
    (0.62, 0.25, 0.11), (0.72, 0.72, 0.72),
)  # fmt: skip
PATTERNS = (
    "plain", "hoops", "wide_hoops", "pinstripes", "bars", "checks", "tartan", "dots", "blotches",
    "top_block", "bottom_block", "half", "diagonal", "chest_band", "zigzag", "diamonds",
)  # fmt: skip
LOGOS = ("none", "disc", "square", "triangle", "ring", "cross", "star", "heart", "bars", "bolt")
HAIR = ("bald", "short", "bob", "long", "ponytail", "bun", "curly")
HATS = ("none", "none", "none", "none", "cap", "beanie", "brim")
UPPERS = ("tshirt", "longsleeve", "hoodie", "jacket", "coat", "vest", "dress")
LOWERS = ("trousers", "wide_trousers", "shorts", "skirt", "long_skirt", "leggings")
LEG_PATTERNS = ("plain", "plain", "side_stripe", "bars", "checks", "cuffs")
SHOES = ("sneakers", "boots", "flats")
BAGS = ("none", "none", "backpack", "messenger", "handbag", "tote")


@dataclass(frozen=True)
class Identity:
    """Attributes of a person; two persons of one drawing differ in some attribute.

    ``height`` is in metres. ``girth`` and ``shoulders`` are factors around 1. ``side`` is the
    shoulder or hand that carries the bag: +1 for the person's left, -1 for the right.
    """

    height: float
    girth: float
    shoulders: float
    skin: int
    hair: str
    hair_colour: int
    beard: bool
    hat: str
    upper: str
    upper_colour: str
    accent: str
    pattern: str
    logo: str
    sleeves: str
    lower: str
    lower_colour: str
    lower_pattern: str
    shoes: str
    shoe_colour: str
    bag: str
    bag_colour: str
    side: int
    scarf: bool

    def differences(self, other: Identity) -> int:
        """Count the attributes in which two people differ; the three sizes do not count."""
        return sum(getattr(self, f.name) != getattr(other, f.name) for f in fields(self)[3:])


def draw_identities(seed: int, group: str, count: int) -> list[Identity]:
    """Draw ``count`` people in families of look-alikes; groups have independent families."""
    people: list[Identity] = []
    while len(people) < count:
        rng = stream(seed, "family", group, len(people) // FAMILY_SIZE)
        people += _family(rng, min(FAMILY_SIZE, count - len(people)))
    return people


def _family(rng: Generator, size: int) -> list[Identity]:
    upper, accent = (str(c) for c in rng.choice(list(COLOURS), 2, replace=False))
    while np.abs(np.subtract(COLOURS[upper], COLOURS[accent])).sum() < 0.7:
        accent = str(rng.choice(list(COLOURS)))
    lower = str(rng.choice(LEG_COLOURS))
    members: list[Identity] = []
    while len(members) < size:
        new = _member(rng, upper, accent, lower)
        # People must differ from every side; therefore pattern and logo may not both agree.
        if all(
            new.differences(old) >= _LEAST_DIFFERENCES
            and (new.pattern, new.logo) != (old.pattern, old.logo)
            for old in members
        ):
            members.append(new)
    return members


def _member(rng: Generator, upper: str, accent: str, lower: str) -> Identity:
    def pick(options: tuple[str, ...]) -> str:
        return str(options[int(rng.integers(len(options)))])

    hat = pick(HATS)
    hair = pick(HAIR if hat == "none" else ("short", "bob", "long", "ponytail"))
    garment = pick(UPPERS)
    legs = LOWERS if garment != "coat" else ("trousers", "wide_trousers", "leggings")
    pattern = pick(PATTERNS) if rng.random() < 0.72 else "plain"
    return Identity(
        height=float(rng.uniform(1.56, 1.92)),
        girth=float(rng.uniform(0.88, 1.22)),
        shoulders=float(rng.uniform(0.9, 1.1)),
        skin=int(rng.integers(len(SKIN))),
        hair=hair,
        hair_colour=int(rng.integers(len(HAIR_COLOURS))),
        beard=bool(hair in ("bald", "short") and rng.random() < 0.35),
        hat=hat,
        upper=garment,
        upper_colour=upper,
        accent=accent,
        pattern=pattern,
        logo=pick(LOGOS[1:]) if pattern == "plain" else "none",
        sleeves=pick(("short", "long")) if garment in ("tshirt", "dress") else "long",
        lower=pick(legs),
        lower_colour=lower,
        lower_pattern=pick(LEG_PATTERNS),
        shoes=pick(SHOES),
        shoe_colour=pick(("white", "black", "brown", "red", "blue", "grey", "yellow")),
        bag=pick(BAGS),
        bag_colour=pick(("black", "red", "brown", "green", "yellow", "blue", "grey")),
        side=int(rng.choice((-1, 1))),
        scarf=bool(rng.random() < 0.12),
    )
