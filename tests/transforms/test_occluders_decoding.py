from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

from fed_plugin.photos import read_rgb, read_rgba
from fed_plugin.transforms.occluders import OccluderSet, shrink_to_side

RED, MID_GREY = (255, 0, 0), (128, 128, 128)


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a PIL image and reads it back as RGB."""

    def save_and_read(image: Image.Image, name: str = "crop.png", **options) -> np.ndarray:
        image.save(tmp_path / name, **options)
        return read_rgb(tmp_path / name)

    return save_and_read


def test_a_palette_becomes_its_colours_not_its_indices(saved):
    palette = Image.new("RGB", (4, 6), RED).convert("P", palette=Image.Palette.ADAPTIVE)
    pixels = saved(palette)
    assert pixels.shape == (6, 4, 3) and pixels.dtype == np.uint8
    assert (pixels == RED).all()


def test_grey_levels_become_three_equal_channels(saved):
    assert (saved(Image.new("L", (4, 6), 77)) == 77).all()


def test_one_bit_images_become_black_and_white(saved):
    assert (saved(Image.new("1", (4, 6), 1)) == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_mid_grey(saved, mode):
    see_through = Image.new("RGBA", (4, 6), (255, 255, 255, 0)).convert(mode)
    assert (saved(see_through) == MID_GREY).all()


def test_half_transparency_is_mixed_with_mid_grey(saved):
    pixels = saved(Image.new("RGBA", (2, 2), (255, 0, 0, 128)))
    np.testing.assert_allclose(pixels[0, 0], (192, 64, 64), atol=1)


def test_a_transparent_palette_entry_is_laid_on_mid_grey(saved):
    palette = Image.new("P", (4, 6), 0)
    palette.putpalette([255, 0, 0] * 256)
    assert (saved(palette, transparency=0) == MID_GREY).all()


def test_sixteen_bits_are_scaled_not_clipped(saved):
    levels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    assert saved(Image.fromarray(levels))[0, :, 0].tolist() == [0, 100, 255]


def test_cmyk_becomes_rgb(saved):
    pixels = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "crop.jpg", quality=95)
    np.testing.assert_allclose(pixels[4, 4], RED, atol=12)


def test_exif_rotation_is_applied(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (10, 4), RED)
    assert saved(image, "crop.jpg", exif=exif).shape == (10, 4, 3)


def test_an_image_within_the_limit_is_not_touched():
    image = np.zeros((10, 5, 3), dtype=np.uint8)
    assert shrink_to_side(image, 10) is image
    assert shrink_to_side(image, 0) is image


@pytest.mark.parametrize(("height", "width"), [(1, 900), (900, 1), (300, 200), (200, 300)])
def test_shrinking_bounds_the_longer_side_and_leaves_at_least_a_pixel(height, width):
    shrunk = shrink_to_side(np.full((height, width, 3), 9, dtype=np.uint8), 30)
    assert max(shrunk.shape[:2]) == 30 and min(shrunk.shape[:2]) >= 1
    assert (shrunk == 9).all()


def test_transparency_is_kept_as_a_fourth_channel(tmp_path):
    image = Image.new("RGBA", (4, 6), (10, 20, 30, 77))
    image.paste((255, 255, 255, 0), (0, 0, 2, 6))
    image.save(tmp_path / "crop.png")
    pixels = read_rgba(tmp_path / "crop.png")
    assert (pixels[:, 2:] == (10, 20, 30, 77)).all()
    assert (pixels[:, :2] == (*MID_GREY, 0)).all()


def test_a_palette_with_a_transparent_colour_has_four_channels(tmp_path):
    palette = Image.new("P", (4, 6), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "crop.png", transparency=0)
    pixels = read_rgba(tmp_path / "crop.png")
    assert pixels[0, 0, 3] == 0 and (pixels[1:] == (*RED, 255)).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA"])
def test_what_is_opaque_keeps_three_channels(tmp_path, mode):
    name = tmp_path / ("crop.jpg" if mode == "CMYK" else "crop.png")
    Image.new("RGB", (4, 6), RED).convert(mode).save(name)
    np.testing.assert_array_equal(read_rgba(name), read_rgb(name))


def test_what_a_folder_of_occluders_holds_beside_photos_is_named(tmp_path, caplog):
    Image.new("RGB", (4, 6)).save(tmp_path / "a.webp")
    for name in ("b.heic", "manifest.json", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    logger = logging.getLogger("fastreid.fed_plugin.occluders")
    logger.addHandler(caplog.handler)
    try:
        assert OccluderSet.from_folder(tmp_path).names == ("a.webp",)
    finally:
        logger.removeHandler(caplog.handler)
    assert "passed over 2 that are no images to read, first 'b.heic'" in caplog.text
