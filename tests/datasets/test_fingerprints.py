from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from fed_plugin.datasets import fingerprints
from fed_plugin.datasets.fingerprints import (
    NEAR,
    NEAR_COLORS,
    color_distance,
    content_hash,
    mean_colors,
    near_pairs,
    perceptual_hash,
)
from fed_plugin.synthocc import build_synthocc


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Whole drawn people, one picture each."""
    root = build_synthocc(tmp_path_factory.mktemp("people") / "SynthOcc", "tiny", workers=1)
    first = {}
    for path in sorted((root / "bounding_box_train").glob("*.*")):
        first.setdefault(path.name.split("_")[0], path)
    return list(first.values())


def hamming(first, second):
    return (first ^ second).bit_count()


def encoded(image, kind, **options):
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return Image.open(io.BytesIO(memory.getvalue()))


def test_the_content_hash_is_the_sha256_of_the_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "_CHUNK", 7)
    data = bytes(range(256)) * 3
    (tmp_path / "a.jpg").write_bytes(data)
    assert content_hash(tmp_path / "a.jpg") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: encoded(image, "JPEG", quality=60),
        lambda image: encoded(image, "PNG"),
        lambda image: image.resize((image.width * 2, image.height * 2)),
        lambda image: image.resize((image.width // 2, image.height // 2)),
        lambda image: image.resize((100, 100)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: image.convert("CMYK"),
        lambda image: image.convert("L").point(lambda level: level * 256, "I").convert("I;16"),
        lambda image: image.convert("RGBA"),
        lambda image: image.quantize(64),
    ],
    ids=[
        "jpeg",
        "png",
        "larger",
        "smaller",
        "square",
        "darker",
        "cmyk",
        "16-bit",
        "rgba",
        "palette",
    ],
)
def test_a_re_encoded_or_resized_picture_is_near_to_itself(people, change):
    for path in people:
        with Image.open(path) as image:
            image = image.convert("RGB")
            distance = hamming(perceptual_hash(image), perceptual_hash(change(image)))
        assert distance <= NEAR, path


@pytest.mark.parametrize("quality", [40, 90])
def test_the_colors_of_a_re_encoded_picture_are_near_and_those_of_others_are_not(people, quality):
    with Image.open(people[0]) as image:
        colors = mean_colors(image)
        again = mean_colors(encoded(image.resize((50, 90)), "JPEG", quality=quality))
    assert len(colors) == 48 and color_distance(colors, colors) == 0
    assert color_distance(colors, again) < NEAR_COLORS / 2
    for path in people[1:]:
        with Image.open(path) as image:
            assert color_distance(colors, mean_colors(image)) > NEAR_COLORS


def test_mean_colors_are_those_of_the_fields_in_order():
    pixels = np.zeros((8, 4, 3), dtype=np.uint8)
    pixels[0:2, 1] = (10, 20, 30)
    pixels[6:8, 3] = (7, 8, 9)
    colors = mean_colors(Image.fromarray(pixels))
    assert (colors[3:6], colors[-3:], sum(colors)) == (bytes((10, 20, 30)), bytes((7, 8, 9)), 84)


def test_no_two_people_are_near(people):
    hashes = [perceptual_hash(path) for path in people]
    assert len(hashes) >= 8
    assert len(near_pairs(hashes, max_distance=2 * NEAR)) == 0


def test_a_picture_turned_by_its_exif_data_is_upright(people):
    with Image.open(people[0]) as image:
        upright = image.convert("RGB")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = encoded(turned, "PNG", exif=exif)
    assert hamming(perceptual_hash(stored), perceptual_hash(upright)) == 0
    assert hamming(perceptual_hash(turned), perceptual_hash(upright)) > NEAR


def test_what_lies_under_full_transparency_does_not_matter(people):
    with Image.open(people[0]) as image:
        shown = np.asarray(image.convert("RGBA")).copy()
    shown[:40, :, 3] = 0
    other = shown.copy()
    other[:40, :, :3] = np.random.default_rng(0).integers(0, 256, other[:40, :, :3].shape)
    first, second = (perceptual_hash(Image.fromarray(pixels)) for pixels in (shown, other))
    assert first == second


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK", "I;16", "1", "F", "LA"])
@pytest.mark.parametrize("size", [(1, 1), (64, 128), (20000, 1)])
def test_a_flat_picture_of_any_mode_shows_nothing(mode, size):
    assert perceptual_hash(Image.new(mode, size)) == 0


def test_a_path_and_its_decoded_picture_have_one_hash(people):
    with Image.open(people[0]) as image:
        assert perceptual_hash(people[0]) == perceptual_hash(image) == perceptual_hash(image.copy())


HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=12)


@settings(max_examples=40, deadline=None)
@given(HASHES, HASHES, st.lists(st.sets(st.integers(0, 63), max_size=6), max_size=12), st.data())
def test_near_pairs_are_those_of_the_slow_loop(left, right, flips, data):
    distance = data.draw(st.integers(0, 8))
    for flip in flips if left else []:
        right.append(data.draw(st.sampled_from(left)) ^ sum(1 << bit for bit in flip))
    expected = [
        [i, j]
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if a and b and bin(a ^ b).count("1") <= distance
    ]
    assert near_pairs(left, right, distance).tolist() == expected


def test_pairs_within_one_list_are_named_once_and_never_with_themselves():
    assert near_pairs([5, 9, 5, 2**63], max_distance=1).tolist() == [[0, 2]]


def test_many_equal_hashes_make_every_pair():
    values = [7] * 9 + [8] * 5
    assert len(near_pairs(values, [7] * 4, 0)) == 36
    assert len(near_pairs(values, values, 4)) == 14 * 14


def test_pictures_without_contrast_are_near_to_nothing():
    assert len(near_pairs([0, 0, 1], [0, 1], 2)) == 1


@pytest.mark.parametrize("distance", [-1, 64])
def test_a_distance_out_of_range_is_refused(distance):
    with pytest.raises(ValueError, match=rf"max_distance={distance}: expected 0 to 63 bits"):
        near_pairs([1], [2], distance)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_exif_data_is_turned_as_pil_turns_it(people, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(people[0]) as image:
        stored = encoded(image.convert("RGB"), "PNG", exif=exif)
    upright = ImageOps.exif_transpose(stored)
    assert perceptual_hash(stored) == perceptual_hash(upright)
    assert mean_colors(stored) == mean_colors(upright)
    assert (hamming(perceptual_hash(stored), perceptual_hash(people[0])) > NEAR) == (
        orientation > 1
    )


def test_no_hash_has_no_pair():
    assert near_pairs([]).shape == near_pairs([], [5]).shape == near_pairs([5], []).shape == (0, 2)
