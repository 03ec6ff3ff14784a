from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.transforms import PeopleSet, PersonPlacement, PlacementRule, draw_placement

SIZES = [(90, 30), (40, 60), (61, 30)]
PEOPLE = PeopleSet([f"{index}.jpg" for index in range(6)], list("aabbcc"))


def draw_many(rule, height, width, count=3000, people=None, pid=None):
    generator = torch.Generator().manual_seed(0)
    return [rule.draw(SIZES, height, width, generator, people, pid) for _ in range(count)]


def chi_square(counts, expected):
    return sum((count - expected) ** 2 / expected for count in counts)


def uniform(values, low, high):
    """Whether all whole numbers of the range occur, about equally often (p = 0.001)."""
    counts = Counter(values)
    assert sorted(counts) == list(range(low, high + 1))
    freedom = high - low
    bound = freedom + 3.5 * (2 * freedom) ** 0.5 + 4
    return chi_square(counts.values(), len(values) / (freedom + 1)) < bound


def test_the_default_rule_draws_what_the_reference_draws_and_no_number_more():
    ours, plain = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    for _ in range(50):
        (placement,) = PlacementRule().draw(SIZES, 64, 32, ours)
        assert placement == draw_placement(SIZES, 64, 32, plain)
    assert torch.equal(ours.get_state(), plain.get_state())


def test_free_sizes_are_uniform_over_their_ranges_inclusive():
    rule = PlacementRule("free", height=(0.25, 0.5), width=(0.5, 1.0))
    placements = [placement for (placement,) in draw_many(rule, 32, 16)]
    assert uniform([p.height for p in placements], 8, 16)
    assert uniform([p.width for p in placements], 8, 16)


def test_free_places_are_uniform_over_all_that_fit():
    rule = PlacementRule("free", height=(0.5, 0.5), width=(0.5, 0.5))
    placements = [placement for (placement,) in draw_many(rule, 20, 10)]
    assert uniform([p.top for p in placements], 0, 10)
    assert uniform([p.left for p in placements], 0, 5)


def test_all_that_is_free_is_drawn_apart_from_each_other():
    placements = [p for (p,) in draw_many(PlacementRule("free"), 200, 200, 4000)]
    columns = torch.tensor(
        [
            [
                p.occluder,
                p.flip,
                p.height,
                p.width,
                (p.top + 0.5) / (201 - p.height),
                p.jitter.brightness,
            ]
            + [(p.left + 0.5) / (201 - p.width), p.jitter.contrast, p.jitter.saturation]
            for p in placements
        ],
        dtype=torch.float64,
    )
    assert torch.corrcoef(columns.T).fill_diagonal_(0).abs().max() < 0.06


def test_the_number_of_occluders_is_uniform_over_its_range():
    drawn = draw_many(PlacementRule(count=(2, 4)), 64, 32)
    assert uniform([len(placements) for placements in drawn], 2, 4)
    assert len({placements[0] for placements in drawn}) > 1000


def test_several_reference_occluders_each_obey_the_reference():
    for placements in draw_many(PlacementRule(count=(2, 2)), 64, 32, 200):
        for placement in placements:
            assert placement.height == 64 or placement.width == 32
            assert placement.top in (0, 64 - placement.height)


def test_the_share_of_people_is_that_of_the_rule_and_none_is_the_person_itself():
    drawn = draw_many(PlacementRule(people=0.3), 64, 32, 3000, PEOPLE, "b")
    people = [p for (p,) in drawn if isinstance(p, PersonPlacement)]
    assert abs(len(people) - 900) < 90
    counts = Counter(p.person for p in people)
    assert sorted(counts) == [0, 1, 4, 5]
    assert chi_square(counts.values(), len(people) / 4) < 16.27  # 3 degrees, p = 0.001


def test_a_person_stands_at_the_lower_edge_head_on_top_cut_off_at_one_side():
    rule = PlacementRule(people=1.0, people_scale=(0.5, 2.0))
    at_left = 0
    for (p,) in draw_many(rule, 64, 32, 1000, PEOPLE, "a"):
        assert p.top + p.height == 64 and p.frame_top == 0
        if p.left == 0 and p.frame_left:
            at_left += 1
            assert p.frame_left + p.width == p.frame_width
        elif p.width < 32:
            assert p.left + p.width == 32 and p.frame_left == 0
        assert abs(p.frame_height / 64 - p.frame_width / 32) < 0.05
    assert 420 < at_left < 580


def test_the_parts_and_sizes_of_people_keep_to_their_ranges():
    rule = PlacementRule(
        people=1.0, people_scale=(0.5, 0.5), people_height=(0.25, 0.5), people_width=(0.5, 1.0)
    )
    people = [p for (p,) in draw_many(rule, 64, 64, 3000, PEOPLE, "a")]
    assert {(p.frame_height, p.frame_width) for p in people} == {(32, 32)}
    assert uniform([p.height for p in people], 8, 16)
    assert uniform([p.width for p in people], 16, 32)


