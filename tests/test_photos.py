"""One rule for what a photo is."""

from __future__ import annotations

import io
import logging
import os
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fed_plugin import photos
from fed_plugin.photos import FORMATS, eight_bits, open_photo, open_regular, read_rgb

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_photo_starts_a_program(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(EPS)
    program, ran = tmp_path / "gs", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(OSError, match="cannot identify"):
        read_rgb(tmp_path / "a.jpg")
    from fastreid.data.data_utils import read_image

    for words in ((), ("RGB",)):
        with pytest.raises(Exception, match=r"a\.jpg"):
            read_image(str(tmp_path / "a.jpg"), *words)
    assert not ran.exists()


def test_the_formats_are_those_that_pil_decodes_by_itself():
    assert {"JPEG", "PNG", "TIFF", "BMP", "GIF"} <= set(FORMATS)
    assert not {"EPS", "WMF", "PDF", "FPX", "MIC"} & set(FORMATS)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "/dev/zero"])
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path):
    path = tmp_path / "a.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    else:
        path.symlink_to(kind)
    with pytest.raises(OSError):
        open_regular(path)
    with pytest.raises(OSError):
        read_rgb(path)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[0, 255]], np.uint16), [0, 255]),
        (np.array([[0, 1023]], np.uint16), [0, 255]),
        (np.array([[0, 4095]], np.uint16), [0, 255]),
        (np.array([[0, 16383]], np.uint16), [0, 255]),
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[257 * 3, 257 * 100]], np.uint16), [3, 100]),
        (np.array([[-5, 200]], np.int32), [0, 200]),
        (np.array([[0, 2**31 - 1]], np.int32), [0, 255]),
        (np.array([[0, 1]], np.float32), [0, 255]),
        (np.array([[0.5, 0.25]], np.float32), [127, 63]),
        (np.array([[0, 254]], np.float32), [0, 254]),
        (np.array([[np.nan, 255.0]], np.float32), [0, 255]),
        (np.array([[np.inf, 1.0]], np.float32), [0, 255]),
        (np.zeros((1, 2), np.uint16), [0, 0]),
    ],
)
def test_more_than_8_bits_are_scaled_by_the_range_of_the_values(levels, expected):
    assert eight_bits(levels).ravel().tolist() == expected


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_thermal_photos_stay_different_on_every_way(tmp_path, suffix):
    from fastreid.data.data_utils import read_image

    from fed_plugin.fastreid_adapter.embedder import as_rgb

    generator = np.random.default_rng(0)
    seen = set()
    for number in range(4):
        levels = generator.integers(0, 4000, (32, 16)).astype(np.uint16)
        path = tmp_path / f"{number}{suffix}"
        Image.fromarray(levels).save(path)
        expected = (levels.astype(int) * 255 // 4095).astype(np.uint8)
        for pixels in (read_rgb(path), np.asarray(read_image(str(path))), np.asarray(as_rgb(path))):
            assert (pixels == expected[..., None]).all()
        seen.add(read_rgb(path).tobytes())
    assert len(seen) == 4


def test_one_warning_per_folder_names_the_rule(tmp_path, caplog):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png"):
            Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / folder / name)
    logger = logging.getLogger("fastreid.fed_plugin.photos")
    logger.addHandler(caplog.handler)
    try:
        for path in sorted(tmp_path.rglob("*.png")):
            read_rgb(path)
    finally:
        logger.removeHandler(caplog.handler)
    assert len(set(caplog.messages)) == 2
    assert "two: photos of more than 8 bits" in caplog.text and "levels of 12 bits" in caplog.text


def test_a_file_of_too_many_pixels_costs_no_memory(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (9000, 9000)).save(path)
    code = (
        "import resource, sys\n"
        "from fed_plugin.photos import read_rgb\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_rgb(sys.argv[1])\n"
        "except ValueError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    message, grown = done.stdout.splitlines()
    assert message.startswith("9000 x 9000 pixels; expected 50000000 or fewer") and int(grown) < 2e4


def test_a_large_jpeg_is_decoded_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "MOST_PIXELS", 10_000)
    Image.new("RGB", (300, 200), (200, 30, 40)).save(tmp_path / "a.jpg")
    pixels = read_rgb(tmp_path / "a.jpg")
    assert pixels.shape[0] * pixels.shape[1] <= 10_000 and abs(int(pixels[9, 9, 0]) - 200) < 4
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="300 x 200 pixels"):
        read_rgb(tmp_path / "a.png")


