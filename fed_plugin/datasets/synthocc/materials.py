"""What cloth looks like: colours, patterns and logos, as functions of the place on the cloth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fed_plugin.datasets.synthocc.surface import Array, Spots

RGB = tuple[float, float, float]

PATTERNS = (
    "plain",
    "hoops",
    "wide_hoops",
    "pinstripes",
    "bars",
    "checks",
    "tartan",
    "dots",
    "blotches",
    "top_block",
    "bottom_block",
    "half",
    "diagonal",
    "chest_band",
    "zigzag",
    "diamonds",
)
LOGOS = ("none", "disc", "square", "triangle", "ring", "cross", "star", "heart", "bars", "bolt")


@dataclass(frozen=True)
class Cloth:
    """Describe one garment's surface; calling it with spots gives their colours.

    Args:
        base: main colour, RGB in [0, 1].
        accent: second colour.
        pattern: one of ``PATTERNS``.
        logo: one of ``LOGOS``, drawn in the accent colour (on plain cloth) or in ``ink``.
        ink: the logo's colour.
        logo_front: whether the chest carries the logo.
        logo_back: whether the back carries it.
        logo_at: metres from the top of the garment to the logo's centre.
        logo_size: metres from the logo's centre to its edge.
        trim: share of the garment's end that has the accent colour (cuffs, hems).
        belt: metres of dark belt at the top.
        split: metres from the top where ``top_block`` and ``bottom_block`` change colour.
        zip_line: whether a zip runs down the front.
        seam: whether an accent stripe runs down both sides.
    """

    base: RGB
    accent: RGB = (1.0, 1.0, 1.0)
    pattern: str = "plain"
    logo: str = "none"
    ink: RGB = (1.0, 1.0, 1.0)
    logo_front: bool = True
    logo_back: bool = True
    logo_at: float = 0.24
    logo_size: float = 0.1
    trim: float = 0.0
    belt: float = 0.0
    split: float = 0.3
    zip_line: bool = False
    seam: bool = False

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        share = pattern_share(self.pattern, spots, self.split)[:, None]
        colour = np.asarray(self.base) * (1 - share) + np.asarray(self.accent) * share
        if self.trim:
            colour[spots.u > 1 - self.trim] = self.accent
        if self.belt:
            colour[spots.along < self.belt] = (0.12, 0.09, 0.07)
        if self.zip_line:
            colour[(np.abs(spots.arc) < 0.008)] = np.asarray(self.base) * 0.45
        if self.seam:
            colour[np.abs(np.cos(spots.angle)) < 0.34] = self.accent
        if self.logo != "none":
            colour[self._logo_mask(spots)] = self.ink
        return colour

    def _logo_mask(self, spots: Spots) -> Array:
        ahead = np.abs(spots.angle) < np.pi / 2
        side = np.where(ahead, self.logo_front, self.logo_back)
        x = np.where(ahead, spots.across, -spots.across) / self.logo_size
        y = (self.logo_at - spots.along) / self.logo_size
        return logo_mask(self.logo, x, y) & side


def pattern_share(pattern: str, spots: Spots, split: float) -> Array:
    """Return how much accent colour each place has.

    Args:
        pattern: one of ``PATTERNS``.
        spots: N places.
        split: metres from the top where block patterns change.

    Returns:
        (N,) in [0, 1].
    """
    along, arc = spots.along, spots.arc
    if pattern in ("tartan", "blotches"):
        return _woven(along, arc) if pattern == "tartan" else _blotches(along, arc)
    masks = {
        "plain": lambda: np.zeros(along.shape, dtype=bool),
        "hoops": lambda: along % 0.096 < 0.048,
        "wide_hoops": lambda: (along + 0.06) % 0.21 < 0.105,
        "pinstripes": lambda: (arc + 0.016) % 0.085 < 0.032,
        "bars": lambda: (arc + 0.05) % 0.2 < 0.1,
        "checks": lambda: (along % 0.13 < 0.065) ^ ((arc + 0.033) % 0.13 < 0.065),
        "dots": lambda: _dots(along, arc),
        "top_block": lambda: along < split,
        "bottom_block": lambda: along >= split,
        "half": lambda: spots.across > 0,
        "diagonal": lambda: (along + arc * 0.9) % 0.16 < 0.065,
        "chest_band": lambda: np.abs(along - split * 0.9) < 0.065,
        "zigzag": lambda: (along + 0.7 * np.abs(arc % 0.1 - 0.05)) % 0.12 < 0.05,
        "diamonds": lambda: np.abs(along % 0.16 - 0.08) + np.abs(arc % 0.13 - 0.065) < 0.055,
    }
    return masks[pattern]().astype(np.float64)


def _dots(along: Array, arc: Array) -> Array:
    row = np.floor(along / 0.075)
    x = (arc + 0.045 * (row % 2)) % 0.09 - 0.045
    return np.hypot(x, along % 0.075 - 0.0375) < 0.026


def _woven(along: Array, arc: Array) -> Array:
    down = (along % 0.12 < 0.05).astype(float)
    round_ = ((arc + 0.02) % 0.12 < 0.05).astype(float)
    return 0.5 * (down + round_)


def _blotches(along: Array, arc: Array) -> Array:
    waves = np.sin(along * 41 + 2.1 * np.sin(arc * 29)) + np.sin(
        arc * 37 + 1.7 * np.sin(along * 31)
    )
    return (waves > 0.25).astype(np.float64)


def logo_mask(logo: str, x: Array, y: Array) -> Array:
    """Return where a logo of half size 1 around (0, 0) has ink; y points up."""
    r, box = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y))
    turn = np.arctan2(x, y)
    masks = {
        "disc": lambda: r < 0.95,
        "square": lambda: box < 0.82,
        "triangle": lambda: (y > -0.75) & (np.abs(x) < (0.95 - y) * 0.58),
        "ring": lambda: (r < 1.05) & (r > 0.58),
        "cross": lambda: (box < 1.0) & (np.minimum(np.abs(x), np.abs(y)) < 0.3),
        "star": lambda: _star(r, turn),
        "heart": lambda: (x**2 + (y * 1.05 - 0.62 * np.sqrt(np.abs(x))) ** 2) < 0.72,
        "bars": lambda: (
            (np.abs(x) < 1.15) & (np.abs(y) < 0.95) & (np.floor(y * 2.6 + 0.5) % 2 == 0)
        ),
        "bolt": lambda: (np.abs(x + 0.5 * y - 0.45 * np.sign(y)) < 0.36) & (np.abs(y) < 1.1),
    }
    return masks[logo]()


def _star(r: Array, turn: Array) -> Array:
    tip, dent, fold = 1.15, 0.5, np.pi / 5
    angle = np.abs((turn + fold) % (2 * fold) - fold)
    x, y = r * np.cos(angle), r * np.sin(angle)
    edge = dent * np.cos(fold) - tip, dent * np.sin(fold)
    return edge[0] * y - edge[1] * (x - tip) > 0


def shaded(colour: RGB, factor: float) -> RGB:
    """Return a darker (factor < 1) or lighter colour, kept in [0, 1]."""
    r, g, b = (min(max(c * factor, 0.0), 1.0) for c in colour)
    return (r, g, b)


@dataclass(frozen=True)
class Flat:
    """Paint one colour, with a second one where the surface looks down (``sole``) or at its end."""

    colour: RGB
    sole: RGB | None = None
    tip: RGB | None = None

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        colour = np.empty((len(spots.u), 3))
        colour[:] = self.colour
        if self.sole is not None:
            colour[np.abs(spots.angle) > 2.0] = self.sole
        if self.tip is not None:
            colour[spots.u > 0.8] = self.tip
        return colour
