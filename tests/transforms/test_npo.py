from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from fed_plugin import transforms
from fed_plugin.transforms import (
    ColorJitter,
    NPOAugmentation,
    OccluderSet,
    Placement,
    draw_placement,
    occlusion_mask,
    paste,
)


class Constant(Dataset):
    """One grey image, augmented anew at every index."""

    def __init__(self, augmentation):
        self.augmentation = augmentation

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.augmentation(torch.full((3, 16, 8), 300.0))


def pil_patch(crop, placement):
    """Redo the pasting with PIL: flip, jitter, bicubic resize."""
    image = Image.fromarray(placement.jitter(crop) if placement.jitter else crop)
    if placement.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    resized = image.resize((placement.width, placement.height), Image.Resampling.BICUBIC)
    return np.asarray(resized).astype(int)


@pytest.mark.parametrize("jitter", [None, ColorJitter(1.3, 0.7, 1.2)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(200, 130), (40, 61), (7, 5), (1, 1)])
def test_the_patch_is_what_pil_would_paste(random_crop, image, size, flip, jitter):
    occluders = OccluderSet([random_crop(*size)])
    placement = Placement(0, flip, top=16, left=0, height=48, width=32, jitter=jitter)
    patch = paste(image, occluders, placement)[:, 16:].permute(1, 2, 0).numpy()
    assert np.abs(patch - pil_patch(occluders[0], placement)).max() <= 2


def test_a_sharp_edge_does_not_overshoot_the_range():
    edge = np.zeros((10, 10, 3), dtype=np.uint8)
    edge[:, 5:] = 255
    placement = Placement(0, False, top=0, left=0, height=40, width=40)
    result = paste(torch.zeros(3, 40, 40), OccluderSet([edge]), placement)
    assert result.min() == 0 and result.max() == 255
    assert torch.equal(result, result.round())


