from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from fed_plugin.transforms import OccluderSet


@pytest.fixture
def folder(tmp_path, random_crop):
    """Return a folder of four crops, one per suffix, and something that is no crop."""
    for index, name in enumerate(("d.jpg", "b.PNG", "a.jpeg", "c.bmp")):
        Image.fromarray(random_crop(20 + index, 10, index)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a crop")
    (tmp_path / "._a.jpg").write_text("what macOS leaves in archives")
    (tmp_path / "sub.png").mkdir()
    return tmp_path


def test_a_folder_is_read_in_name_order_whatever_the_case_of_its_suffixes(folder):
    occluders = OccluderSet.from_folder(folder)
    assert occluders.names == ("a.jpeg", "b.PNG", "c.bmp", "d.jpg")
    assert occluders.sizes == ((22, 10), (21, 10), (23, 10), (20, 10))
    assert len(occluders) == 4


def test_lossless_files_come_back_as_they_were_saved(folder, random_crop):
    np.testing.assert_array_equal(OccluderSet.from_folder(folder)[1], random_crop(21, 10, 1))


def test_files_are_decoded_once_and_may_then_disappear(folder):
    occluders = OccluderSet.from_folder(folder)
    before = [crop.copy() for crop in occluders]
    for file in folder.glob("*.*"):
        if file.is_file():
            file.unlink()
    for crop, kept in zip(before, occluders, strict=True):
        np.testing.assert_array_equal(crop, kept)


def test_a_large_crop_is_shrunk_and_keeps_its_side_of_two_to_one(tmp_path):
    Image.new("RGB", (500, 1001)).save(tmp_path / "tall.png")
    Image.new("RGB", (500, 1000)).save(tmp_path / "wide.png")
    tall, wide = OccluderSet.from_folder(tmp_path, max_side=64).sizes
    assert tall[0] == 64 and tall[0] > 2 * tall[1]
    assert wide[0] == 64 and wide[0] <= 2 * wide[1]
    assert OccluderSet.from_folder(tmp_path, max_side=0).sizes == ((1001, 500), (1000, 500))


def test_a_crop_is_shrunk_as_long_as_it_covers_what_it_is_shown_on(tmp_path):
    for name, size in (("a", (500, 1001)), ("b", (300, 1000)), ("c", (1000, 100)), ("d", (9, 9))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    tall, slim, flat, small = OccluderSet.from_folder(
        tmp_path, max_side=0, most_shown=lambda size: (256, 128)
    ).sizes
    assert tall == (257, 128)  # still over 2:1
    assert slim == (427, 128) and flat == (100, 1000) and small == (9, 9)


def test_a_missing_folder_is_named_with_its_key(tmp_path):
    missing = tmp_path / "npo"
    with pytest.raises(FileNotFoundError) as raised:
        OccluderSet.from_folder(missing)
    assert str(raised.value) == (
        f"path={missing}: no such folder; expected a folder of *.jpg or *.png "
        "occluder crops (docs/data.md, Occluders)"
    )


def test_a_file_in_place_of_the_folder_is_called_a_file(tmp_path):
    (tmp_path / "npo").write_text("")
    with pytest.raises(FileNotFoundError, match=r"npo: is a file; expected a folder of"):
        OccluderSet.from_folder(tmp_path / "npo")


def test_an_empty_folder_is_named_with_the_key_it_was_given(tmp_path):
    (tmp_path / "readme.txt").write_text("no image")
    with pytest.raises(FileNotFoundError) as raised:
        OccluderSet.from_folder(tmp_path, key="MY.KEY")
    assert str(raised.value) == (
        f"MY.KEY={tmp_path}: found no image; expected *.jpg or *.png occluder crops "
        "(docs/data.md, Occluders)"
    )


@pytest.mark.parametrize("damage", ["text", "truncated", "empty"])
def test_an_unreadable_image_is_named_by_its_path(folder, damage, random_crop):
    broken = folder / "broken.png"
    Image.fromarray(random_crop(50, 50)).save(broken)
    whole = broken.read_bytes()
    contents = {"text": b"hello", "truncated": whole[: len(whole) // 2], "empty": b""}
    broken.write_bytes(contents[damage])
    with pytest.raises(ValueError) as raised:
        OccluderSet.from_folder(folder)
    message = str(raised.value)
    assert message.startswith(f"path={folder}: cannot read {broken} (")
    assert message.endswith("try removing the file or saving it again as JPEG or PNG")


def test_the_crops_cannot_be_written_to(mixed_set):
    with pytest.raises(ValueError, match="read-only"):
        mixed_set[0][0, 0] = 0
    with pytest.raises(TypeError):
        mixed_set[0] = mixed_set[1]


def test_the_callers_arrays_are_copied(random_crop):
    crop = random_crop(6, 4)
    occluders = OccluderSet([crop])
    crop[:] = 0
    assert occluders[0].any()


def test_the_tensor_holds_the_same_pixels_channels_first(mixed_set):
    np.testing.assert_array_equal(
        mixed_set.tensor(1).numpy(), np.transpose(mixed_set[1], (2, 0, 1))
    )


def test_pickling_keeps_pixels_names_and_sizes_and_stays_read_only(random_crop):
    occluders = OccluderSet([random_crop(9, 5), random_crop(1, 1, 1)], ["pole", "dot"])
    again = pickle.loads(pickle.dumps(occluders))
    assert (again.names, again.sizes) == (occluders.names, occluders.sizes)
    for first, second in zip(occluders, again, strict=True):
        np.testing.assert_array_equal(first, second)
        assert not second.flags.writeable


def test_pickling_packs_the_pixels():
    flat = OccluderSet([np.full((300, 200, 3), 90, dtype=np.uint8)])
    assert len(pickle.dumps(flat)) < flat[0].nbytes // 50


def test_iteration_ends_and_indices_outside_are_refused(mixed_set):
    assert len(list(mixed_set)) == len(mixed_set) == 3
    with pytest.raises(IndexError):
        mixed_set[3]


@pytest.mark.parametrize(
    ("images", "names", "message"),
    [
        ([], None, "needs at least one image, got none"),
        ([np.zeros((4, 4), np.uint8)], None, r"occluder-0000: expected .* got shape \(4, 4\)"),
        ([np.zeros((4, 4, 3))], ["x"], "occluder x: expected .* of float64"),
        ([np.zeros((0, 4, 3), np.uint8)], None, r"got shape \(0, 4, 3\)"),
        ([np.zeros((4, 4, 3), np.uint8)], ["a", "b"], "one name per image, got 2 for 1"),
    ],
)
def test_anything_but_rgb_crops_is_refused(images, names, message):
    with pytest.raises(ValueError, match=message):
        OccluderSet(images, names)


@pytest.fixture
def cut_outs(tmp_path, random_crop):
    """Return a folder of one half transparent, one opaque and one plain crop."""
    alpha = np.zeros((20, 10), dtype=np.uint8)
    alpha[5:, 2:] = np.random.default_rng(1).integers(1, 256, (15, 8))
    Image.fromarray(np.dstack((random_crop(20, 10), alpha))).save(tmp_path / "half.png")
    Image.fromarray(random_crop(20, 10)).convert("RGBA").save(tmp_path / "opaque.png")
    Image.fromarray(random_crop(20, 10)).save(tmp_path / "plain.png")
    return tmp_path


def test_transparency_is_kept_when_asked_for_and_hidden_colours_are_not(cut_outs, random_crop):
    occluders = OccluderSet.from_folder(cut_outs, alpha=True)
    alpha = occluders.alpha(0)
    assert alpha.shape == (20, 10) and int(alpha[:5].max()) == 0 and int(alpha[5:, 2:].min()) > 0
    np.testing.assert_array_equal(occluders[0][5:, 2:], random_crop(20, 10)[5:, 2:])
    assert (occluders[0][:5] == 128).all()
    assert occluders.alpha(1) is None and occluders.alpha(2) is None
    assert occluders.tensor(0).shape == (3, 20, 10)


def test_transparency_lies_on_mid_grey_unless_asked_for(cut_outs):
    occluders = OccluderSet.from_folder(cut_outs)
    assert [occluders.alpha(index) for index in range(3)] == [None] * 3
    assert (occluders[0][:5] == 128).all()


def test_pickling_keeps_alpha_channels(cut_outs):
    occluders = OccluderSet.from_folder(cut_outs, alpha=True)
    again = pickle.loads(pickle.dumps(occluders))
    for index in range(3):
        np.testing.assert_array_equal(occluders[index], again[index])
    np.testing.assert_array_equal(occluders.alpha(0), again.alpha(0))
    assert again.alpha(1) is None and again.alpha(2) is None


def test_a_large_cut_out_is_shrunk_with_its_alpha(tmp_path):
    pixels = np.zeros((400, 400, 4), dtype=np.uint8)
    pixels[:, :200] = (200, 100, 50, 255)
    Image.fromarray(pixels).save(tmp_path / "half.png")
    occluders = OccluderSet.from_folder(tmp_path, max_side=40, alpha=True)
    alpha = occluders.alpha(0)
    assert alpha.shape == (40, 40) and alpha[:, :18].min() == 255 and alpha[:, 22:].max() == 0


def test_a_crop_of_which_nothing_shows_is_refused_by_its_name(tmp_path):
    nothing = np.zeros((4, 4, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="occluder x: every pixel is transparent"):
        OccluderSet([nothing], ["x"])
    Image.fromarray(nothing).save(tmp_path / "glass.png")
    with pytest.raises(ValueError, match=r"cannot read .*glass.png \(.*every pixel is transparent"):
        OccluderSet.from_folder(tmp_path, alpha=True)


def test_a_crop_that_is_shrunk_to_nothing_visible_is_named_with_its_key(tmp_path):
    pixels = np.zeros((400, 400, 4), dtype=np.uint8)
    pixels[200, 200] = 255
    Image.fromarray(pixels).save(tmp_path / "speck.png")
    with pytest.raises(ValueError, match=r"path=.*speck.png .*transparent"):
        OccluderSet.from_folder(tmp_path, max_side=10, alpha=True)
