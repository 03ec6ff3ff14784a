from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.transforms import PeopleSet, PersonPlacement, PlacementRule
from fed_plugin.transforms import people as people_module


@pytest.fixture
def people(tmp_path, random_crop):
    """Return three people, two images each, listed in turn."""
    paths = []
    for index in range(6):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(random_crop(24, 12, index)).save(paths[-1])
    return PeopleSet(paths, ["anna", "ben", "cleo"] * 2)


def whole(index, flip=False):
    return PersonPlacement(index, flip, 0, 0, 24, 12, 24, 12, 0, 0)


def test_only_images_of_others_are_drawn_all_equally_often(people):
    for pid in ("anna", "ben", "cleo"):
        draws = [people.other_than(pid, step / 400) for step in range(400)]
        assert set(Counter(draws).values()) == {100}
        own = {"anna": "03", "ben": "14", "cleo": "25"}[pid]
        assert not {people.path(index)[-5] for index in draws} & set(own)
    assert people.path(people.other_than("cleo", 1 - 2**-53))[-5] == "4"


def test_a_whole_frame_of_its_own_size_is_the_image_itself(people, random_crop):
    shown = {people.path(index)[-5]: people.cut(whole(index)) for index in range(6)}
    for name, pixels in shown.items():
        np.testing.assert_array_equal(pixels, random_crop(24, 12, int(name)))


def test_a_flipped_part_is_a_part_of_the_flipped_frame(people):
    frame = people.cut(whole(3, flip=True))
    np.testing.assert_array_equal(frame, people.cut(whole(3))[:, ::-1])
    part = people.cut(PersonPlacement(3, True, 5, 0, 10, 7, 24, 12, 2, 4))
    np.testing.assert_array_equal(part, frame[2:12, 4:11])


@pytest.mark.parametrize("flip", [False, True])
def test_a_part_of_a_larger_frame_is_cut_from_the_resized_image(people, flip):
    frame = people.cut(PersonPlacement(0, flip, 0, 0, 48, 24, 48, 24, 0, 0))
    part = people.cut(PersonPlacement(0, flip, 0, 0, 20, 9, 48, 24, 6, 10))
    inner = frame[6:26, 10:19].astype(int)
    # the rim of a part differs, as the filter does not look past it
    assert np.abs(part[4:-4, 4:-4] - inner[4:-4, 4:-4]).max() <= 1


def test_forgetting_decoded_images_changes_nothing(people, monkeypatch):
    monkeypatch.setattr(people_module, "_KEPT", 1)
    forgetful = pickle.loads(pickle.dumps(people))
    for index in (0, 1, 0, 5, 0):
        np.testing.assert_array_equal(people.cut(whole(index)), forgetful.cut(whole(index)))


def test_pickling_carries_paths_and_identities_only(people):
    before = len(pickle.dumps(people))
    people.cut(whole(0))
    assert len(pickle.dumps(people)) == before < 2000
    again = pickle.loads(pickle.dumps(people))
    assert [again.path(index) for index in range(6)] == [people.path(index) for index in range(6)]
    assert again.pids == people.pids == ("anna", "anna", "ben", "ben", "cleo", "cleo")
    assert again.other_than("ben", 0.6) == people.other_than("ben", 0.6)


def test_a_huge_photo_is_kept_small(tmp_path):
    paths = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    for path in paths:
        Image.new("RGB", (1000, 2100)).save(path)
    kept = PeopleSet(paths, [1, 2])._read(0)
    assert kept.height == 512


@pytest.mark.parametrize("damage", [b"", b"hello", None])
def test_an_unreadable_person_is_named_by_file_and_key(people, damage):
    file = Path(people.path(2))
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(ValueError) as raised:
        people.cut(whole(2))
    assert str(raised.value).startswith(f"people: cannot read {file} (")
    assert "expected an image of a person" in str(raised.value)


def test_an_identity_that_is_not_in_the_set_is_refused(people):
    with pytest.raises(ValueError, match=r"one of the 3 identities of .*, got one of 'dora'"):
        people.other_than("dora", 0.5)


@pytest.mark.parametrize("pids", [[], [7, 7]])
def test_fewer_than_two_identities_are_refused_with_the_key(pids):
    with pytest.raises(ValueError, match=rf"^people: .* got {len(set(pids))}"):
        PeopleSet(["a.jpg"] * len(pids), pids)


def test_paths_and_identities_have_to_be_as_many():
    with pytest.raises(ValueError, match="one pid per path, got 1 for 2"):
        PeopleSet(["a.jpg", "b.jpg"], [1])


@settings(max_examples=80, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    image=st.tuples(st.integers(1, 300), st.integers(1, 200)),
    scale=st.floats(0.001, 4),
    part=st.floats(0.001, 1),
    seed=st.integers(0, 2**32),
)
def test_any_part_of_any_person_can_be_cut(tmp_path_factory, size, image, scale, part, seed):
    path = tmp_path_factory.mktemp("person") / "person.png"
    Image.new("RGB", size, (9, 8, 7)).save(path)
    people = PeopleSet([str(path)] * 2, ["anna", "ben"])
    rule = PlacementRule(
        people=1.0, people_scale=(scale, scale), people_height=(part, 1), people_width=(part, 1)
    )
    generator = torch.Generator().manual_seed(seed)
    (placement,) = rule.draw([(1, 1)], *image, generator, people, "anna")
    pixels = people.cut(placement)
    assert pixels.shape == (placement.height, placement.width, 3)
    assert (pixels == (9, 8, 7)).all()
