from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.datasets.occluder_sets import Crop, read_crop, read_crops


def test_every_file_becomes_a_crop_or_is_named_with_a_reason(odd_files):
    crops, left_out = read_crops(odd_files)
    kinds = {one.name: one.kind for one in left_out}
    assert kinds == {
        **dict.fromkeys(("one.png", "ribbon.png", "glass.png"), "unfit"),
        **dict.fromkeys(("truncated.jpg", "zero.png", "text.jpg", "dangling.jpg"), "broken"),
        **dict.fromkeys(("notes.txt", "more"), "not an image"),
    }
    assert all(one.reason and "\n" not in one.reason for one in left_out)
    names = [crop.origin.partition(" ")[0] for crop in crops]
    assert sorted([*names, *kinds]) == sorted(os.listdir(odd_files))
    assert names == sorted(names)


def test_alpha_is_kept_only_where_something_shines_through(odd_files):
    channels = {c.name: c.pixels.shape[2] for c in read_crops(odd_files)[0]}
    assert channels.pop("cutout") == 4
    assert set(channels.values()) == {3}


def test_sixteen_bits_and_floats_are_scaled_not_clipped(odd_files):
    crops = {crop.name: crop.pixels for crop in read_crops(odd_files)[0]}
    for name in ("sixteen", "float"):
        assert crops[name].min() == 0 and crops[name].max() == 255
        assert abs(float(crops[name].mean()) - 127.5) < 1


def test_an_animation_gives_its_first_picture_and_says_so(odd_files):
    origins = [crop.origin for crop in read_crops(odd_files)[0]]
    assert "animated.gif (first of 2 pictures)" in origins


def test_names_in_no_encoding_are_spelled_out(tmp_path, texture):
    Image.fromarray(texture(20, 20)).save(tmp_path / os.fsdecode(b"\xff.png"))
    (tmp_path / os.fsdecode(b"\xfe.png")).touch()
    crops, left_out = read_crops(tmp_path)
    assert [crop.origin for crop in crops] == [r"\udcff.png"]
    assert [one.name for one in left_out] == [r"\udcfe.png"]


def test_exif_rotation_is_applied(tmp_path, texture):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(texture(40, 60)).save(tmp_path / "turned.jpg", exif=exif)
    crop = read_crop(tmp_path / "turned.jpg")
    assert crop.pixels.shape == (60, 40, 3)


def test_an_image_of_too_many_pixels_is_named_without_decoding_it(tmp_path, monkeypatch):
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image.Image, "convert", None)
    assert "9000 x 9000 pixels" in read_crop(tmp_path / "huge.png").reason


def test_a_crop_is_tall_above_twice_its_width_and_not_at_it():
    def crop(h, w):
        return Crop("", np.zeros((h, w, 3), np.uint8), "")

    assert not crop(20, 10).is_tall and crop(21, 10).is_tall


def test_the_manifest_and_hidden_files_are_no_crops(tmp_path, texture):
    Image.fromarray(texture(20, 20)).save(tmp_path / "a.png")
    Image.fromarray(texture(20, 20)).save(tmp_path / ".b.png")
    (tmp_path / "manifest.json").write_text("{}")
    crops, left_out = read_crops(tmp_path)
    assert [crop.name for crop in crops] == ["a"] and not left_out


@pytest.mark.parametrize("name", ["gone", "file"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=f"{name}: .* expected a folder of occluder crops"):
        read_crops(tmp_path / name)


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=40),
    st.sampled_from([".jpg", ".PNG", ".tif", ".gif", ".webp", ".bmp"]),
    st.sampled_from(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"]),
    st.integers(0, 10_000),
)
def test_whatever_the_bytes_are_a_file_is_read_or_named(tmp_path_factory, noise, suffix, kind, at):
    path = tmp_path_factory.mktemp("bytes") / f"x{suffix}"
    Image.new("L", (12, 30), 90).save(path, kind)
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + noise + data[at + 2 * len(noise) :])
    found = read_crop(path)
    if isinstance(found, Crop):
        assert found.pixels.dtype == np.uint8 and found.pixels.shape[2] in (3, 4)
    else:
        assert found.name == path.name and found.reason and found.kind in ("broken", "unfit")
