"""Cameras: where they hang, what light they get, and what they do to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fed_plugin.datasets.synthocc.figure import Light
from fed_plugin.datasets.synthocc.materials import RGB
from fed_plugin.datasets.synthocc.surface import Array


@dataclass(frozen=True)
class Camera:
    """Describe one camera.

    Args:
        scene: what stands behind people, a key of ``scenes.SCENES``.
        floor: share of the picture's height at which wall and floor meet.
        pitch: how far it looks down, radians.
        lamp: direction of the light (x right, y up, z towards the camera), any length.
        ambient: share of light from everywhere.
        key: strength of the light from ``lamp``.
        gain: factors on linear red, green and blue: the colour cast.
        gamma: below 1 darkens middle tones, above 1 lightens them.
        colour: saturation, 1 = as drawn.
        haze: share of grey veil.
        blur: standard deviation of the lens, pixels of the final image.
        noise: standard deviation of the sensor, in [0, 1].
        fill: least and greatest share of the picture's height that a person takes.
        path: direction in which most people walk, radians; 0 = towards the camera.
        quality: of the JPEG files.
    """

    scene: str
    floor: float
    pitch: float
    lamp: tuple[float, float, float]
    ambient: float
    key: float
    gain: RGB
    gamma: float
    colour: float
    haze: float
    blur: float
    noise: float
    fill: tuple[float, float]
    path: float
    quality: int

    def light(self) -> Light:
        """Return the light that falls on people."""
        lamp = np.asarray(self.lamp)
        return Light(lamp / np.linalg.norm(lamp), self.ambient, self.key)

    def expose(self, picture: Array, rng: np.random.Generator) -> Array:
        """Turn what is there into what this camera records.

        Args:
            picture: (H, W, 3) in [0, 1].
            rng: source of exposure, flicker and noise.

        Returns:
            (H, W, 3) uint8.
        """
        light = np.clip(picture, 0, 1) ** 2.2
        gain = np.asarray(self.gain) * rng.normal(1.0, 0.04, 3) * rng.uniform(0.85, 1.15)
        light = _blurred(light * gain * _falloff(picture.shape, rng), self.blur)
        seen = np.clip(light, 0, 1) ** (1 / (2.2 * self.gamma))
        grey = seen @ np.array([0.3, 0.59, 0.11])
        seen = grey[..., None] + (seen - grey[..., None]) * self.colour
        seen = seen * (1 - self.haze) + self.haze * 0.8
        seen += rng.normal(0.0, self.noise, picture.shape)
        return (np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8)


def _falloff(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return a slow change of light over the picture, (H, W, 1) around 1."""
    y = np.linspace(-1, 1, shape[0])[:, None, None]
    x = np.linspace(-1, 1, shape[1])[None, :, None]
    slope = rng.uniform(-0.16, 0.16, 2)
    return 1 + slope[0] * x + slope[1] * y


def _blurred(picture: Array, sigma: float) -> Array:
    reach = max(int(np.ceil(2.5 * sigma)), 1)
    at = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (at / max(sigma, 1e-3)) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(picture, pad, mode="edge")
        length = picture.shape[axis]
        slices = (wide.take(range(i, i + length), axis=axis) for i in range(2 * reach + 1))
        picture = sum(w * s for w, s in zip(weights, slices, strict=True))
    return picture
