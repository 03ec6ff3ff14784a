"""The cameras of SynthOcc, in the order of their numbers in file names."""

from __future__ import annotations

from fed_plugin.datasets.synthocc.cameras import Camera

# Three lines a camera: how it looks on, what light it gets, what it does to a picture.
# fmt: off
CAMERAS: tuple[Camera, ...] = (
    Camera(
        scene="street", floor=0.66, pitch=0.12, path=0.0, fill=(0.86, 0.96),
        lamp=(-0.7, 0.8, 0.6), ambient=0.55, key=0.6, gain=(1.08, 1.0, 0.9),
        gamma=1.0, colour=1.0, haze=0.0, blur=0.45, noise=0.012, quality=92,
    ),
    Camera(
        scene="corridor", floor=0.68, pitch=0.22, path=0.0, fill=(0.88, 0.98),
        lamp=(0.0, 1.0, 0.3), ambient=0.7, key=0.3, gain=(0.74, 0.95, 0.74),
        gamma=1.05, colour=0.85, haze=0.08, blur=0.6, noise=0.022, quality=86,
    ),
    Camera(
        scene="park", floor=0.62, pitch=0.08, path=1.57, fill=(0.82, 0.93),
        lamp=(0.9, 0.35, 0.3), ambient=0.42, key=0.8, gain=(1.2, 0.9, 0.6),
        gamma=0.95, colour=1.05, haze=0.03, blur=0.5, noise=0.014, quality=90,
    ),
    Camera(
        scene="shops", floor=0.7, pitch=0.16, path=1.57, fill=(0.86, 0.96),
        lamp=(-0.3, 0.3, 0.9), ambient=0.5, key=0.55, gain=(0.72, 0.88, 1.22),
        gamma=0.95, colour=1.0, haze=0.0, blur=0.55, noise=0.016, quality=90,
    ),
    Camera(
        scene="garage", floor=0.64, pitch=0.28, path=0.6, fill=(0.84, 0.96),
        lamp=(0.5, 0.9, -0.2), ambient=0.5, key=0.5, gain=(1.12, 0.76, 0.38),
        gamma=0.95, colour=0.85, haze=0.05, blur=0.75, noise=0.022, quality=80,
    ),
    Camera(
        scene="plaza", floor=0.58, pitch=0.3, path=0.8, fill=(0.8, 0.92),
        lamp=(0.2, 1.0, 0.5), ambient=0.75, key=0.3, gain=(1.06, 1.18, 1.35),
        gamma=1.1, colour=0.7, haze=0.14, blur=0.6, noise=0.012, quality=88,
    ),
)
# fmt: on