RULES = (
    PlacementRule("free"),
    PlacementRule(count=(1, 3)),
    PlacementRule(people=0.5),
    PlacementRule("free", count=(1, 3), people=0.5),
)


@pytest.mark.parametrize("rule", RULES)
def test_the_amount_of_randomness_taken_does_not_depend_on_the_outcome(rule):
    most = rule.count[1]
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        rule.draw(SIZES, 64, 32, generator, PEOPLE, "a")
        plain = torch.Generator().manual_seed(seed)
        torch.rand(1 + 11 * most, generator=plain, dtype=torch.float64)
        assert torch.equal(generator.get_state(), plain.get_state())


ranges = st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(lambda ends: tuple(sorted(ends)))


@pytest.mark.parametrize("rule", [PlacementRule(), PlacementRule("free", (0.1, 0.7), (0.2, 0.6))])
def test_no_obstacle_is_pasted_larger_than_its_most(rule):
    sizes, image = [(50, 20), (40, 20), (10, 90)], (101, 51)
    generator, largest = torch.Generator().manual_seed(0), {}
    for _ in range(2000):
        (place,) = rule.draw(sizes, *image, generator)
        rows, columns = largest.get(place.occluder, (0, 0))
        largest[place.occluder] = max(rows, place.height), max(columns, place.width)
    assert largest == {i: rule.most_shown(size, image) for i, size in enumerate(sizes)}


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 200),
    rows=ranges,
    columns=ranges,
    scale=st.tuples(st.floats(0.001, 4), st.floats(0.001, 4)).map(lambda e: tuple(sorted(e))),
    count=st.tuples(st.integers(1, 4), st.integers(0, 3)),
    people=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_every_placement_lies_inside_the_image_and_obeys_its_ranges(
    height, width, rows, columns, scale, count, people, seed
):
    rule = PlacementRule(
        "free",
        height=rows,
        width=columns,
        count=(count[0], sum(count)),
        people=people,
        people_scale=scale,
        people_height=rows,
        people_width=columns,
    )
    drawn = rule.draw(SIZES, height, width, torch.Generator().manual_seed(seed), PEOPLE, "a")
    assert count[0] <= len(drawn) <= sum(count)
    for p in drawn:
        assert 0 <= p.top <= height - p.height and 0 <= p.left <= width - p.width
        assert p.height >= 1 and p.width >= 1
        if isinstance(p, PersonPlacement):
            assert 0 <= p.frame_top <= p.frame_height - p.height
            assert 0 <= p.frame_left <= p.frame_width - p.width
        else:
            assert rows[0] * height - 0.5 <= max(1, p.height) <= max(1, rows[1] * height + 0.5)
            assert columns[0] * width - 0.5 <= p.width <= max(1, columns[1] * width + 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"placement": "corner"}, r"placement='corner': expected one of 'reference', 'free'"),
        ({"height": (0.5, 0.2)}, r"height=\(0.5, 0.2\): expected \(low, high\), shares of the ima"),
        ({"height": (0, 0.2)}, r"height=\(0, 0.2\): .* with 0 < low <= high <= 1"),
        ({"width": (0.5, 1.2)}, r"width=\(0.5, 1.2\): .* with 0 < low <= high <= 1"),
        ({"width": (0.5,)}, r"width=\(0.5,\)"),
        ({"width": (0.5, "1")}, r"width=\(0.5, '1'\)"),
        ({"height": (0.5, float("nan"))}, r"height=\(0.5, nan\)"),
        ({"height": (True, True)}, r"height=\(True, True\)"),
        ({"placement": "reference", "height": (0.1, 0.2)}, "height=.*try placement 'free'"),
        ({"placement": "reference", "width": (0.1, 0.2)}, "width=.* reference's sizes are fixed"),
        ({"count": (0, 1)}, r"count=\(0, 1\): .* whole numbers with 1 <= low <= high <= 50"),
        ({"count": (1, 51)}, r"count=\(1, 51\): .* whole numbers with 1 <= low <= high <= 50"),
        ({"count": (3, 2)}, r"count=\(3, 2\)"),
        ({"count": (1, 2.0)}, r"count=\(1, 2.0\)"),
        ({"count": (1, 2, 3)}, r"count=\(1, 2, 3\)"),
        ({"people": 1.5}, r"people=1.5: expected a share in \[0, 1\]"),
        ({"people": float("nan")}, r"people=nan"),
        ({"people_scale": (1, 5)}, r"people_scale=\(1, 5\): .* with 0 < low <= high <= 4"),
        ({"people_height": (0, 1)}, r"people_height=\(0, 1\): .* the other person's image"),
        ({"people_width": (0.9, 0.8)}, r"people_width=\(0.9, 0.8\)"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_its_name(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        PlacementRule(**{"placement": "free", **values})


@pytest.mark.parametrize(("sizes", "height"), [([], 8), (SIZES, 0)])
def test_nothing_to_paste_or_nothing_to_cover_is_refused(sizes, height):
    with pytest.raises(ValueError, match=f"got {len(sizes)} occluders and {height} x 8"):
        PlacementRule("free").draw(sizes, height, 8)
