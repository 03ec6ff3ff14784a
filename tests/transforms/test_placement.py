from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fed_plugin.transforms import Placement, draw_placement, occlusion_mask
from fed_plugin.transforms.placement import ORDERS

TALL, WIDE = (90, 30), (40, 60)


def draw_many(sizes, height, width, count=4000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [draw_placement(sizes, height, width, generator) for _ in range(count)]


def chi_square(counts, expected):
    return sum((count - expected) ** 2 / expected for count in counts)


def test_a_high_narrow_crop_covers_the_full_height_left_or_right_without_jitter():
    for placement in draw_many([TALL], 256, 128, 400):
        assert (placement.top, placement.height) == (0, 256)
        assert placement.left in (0, 128 - placement.width)
        assert placement.jitter is None


def test_any_other_crop_covers_the_full_width_top_or_bottom_with_jitter():
    for placement in draw_many([WIDE], 256, 128, 400):
        assert (placement.left, placement.width) == (0, 128)
        assert placement.top in (0, 256 - placement.height)
        assert placement.jitter is not None


@pytest.mark.parametrize(("size", "is_tall"), [((60, 30), False), ((61, 30), True), ((3, 1), True)])
def test_exactly_two_to_one_still_counts_as_wide(size, is_tall):
    assert (draw_placement([size], 64, 32).jitter is None) is is_tall


def test_the_width_of_a_high_crop_is_uniform_between_a_quarter_and_half_inclusive():
    counts = Counter(placement.width for placement in draw_many([TALL], 64, 32))
    assert sorted(counts) == list(range(8, 17))
    assert chi_square(counts.values(), 4000 / 9) < 26.12  # 8 degrees of freedom, p = 0.001


def test_the_height_of_any_other_crop_is_uniform_between_a_quarter_and_half_inclusive():
    counts = Counter(placement.height for placement in draw_many([WIDE], 32, 64))
    assert sorted(counts) == list(range(8, 17))
    assert chi_square(counts.values(), 4000 / 9) < 26.12


@pytest.mark.parametrize("size", [TALL, WIDE])
def test_the_two_ends_are_equally_likely_whatever_the_extent(size):
    placements = draw_many([size], 64, 32)
    at_start = sum(placement.top == 0 and placement.left == 0 for placement in placements)
    assert chi_square((at_start, 4000 - at_start), 2000) < 10.83  # 1 degree of freedom
    small = [p for p in placements if p.height * p.width < 0.375 * 64 * 32]
    at_start = sum(placement.top == 0 and placement.left == 0 for placement in small)
    assert chi_square((at_start, len(small) - at_start), len(small) / 2) < 10.83


def test_the_four_corners_are_uniform():
    # either shape sees its corners in equal pairs; a pair of shapes from the same draws sees four
    corners = Counter()
    for seed in range(2000):
        tall = draw_placement([TALL], 64, 32, torch.Generator().manual_seed(seed))
        wide = draw_placement([WIDE], 64, 32, torch.Generator().manual_seed(seed))
        corners[wide.top == 0, tall.left == 0] += 1
    assert len(corners) == 4
    assert chi_square(corners.values(), 500) < 16.27  # 3 degrees of freedom


def test_occluders_flips_and_orders_are_uniform():
    placements = draw_many([WIDE] * 5, 64, 32, 5000)
    occluders = Counter(placement.occluder for placement in placements)
    assert sorted(occluders) == list(range(5))
    assert chi_square(occluders.values(), 1000) < 18.47  # 4 degrees of freedom
    flips = sum(placement.flip for placement in placements)
    assert chi_square((flips, 5000 - flips), 2500) < 10.83
    orders = Counter(placement.jitter.order for placement in placements)
    assert set(orders) == set(ORDERS)
    assert chi_square(orders.values(), 5000 / 6) < 20.52  # 5 degrees of freedom


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_factors_are_uniform_between_a_half_and_one_and_a_half(name):
    factors = [getattr(p.jitter, name) for p in draw_many([WIDE], 64, 32, 5000)]
    assert 0.5 <= min(factors) < 0.51 and 1.49 < max(factors) < 1.5
    tenths = Counter(int(10 * (factor - 0.5)) for factor in factors)
    assert chi_square(tenths.values(), 500) < 27.88  # 9 degrees of freedom


def test_flip_end_extent_and_factors_are_drawn_apart_from_each_other():
    placements = draw_many([WIDE], 64, 32, 4000)
    columns = torch.tensor(
        [
            [p.flip, p.top == 0, p.height, p.jitter.brightness, p.jitter.contrast,
             p.jitter.saturation, ORDERS.index(p.jitter.order)]
            for p in placements
        ],
        dtype=torch.float64,
    )  # fmt: skip
    correlations = torch.corrcoef(columns.T).fill_diagonal_(0)
    assert correlations.abs().max() < 0.06


def test_the_same_generator_state_draws_the_same_placements():
    sizes = [TALL, WIDE, TALL]
    assert draw_many(sizes, 64, 32, 50, seed=3) == draw_many(sizes, 64, 32, 50, seed=3)
    assert draw_many(sizes, 64, 32, 50, seed=3) != draw_many(sizes, 64, 32, 50, seed=4)


def test_without_a_generator_torchs_own_one_is_used():
    torch.manual_seed(11)
    first = draw_placement([TALL, WIDE], 64, 32)
    torch.manual_seed(11)
    assert draw_placement([TALL, WIDE], 64, 32) == first
    own = torch.Generator().manual_seed(11)
    assert draw_placement([TALL, WIDE], 64, 32, own) == first


def test_nine_numbers_are_taken_whatever_the_branch():
    after = []
    for size in (TALL, WIDE):
        generator = torch.Generator().manual_seed(5)
        draw_placement([size], 64, 32, generator)
        after.append(torch.rand(1, generator=generator).item())
    plain = torch.Generator().manual_seed(5)
    torch.rand(9, generator=plain, dtype=torch.float64)
    assert after == [torch.rand(1, generator=plain).item()] * 2


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 2**32),
)
def test_every_placement_lies_inside_the_image_and_obeys_its_bounds(height, width, size, seed):
    placement = draw_placement([size], height, width, torch.Generator().manual_seed(seed))
    assert 0 <= placement.top <= height - placement.height
    assert 0 <= placement.left <= width - placement.width
    tall = size[0] / size[1] > 2
    extent, side = (placement.width, width) if tall else (placement.height, height)
    assert max(1, side // 4) <= extent <= max(1, side // 2)
    full, other = (placement.height, height) if tall else (placement.width, width)
    assert full == other
    mask = occlusion_mask(placement, height, width)
    assert mask.shape == (height, width) and mask.dtype == torch.bool
    assert int(mask.sum()) == placement.height * placement.width


def test_the_mask_is_the_rectangle_of_the_placement():
    mask = occlusion_mask(Placement(0, False, top=1, left=2, height=2, width=1), 4, 4)
    assert mask.int().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(("sizes", "height", "width"), [([], 8, 8), ([TALL], 0, 8), ([TALL], 8, 0)])
def test_nothing_to_paste_or_nothing_to_cover_is_refused(sizes, height, width):
    with pytest.raises(ValueError, match=f"got {len(sizes)} occluders and {height} x {width}"):
        draw_placement(sizes, height, width)
