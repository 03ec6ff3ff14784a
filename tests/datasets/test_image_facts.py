from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.datasets import image_facts
from fed_plugin.datasets.fingerprints import content_hash, mean_colors, perceptual_hash
from fed_plugin.datasets.image_facts import Facts, inspect

FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def encoded(image, kind, **options):
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def inspected(folder, data, name="a.jpg", **options):
    path = Path(folder) / name
    path.write_bytes(data)
    return inspect(str(path), **options)


def sixteen_bits(size):
    levels = np.random.default_rng(0).integers(0, 1 << 16, size[::-1], dtype=np.uint16)
    return encoded(Image.fromarray(levels), "PNG")


def sixteen_bits_rgb(size):
    levels = np.random.default_rng(0).integers(0, 1 << 16, (*size[::-1], 3), dtype=np.uint16)
    import cv2

    return cv2.imencode(".png", levels)[1].tobytes()


def test_a_sound_image_is_told_with_all_that_is_known_of_it(tmp_path, picture):
    path = tmp_path / "a.jpg"
    picture("a").save(path)
    with Image.open(path) as image:
        colors = mean_colors(image).hex()
    assert inspect(str(path)) == Facts(content_hash(path), perceptual_hash(path), colors, 32, 64)


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda image: encoded(image, "PNG"), ()),
        (lambda image: encoded(image, "BMP"), ()),
        (lambda image: encoded(image, "WEBP"), ()),
        (lambda image: encoded(image.quantize(16), "PNG"), ("palette",)),
        (lambda image: encoded(image.convert("CMYK"), "JPEG"), ("CMYK",)),
        (lambda image: encoded(image.convert("CMYK"), "TIFF"), ("CMYK",)),
        (lambda image: encoded(image.convert("L"), "JPEG"), ("grey",)),
        (lambda image: encoded(image.convert("1"), "PNG"), ("grey",)),
        (lambda image: encoded(image.convert("RGBA"), "PNG"), ("transparent",)),
        (lambda image: sixteen_bits(image.size), ("16-bit",)),
        (lambda image: sixteen_bits_rgb(image.size), ("16-bit",)),
        (
            lambda image: encoded(image, "PNG", save_all=True, append_images=[image.rotate(90)]),
            ("several frames",),
        ),
        (
            lambda image: encoded(image, "TIFF", save_all=True, append_images=[image.rotate(90)]),
            ("several frames",),
        ),
        (
            lambda image: encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
            ("palette", "several frames"),
        ),
    ],
)
def test_what_is_unusual_about_an_image_is_named_and_it_is_read(tmp_path, picture, make, kinds):
    facts = inspected(tmp_path, make(picture("a")))
    assert (facts.kinds, facts.problem, facts.width, facts.height) == (kinds, "", 32, 64)
    assert facts.look is not None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
@FEW
@given(share=st.floats(0, 1, exclude_max=True))
def test_an_image_that_is_cut_off_anywhere_is_noticed(tmp_path, picture, kind, share):
    data = encoded(picture("a"), kind)
    facts = inspected(tmp_path, data[: int(share * len(data))])
    # What is cut off may be an end that no decoder needs, as long as every pixel is the same.
    whole = inspected(tmp_path, data, name="b.jpg")
    assert facts.problem or (kind in ("GIF", "TIFF", "BMP") and facts.look == whole.look)


@pytest.mark.parametrize("cut", [1, 2, 5, 12, 14, 40])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_missing_end_is_noticed_to_the_last_bytes(tmp_path, picture, kind, cut):
    assert inspected(tmp_path, encoded(picture("a"), kind)[:-cut]).problem


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.99])
def test_a_download_whose_rest_is_zero_bytes_is_noticed(tmp_path, picture, share):
    data = encoded(picture("a", (64, 128)), "JPEG")
    there = int(share * len(data))
    assert inspected(tmp_path, data[:there] + bytes(len(data) - there)).problem


def test_a_thumbnail_inside_does_not_hide_that_the_end_is_missing(tmp_path, picture):
    thumbnail = encoded(picture("small", (16, 16)), "JPEG")
    data = encoded(picture("a"), "JPEG")
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = data[:2] + comment + data[2:]
    assert inspected(tmp_path, data).problem == ""
    assert inspected(tmp_path, data[:-2]).problem


def test_broken_exif_data_spoil_no_image(tmp_path, picture, monkeypatch):
    def fail(image):
        raise SyntaxError("not a TIFF file")

    data = encoded(picture("a"), "JPEG")
    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert inspected(tmp_path, data).problem == ""


def test_what_follows_the_end_does_no_harm(tmp_path, picture):
    assert inspected(tmp_path, encoded(picture("a"), "JPEG") + b"\0made by a camera").problem == ""


@FEW
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"])
)
def test_noise_is_a_problem_and_never_an_exception(tmp_path, noise, start):
    facts = inspected(tmp_path, start + noise)
    assert facts.problem and facts.sha256


@FEW
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=30), st.data())
def test_a_damaged_image_is_read_or_a_problem_and_never_an_exception(
    tmp_path, picture, place, noise, data
):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"]))
    whole = bytearray(encoded(picture("a"), kind))
    place %= len(whole)
    whole[place : place + len(noise)] = noise
    facts = inspected(tmp_path, bytes(whole))
    assert facts.problem or facts.look is not None


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", "empty file"), (bytes(5000), "only zero bytes")]
)
def test_nothing_is_told_as_such(tmp_path, data, problem):
    assert inspected(tmp_path, data).problem == problem


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000), (20_000, 400)])
def test_tiny_and_very_wide_images_are_read(tmp_path, size):
    facts = inspected(tmp_path, encoded(Image.new("RGB", size), "PNG"))
    assert (facts.width, facts.height, facts.problem) == (*size, "")


@pytest.mark.parametrize("size", [(10_000, 9_000), (20_000, 9_000)])
def test_an_image_that_would_fill_the_memory_is_named_and_not_decoded(tmp_path, size):
    facts = inspected(tmp_path, encoded(Image.new("1", size), "PNG", compress_level=1))
    assert "50000000" in facts.problem and facts.look is None


def test_a_very_long_file_is_hashed_and_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_facts, "_MAX_BYTES", 1 << 20)
    data = bytes(1 << 20) + b"1"
    facts = inspected(tmp_path, data)
    assert facts.problem == "over 1 MiB" and facts.sha256 == content_hash(tmp_path / "a.jpg")


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "ring.jpg").symlink_to("ring.jpg")
    problems = {
        path.name: inspect(str(path)).problem for path in [*tmp_path.iterdir(), tmp_path / "gone"]
    }
    assert problems.pop("ring.jpg")
    assert problems == {
        "pipe.jpg": "no regular file",
        "folder.jpg": "a folder",
        "link.jpg": "broken link to nowhere.jpg",
        "gone": "No such file or directory",
    }


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"secret")

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.open", refuse)
    assert inspect(str(tmp_path / "a.jpg")) == Facts(problem="Permission denied")


def test_without_decoding_the_header_is_believed(tmp_path, picture):
    data = encoded(picture("a"), "JPEG")[:-20]
    facts = inspected(tmp_path, data, decode=False)
    assert (facts.problem, facts.width, facts.look, facts.decoded) == ("", 32, None, False)
