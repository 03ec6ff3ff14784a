from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.occluder_sets import Crop, Look, alike, look_of, without_duplicates
from fed_plugin.transforms import drawn_occluders


def changed(pixels, change):
    image = change(Image.fromarray(pixels))
    return np.array(image)


def jpeg(image, quality=60):
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality)
    return Image.open(io.BytesIO(encoded.getvalue()))


def kinds(crops):
    kept, left_out = without_duplicates(crops)
    return [crop.name for crop in kept], [(one.name, one.kind) for one in left_out]


def test_equal_pixels_are_kept_once_and_the_first_is_named(make_crop):
    first, other = make_crop(40, 60, 1, "first"), make_crop(40, 60, 2, "other")
    again = Crop("again", first.pixels.copy(), "again.png")
    kept, left_out = without_duplicates([first, other, again])
    assert [crop.name for crop in kept] == ["first", "other"]
    assert left_out[0].kind == "duplicate" and "first.jpg" in left_out[0].reason


@pytest.mark.parametrize(
    "change",
    [jpeg, lambda i: i.resize((120, 80)), lambda i: i.resize((45, 30))],
    ids=["jpeg", "larger", "smaller"],
)
def test_a_picture_saved_again_or_resized_is_a_near_duplicate(make_crop, change):
    first = make_crop(40, 60, 1, "first")
    second = Crop("second", changed(first.pixels, change), "second.png")
    assert kinds([first, second]) == (["first"], [("second.png", "near duplicate")])


@pytest.mark.parametrize(
    "change",
    [
        lambda i: Image.merge("RGB", i.split()[::-1]),
        lambda i: i.resize((60, 80)),
        lambda i: i.point(lambda level: level * 0.7),
    ],
    ids=["other colours", "another shape", "darker"],
)
def test_the_same_pattern_in_other_colours_or_another_shape_is_no_duplicate(make_crop, change):
    first = make_crop(40, 60, 1, "first")
    second = Crop("second", changed(first.pixels, change), "second.png")
    assert kinds([first, second])[0] == ["first", "second"]


def test_a_chain_of_look_alikes_keeps_its_first_and_what_is_unlike_it(make_crop):
    first = make_crop(40, 60, 1, "first")
    rest = [Crop(f"q{q}", changed(first.pixels, lambda i, q=q: jpeg(i, q)), "q") for q in (80, 60)]
    assert kinds([first, *rest])[0] == ["first"]


def test_the_drawn_set_holds_no_duplicates():
    drawn = drawn_occluders(120)
    crops = [Crop(name, image, name) for name, image in zip(drawn.names, drawn, strict=True)]
    assert len(without_duplicates(crops)[0]) == 120


def test_a_picture_without_contrast_is_like_no_other():
    flat = look_of(np.full((40, 40, 3), 90, np.uint8))
    assert alike([flat, flat]) == [] and alike([flat], [flat]) == []


def test_pairs_across_two_lists_are_found(make_crop):
    looks = [look_of(make_crop(40, 60, seed).pixels) for seed in range(6)]
    assert alike(looks[:3], looks[2:]) == [(2, 0)]


def test_transparent_pixels_do_not_count_by_their_hidden_colour(texture):
    alpha = np.tile((np.arange(60) < 30)[None, :, None] * 255, (40, 1, 1)).astype(np.uint8)
    one = np.concatenate([texture(40, 60), alpha], axis=2)
    other = one.copy()
    other[alpha[..., 0] == 0, :3] = 7
    assert alike([look_of(one), look_of(other)]) == [(0, 1)]


@pytest.mark.parametrize(
    ("bits", "levels", "ratio", "near"),
    [
        *((4, 0, 1.0, True), (5, 0, 1.0, False)),
        *((0, 10, 1.0, True), (0, 11, 1.0, False)),
        *((0, 0, 1.1, True), (0, 0, 1.12, False)),
        (4, 10, 1.1, True),
    ],
)
def test_hash_colours_and_shape_each_have_a_limit(bits, levels, ratio, near):
    first = Look(0x0F0F_1234_5678_9ABC, bytes([100] * 48), 0.5)
    second = Look(first.hash ^ ((1 << bits) - 1), bytes([100 + levels] * 48), 0.5 * ratio)
    assert bool(alike([first, second])) == near
    assert bool(alike([second], [first])) == near
