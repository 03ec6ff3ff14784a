from __future__ import annotations

from itertools import combinations

import pytest

from fed_plugin.synthocc.casting import SIZES, cast
from fed_plugin.synthocc.identity import FAMILY_SIZE, draw_identities


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_people_agree_in_everything_that_is_not_a_length(name, seed):
    people = list(cast(SIZES[name], seed).values())

    assert all(a.differences(b) > 0 for a, b in combinations(people, 2))


def families(seed):
    people = draw_identities(seed, "test", 48)
    return [people[i : i + FAMILY_SIZE] for i in range(0, 48, FAMILY_SIZE)]


def test_members_of_a_family_wear_the_same_colours():
    for family in families(0):
        assert len({(p.upper_colour, p.accent, p.lower_colour) for p in family}) == 1


def test_members_of_a_family_differ_in_pattern_or_logo_and_in_four_attributes():
    for family in families(0):
        assert len({(p.pattern, p.logo) for p in family}) == FAMILY_SIZE
        assert all(a.differences(b) >= 4 for a, b in combinations(family, 2))


def test_families_of_different_groups_are_independent():
    train, test = draw_identities(0, "train", 8), draw_identities(0, "test", 8)

    assert all(a != b for a in train for b in test)


def test_drawing_more_people_does_not_change_the_first_ones():
    assert draw_identities(0, "train", 12)[:8] == draw_identities(0, "train", 8)
