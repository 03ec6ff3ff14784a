from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.transforms import (
    NPOAugmentation,
    OccluderSet,
    PeopleSet,
    Placement,
    PlacementRule,
    drawn_occluders,
    occlusion_mask,
    paste,
)
from fed_plugin.transforms.npo import edge_weights


def disc(height, width, color=(10, 200, 60), hidden=(255, 0, 255)):
    """Draw an RGBA ellipse; where it is transparent a garish colour is hidden."""
    rows = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    columns = (np.arange(width)[None] + 0.5) / width * 2 - 1
    distance = np.sqrt(rows**2 + columns**2)
    alpha = (255 * np.clip((1 - distance) * min(height, width) / 4, 0, 1)).astype(np.uint8)
    pixels = np.empty((height, width, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, color, hidden)
    pixels[..., 3] = alpha
    return pixels


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    paths = []
    for index in range(4):
        paths.append(str(folder / f"{index}.png"))
        pixels = random.integers(0, 256, (20, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(paths[-1])
    return PeopleSet(paths, [0, 0, 1, 1])


def loop_weights(support, placement, height, width, feather):
    """Say the rule again, pixel by pixel."""
    weights = np.zeros(support.shape)
    for row, column in np.argwhere(support):
        nearest = np.inf
        for r in range(-1, support.shape[0] + 1):
            for c in range(-1, support.shape[1] + 1):
                inside = 0 <= r < support.shape[0] and 0 <= c < support.shape[1]
                in_image = 0 <= r + placement.top < height and 0 <= c + placement.left < width
                if in_image and not (inside and support[r, c]):
                    nearest = min(nearest, np.hypot(r - row, c - column))
        weights[row, column] = min(1, nearest / (feather + 1))
    return weights


@pytest.mark.parametrize(
    ("top", "left"), [(0, 0), (0, 3), (1, 0), (12 - 9, 11 - 7), (2, 1), (12 - 9, 2)]
)
@pytest.mark.parametrize("feather", [1, 3])
def test_the_rim_fades_with_the_distance_to_the_nearest_uncovered_pixel(top, left, feather):
    placement = Placement(0, False, top, left, 9, 7)
    for support in (np.ones((9, 7), dtype=bool), disc(9, 7)[..., 3] > 0):
        weights = edge_weights(torch.from_numpy(support), placement, 12, 11, feather)
        expected = loop_weights(support, placement, 12, 11, feather)
        assert np.abs(weights.numpy() - expected).max() < 0.04  # OpenCV's 5 x 5 distances
        assert torch.equal(weights > 0, torch.from_numpy(support))


def test_what_fills_the_whole_image_does_not_fade():
    placement = Placement(0, False, 0, 0, 5, 6)
    assert (edge_weights(torch.ones(5, 6, dtype=torch.bool), placement, 5, 6, 4) == 1).all()


def test_a_feathered_edge_mixes_by_its_weights(image):
    occluders = OccluderSet([np.full((8, 8, 3), 200, dtype=np.uint8)])
    placement = Placement(0, False, top=20, left=8, height=16, width=12)
    result = paste(image, occluders, placement, feather=3)
    weights = edge_weights(torch.ones(16, 12, dtype=torch.bool), placement, 64, 32, 3)
    expected = image.clone()
    part = expected[:, 20:36, 8:20]
    part[:] = part * (1 - weights) + 200 * weights
    assert torch.allclose(result, expected, atol=1e-3)
    assert (result[:, 23:33, 11:17] == 200).all()


def test_transparent_pixels_show_the_image_and_opaque_ones_the_crop(image):
    occluders = OccluderSet([disc(40, 30)])
    placement = Placement(0, False, top=2, left=1, height=40, width=30)
    result = paste(image, occluders, placement)
    alpha = torch.from_numpy(disc(40, 30)[..., 3].copy())
    region, before = result[:, 2:42, 1:31], image[:, 2:42, 1:31]
    assert torch.equal(region[:, alpha == 0], before[:, alpha == 0])
    color = torch.tensor([10.0, 200.0, 60.0])[:, None]
    assert torch.allclose(region[:, alpha == 255], color)
    share = alpha.float() / 255
    assert (region - (before * (1 - share) + color[..., None] * share)).abs().max() < 1


@pytest.mark.parametrize("size", [(13, 9), (60, 31), (5, 5), (1, 1)])
def test_the_colours_of_transparent_pixels_do_not_show(size):
    image = torch.zeros(3, 64, 32)
    placement = Placement(0, False, 0, 0, *size)
    results = [
        paste(image, OccluderSet([disc(40, 30, hidden=hidden)]), placement)
        for hidden in ((255, 0, 255), (0, 0, 0))
    ]
    assert torch.equal(*results)
    assert results[0][0].max() <= 11  # no magenta


def test_an_alpha_channel_that_is_opaque_changes_nothing_but_rounding(image, random_crop):
    crop = random_crop(31, 17)
    placement = Placement(0, True, 3, 2, 20, 25)
    opaque = np.dstack((crop, np.full(crop.shape[:2], 255, dtype=np.uint8)))
    plain = paste(image, OccluderSet([crop]), placement)
    assert torch.allclose(paste(image, OccluderSet([opaque]), placement), plain, atol=1e-3)


def test_flipping_mirrors_colours_and_alpha(image):
    half = disc(20, 20)
    half[:, :10, 3] = 0
    place = {"top": 0, "left": 0, "height": 20, "width": 20}
    black = torch.zeros_like(image)
    plain = paste(black, OccluderSet([half]), Placement(0, False, **place))[:, :20, :20]
    flipped = paste(black, OccluderSet([half]), Placement(0, True, **place))[:, :20, :20]
    assert torch.equal(plain.flip(-1), flipped) and not torch.equal(plain, flipped)


def augmentations(people, feather):
    cut_out = OccluderSet([disc(40, 12), disc(20, 30)])
    opaque = OccluderSet([disc(40, 12)[..., :3], disc(20, 30)[..., :3]])
    every = PlacementRule("free", count=(1, 4), people=0.4)
    return (
        NPOAugmentation(opaque, feather=feather),
        NPOAugmentation(opaque, rule=PlacementRule("free", (0.01, 1), (0.01, 1)), feather=feather),
        NPOAugmentation(cut_out, feather=feather),
        NPOAugmentation(cut_out, rule=every, feather=feather, people=people),
        NPOAugmentation(opaque, rule=PlacementRule(people=1.0), feather=feather, people=people),
        NPOAugmentation(cut_out, 0.5, PlacementRule(count=(2, 3)), feather),
    )


@settings(max_examples=60, deadline=None)
@given(
    kind=st.integers(0, 5),
    feather=st.sampled_from([0, 0, 1, 6]),
    height=st.integers(1, 300),
    width=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_the_mask_marks_exactly_the_pixels_that_change(people, kind, feather, height, width, seed):
    augment = augmentations(people, feather)[kind]
    # 1000 is no grey level, so that every covered pixel differs
    image = torch.full((3, height, width), 1000.0, dtype=torch.float64)
    placements = augment.draw(height, width, torch.Generator().manual_seed(seed), pid=1)
    views, mask = augment.apply(image, placements)
    assert torch.equal(views[0], image)
    changed = views[1] != image
    assert torch.equal(changed.any(dim=0), mask) and torch.equal(changed.all(dim=0), mask)
    assert views[1].min() >= 0
    union = torch.zeros_like(mask)
    for placement in placements:
        alone = augment.apply(image, [placement])[1]
        assert not (alone & ~occlusion_mask(placement, height, width)).any()
        union |= alone
    assert torch.equal(mask, union)


@pytest.mark.parametrize("kind", range(6))
def test_calling_is_drawing_and_applying_and_a_generator_fixes_the_bits(people, image, kind):
    augment = augmentations(people, 2)[kind]
    before = image.clone()
    for seed in range(8):
        one, two, three = (torch.Generator().manual_seed(seed) for _ in range(3))
        called = augment(image, one, pid=0)
        views, _ = augment.apply(image, augment.draw(64, 32, two, pid=0))
        assert torch.equal(called, views) and torch.equal(called, augment(image, three, pid=0))
        assert torch.equal(one.get_state(), two.get_state())
        assert called.max() < 255.001
    assert torch.equal(image, before)


@pytest.mark.parametrize("kind", range(6))
def test_what_happens_to_one_image_never_shifts_the_next(people, image, kind):
    augment = augmentations(people, 0)[kind]
    states = set()
    for size, pid in (((64, 32), 0), ((5, 90), 1), ((1, 1), 0)):
        generator = torch.Generator().manual_seed(3)
        augment.draw(*size, generator, pid)
        states.add(tuple(generator.get_state().tolist()))
    assert len(states) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_soft_occluders_keep_the_images_type(people, image, dtype):
    views = augmentations(people, 2)[3](image.to(dtype), pid=0)
    assert views.dtype == dtype and torch.isfinite(views).all()


def test_people_show_what_their_files_hold(people, image):
    augment = NPOAugmentation(drawn_occluders(1), rule=PlacementRule(people=1.0), people=people)
    (placement,) = augment.draw(64, 32, torch.Generator().manual_seed(0), pid=0)
    views, _ = augment.apply(image, [placement])
    region = views[1][:, placement.top :, placement.left : placement.left + placement.width]
    np.testing.assert_array_equal(region.permute(1, 2, 0).numpy(), people.cut(placement))


def test_people_without_a_set_of_them_are_refused(mixed_set):
    with pytest.raises(ValueError, match=r"expected a PeopleSet, as 0.5 of occluders are people"):
        NPOAugmentation(mixed_set, rule=PlacementRule(people=0.5))


def test_a_negative_feather_is_refused_with_its_key(mixed_set):
    with pytest.raises(ValueError, match=r"^feather=-1: expected 0 or more pixels"):
        NPOAugmentation(mixed_set, feather=-1)
