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
        picture = sum(w * s for w, s in zip(weights, slices, strict=True))  # type: ignore[assignment]
    return picture


CAMERAS: tuple[Camera, ...] = (
    Camera("street", 0.66, 0.12, (-0.7, 0.8, 0.6), 0.55, 0.6, (1.12, 1.0, 0.84), 1.0, 1.0,
           0.0, 0.45, 0.012, (0.86, 0.96), 0.0, 92),
    Camera("corridor", 0.68, 0.22, (0.0, 1.0, 0.3), 0.7, 0.3, (0.62, 0.92, 0.62), 1.05, 0.85,
           0.08, 0.6, 0.022, (0.88, 0.98), 0.0, 86),
    Camera("park", 0.62, 0.08, (0.9, 0.35, 0.3), 0.42, 0.8, (1.3, 0.86, 0.46), 0.95, 1.05,
           0.03, 0.5, 0.014, (0.82, 0.93), 1.57, 90),
    Camera("shops", 0.70, 0.16, (-0.3, 0.3, 0.9), 0.5, 0.55, (0.6, 0.82, 1.35), 0.95, 1.0,
           0.0, 0.55, 0.016, (0.86, 0.96), 1.57, 90),
    Camera("garage", 0.64, 0.28, (0.5, 0.9, -0.2), 0.5, 0.5, (0.72, 0.46, 0.16), 0.95, 0.85,
           0.05, 0.8, 0.03, (0.84, 0.96), 0.6, 80),
    Camera("plaza", 0.58, 0.3, (0.2, 1.0, 0.5), 0.75, 0.3, (1.1, 1.3, 1.6), 1.1, 0.6,
           0.2, 0.6, 0.012, (0.8, 0.92), 0.8, 88),
)