def test_ordinary_photos_keep_their_bits(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    for name in ("a.jpg", "a.png", "a.bmp"):
        Image.fromarray(noise).save(tmp_path / name)
        with Image.open(tmp_path / name) as plain:
            assert np.array_equal(read_rgb(tmp_path / name), np.asarray(plain.convert("RGB")))


def test_open_files_are_photos_too():
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, "PNG")
    with open_photo(file) as image:
        assert image.size == (3, 2)
    assert not file.closed and stat.S_ISREG(os.stat(__file__).st_mode)


def saved_by_opencv(path, levels):
    import cv2

    assert cv2.imwrite(str(path), levels[..., [2, 1, 0, 3][: levels.shape[2]]])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
def test_colours_of_16_bits_are_scaled_by_their_range_too(tmp_path, suffix, top):
    levels = np.random.default_rng(0).integers(0, top + 1, (30, 20, 3)).astype(np.uint16)
    levels[0, 0] = top
    saved_by_opencv(tmp_path / f"a{suffix}", levels)
    expected = (levels.astype(int) * 255 // top).astype(np.uint8)
    assert (read_rgb(tmp_path / f"a{suffix}") == expected).all()
    with open_photo(tmp_path / f"a{suffix}") as image:
        assert photos.has_more_than_8_bits(image)


def test_alpha_of_16_bits_has_a_range_of_its_own(tmp_path):
    levels = np.full((8, 4, 4), 4095, np.uint16)
    levels[..., 3] = 65535
    levels[0, 0, 3] = 0
    saved_by_opencv(tmp_path / "a.png", levels)
    pixels = read_rgb(tmp_path / "a.png")
    assert (pixels[1:] == 255).all() and (pixels[0, 0] == photos.MID_GREY).all()


def test_an_image_of_8_bits_is_none_of_more(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (100, 7), np.uint8)
    for rows in range(1, 100):  # the offset of the pixels in the file takes many values
        Image.fromarray(noise[:rows]).save(tmp_path / "a.tif", compression="tiff_lzw")
        with open_photo(tmp_path / "a.tif") as image:
            assert not photos.has_more_than_8_bits(image)


def test_shares_a_little_above_one_are_no_levels():
    assert eight_bits(np.array([[0, 0.5, 1.02]], np.float32)).ravel().tolist() == [0, 127, 255]


def test_upright_with_16_bits(tmp_path):
    levels = np.zeros((4, 2), np.uint16)
    levels[0] = 4095
    exif = Image.Exif()
    exif[274] = 6  # turn to the right
    Image.fromarray(levels).save(tmp_path / "a.png", exif=exif)
    assert read_rgb(tmp_path / "a.png")[:, :, 0].tolist() == [[0, 0, 0, 255]] * 2


def test_a_data_set_of_many_folders_is_warned_of_a_few_times(tmp_path, caplog):
    logger = logging.getLogger("fastreid.fed_plugin.photos")
    logger.addHandler(caplog.handler)
    try:
        for person in range(50):
            eight_bits(np.full((1, 1), 4000), str(tmp_path / f"{person}" / "a.png"))
    finally:
        logger.removeHandler(caplog.handler)
    assert 2 <= len(set(caplog.messages)) <= 20 and "are not named" in caplog.messages[-1]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux counts memory there")
@pytest.mark.parametrize("kind", ["RGB", "RGBA", "I;16"])
def test_threads_decode_large_photos_one_at_a_time(tmp_path, kind):
    Image.new(kind, (3500, 3500)).save(tmp_path / "a.png")
    code = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from fed_plugin.photos import read_rgb\n"
        "def most():  # ru_maxrss would be that of pytest, where pytest is larger\n"
        "    return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "before = most()\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    list(pool.map(lambda _: read_rgb(sys.argv[1]).shape, range(8)))\n"
        "print(most() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True
    )
    assert int(done.stdout) < 450_000  # kB; 8 at once took 1,000,000 and more


def test_an_image_in_memory_is_not_modified():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (photos.pixels_of(image) == photos.MID_GREY).all()
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (255, 0, 0, 0)