def test_flipping_mirrors_the_patch(image, wide_set):
    place = {"top": 0, "left": 0, "height": 20, "width": 32}
    plain = paste(image, wide_set, Placement(0, False, **place))[:, :20]
    flipped = paste(image, wide_set, Placement(0, True, **place))[:, :20]
    assert torch.equal(plain.flip(-1), flipped)
    assert not torch.equal(plain, flipped)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_the_mask_marks_exactly_the_changed_pixels(mixed_set, dtype):
    # 300 is no grey level, so that every covered pixel differs
    blank = torch.full((3, 33, 17), 300.0, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        placement = draw_placement(mixed_set.sizes, 33, 17, generator)
        occluded = paste(blank, mixed_set, placement)
        assert occluded.dtype == dtype
        changed = (occluded != blank).all(dim=0)
        assert torch.equal(changed, occlusion_mask(placement, 33, 17))
        assert torch.equal((occluded != blank).any(dim=0), changed)


def test_holistic_comes_first_and_neither_view_shares_memory_with_the_input(image, mixed_set):
    kept = image.clone()
    views = NPOAugmentation(mixed_set)(image)
    assert views.shape == (2, 3, 64, 32) and views.is_contiguous()
    assert torch.equal(views[0], kept) and not torch.equal(views[1], kept)
    views.zero_()
    assert torch.equal(image, kept)


def test_one_view_is_the_occluded_one_of_two(image, mixed_set):
    kept = image.clone()
    torch.manual_seed(4)
    pair = NPOAugmentation(mixed_set)(image)
    torch.manual_seed(4)
    alone = NPOAugmentation(mixed_set, views=1)(image)
    assert torch.equal(alone, pair[1]) and torch.equal(image, kept)
    with pytest.raises(ValueError, match="expected 1 or 2 views, got 3"):
        NPOAugmentation(mixed_set, views=3)


def test_paste_does_not_modify_its_input(image, mixed_set):
    kept = image.clone()
    paste(image, mixed_set, draw_placement(mixed_set.sizes, 64, 32))
    assert torch.equal(image, kept)


def test_the_augmentation_is_the_drawn_placement_pasted(image, mixed_set):
    views = NPOAugmentation(mixed_set)(image, torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(2)
    torch.rand(1, generator=generator, dtype=torch.float64)
    placement = draw_placement(mixed_set.sizes, 64, 32, generator)
    assert torch.equal(views[1], paste(image, mixed_set, placement))


def test_torchs_seed_makes_it_reproducible(image, mixed_set):
    augment = NPOAugmentation(mixed_set)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(torch.stack([augment(image) for _ in range(4)]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_probability_is_the_share_of_covered_images(mixed_set):
    image = torch.full((3, 8, 4), 300.0)
    generator = torch.Generator().manual_seed(0)
    augment = NPOAugmentation(mixed_set, probability=0.3)
    covered = sum(
        not torch.equal(*augment(image, generator).unbind()) for _ in range(2000)
    )  # standard deviation 20
    assert abs(covered - 600) < 70


def test_probability_nought_covers_none_and_one_covers_all(mixed_set):
    image = torch.full((3, 8, 4), 300.0)
    for _ in range(50):
        assert torch.equal(*NPOAugmentation(mixed_set, 0.0)(image).unbind())
        assert not torch.equal(*NPOAugmentation(mixed_set, 1.0)(image).unbind())


def test_the_probability_does_not_shift_the_next_draws(image, mixed_set):
    following = []
    for probability in (0.0, 1.0):
        generator = torch.Generator().manual_seed(9)
        NPOAugmentation(mixed_set, probability)(image, generator)
        following.append(NPOAugmentation(mixed_set)(image, generator))
    assert torch.equal(*following)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 6),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32),
)
def test_tiny_images_and_tiny_crops_work(height, width, size, seed):
    occluders = OccluderSet([np.full((*size, 3), 50, dtype=np.uint8)])
    image = torch.full((3, height, width), 300.0)
    views = NPOAugmentation(occluders)(image, torch.Generator().manual_seed(seed))
    assert views.shape == (2, 3, height, width)
    assert torch.equal(views[0], image)
    assert int((views[1] != 300).all(dim=0).sum()) >= 1
    assert views[1].min() >= 0


def test_it_pickles_and_then_does_the_same(image, mixed_set):
    augment = NPOAugmentation(mixed_set, probability=0.8)
    again = pickle.loads(pickle.dumps(augment))
    assert again.probability == 0.8
    for seed in range(6):
        first = augment(image, torch.Generator().manual_seed(seed))
        assert torch.equal(first, again(image, torch.Generator().manual_seed(seed)))


def test_two_workers_with_one_seed_give_the_same_batches_and_differ_from_each_other(mixed_set):
    batches = []
    for _ in range(2):
        loader = DataLoader(
            Constant(NPOAugmentation(mixed_set)),
            batch_size=4,
            num_workers=2,
            generator=torch.Generator().manual_seed(3),
        )
        batches.append(list(loader))
    first, second = batches[0]
    assert torch.equal(first, batches[1][0]) and torch.equal(second, batches[1][1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (torch.zeros(3, 8, 4, dtype=torch.uint8), r"\(3, 8, 4\) of torch.uint8"),
        (torch.zeros(1, 8, 4), r"\(1, 8, 4\) of torch.float32"),
        (torch.zeros(2, 3, 8, 4), r"\(2, 3, 8, 4\)"),
    ],
)
def test_what_is_no_float_image_is_refused(image, found, mixed_set):
    with pytest.raises(ValueError, match=rf"needs a \(3, H, W\) floating point image.*{found}"):
        NPOAugmentation(mixed_set)(image)
    with pytest.raises(ValueError, match=found):
        paste(image, mixed_set, Placement(0, False, 0, 0, 1, 1))


def test_a_placement_for_another_image_size_is_refused(image, mixed_set):
    with pytest.raises(ValueError, match=r"does not fit an image of \(64, 32\)"):
        paste(image, mixed_set, Placement(0, False, top=0, left=0, height=65, width=4))


@pytest.mark.parametrize("probability", [-0.1, 1.01, float("nan")])
def test_a_probability_outside_its_range_is_refused(mixed_set, probability):
    with pytest.raises(ValueError, match=rf"probability in \[0, 1\], got {probability}"):
        NPOAugmentation(mixed_set, probability)


def test_the_library_names_no_key_of_a_config():
    for file in Path(transforms.__file__).parent.glob("*.py"):
        assert re.findall(r"\b(?:INPUT|MODEL|DATASETS)\.[A-Z]\w+", file.read_text()) == [], file
