"""Crops, and image files of every odd kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.occluder_sets import Crop


@pytest.fixture(scope="session")
def texture():
    """Return a function that draws a smooth random texture, (h, w, 3) uint8, from a seed."""

    def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return draw


@pytest.fixture(scope="session")
def make_crop(texture):
    def make(height: int, width: int, seed: int = 0, name: str = "") -> Crop:
        name = name or f"crop{seed}"
        return Crop(name, texture(height, width, seed), f"{name}.jpg")

    return make


@pytest.fixture
def odd_files(tmp_path, texture):
    """A folder of image files of all kinds, good and bad."""
    folder = tmp_path / "odd"
    folder.mkdir()
    picture = Image.fromarray(texture(40, 60))

    def save(name, image, **options):
        image.save(folder / name, **options)

    save("good.jpg", picture)
    save("palette.png", picture.quantize(16))
    save("cmyk.jpg", picture.convert("CMYK"))
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    save("sixteen.png", Image.fromarray(levels))
    save("float.tif", Image.fromarray(levels.astype(np.float32) / 7))
    grey = picture.convert("L")
    save("animated.gif", grey, save_all=True, append_images=[grey.rotate(90)])
    cut_out = picture.convert("RGBA")
    cut_out.putalpha(Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))))
    save("cutout.png", cut_out)
    save("opaque.webp", Image.fromarray(texture(50, 50, 9)).convert("RGBA"), lossless=True)
    save("one.png", Image.new("RGB", (1, 1)))
    save("ribbon.png", Image.new("RGB", (20_000, 20), "red"))
    save("glass.png", Image.new("RGBA", (30, 30), (9, 9, 9, 0)))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG")
    (folder / "truncated.jpg").write_bytes(encoded.getvalue()[:400])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("cut in May")
    (folder / "more").mkdir()
    (folder / "dangling.jpg").symlink_to(folder / "gone.jpg")
    return folder
