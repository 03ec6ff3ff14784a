from __future__ import annotations

import random

import pytest

from fed_plugin.robustness.occlusion import choose_whole_queries, has_occluded_queries


def item(pid, camid, n=0, folder="gallery"):
    return f"/data/{folder}/{pid}_c{camid}_{n}.jpg", pid, camid


GALLERY = [item(pid, camid, n) for pid in range(1, 7) for camid in range(3) for n in range(2)]
QUERY = [item(pid, 5, folder="query") for pid in range(1, 7)]


@pytest.mark.parametrize("name", ["SynthOcc", "Occluded_Duke", "Partial_REID", "PartialREID"])
def test_benchmarks_for_occlusion_have_occluded_queries(name):
    assert has_occluded_queries(name)


@pytest.mark.parametrize("name", ["Market1501", "DukeMTMC", "MSMT17", "FolderReID", "MySet"])
def test_other_sets_have_whole_ones(name):
    assert not has_occluded_queries(name)


def test_a_set_of_whole_queries_is_searched_with_its_own():
    found = choose_whole_queries("Market1501", QUERY, GALLERY, most=100)
    assert found.queries == sorted(QUERY) and found.gallery == GALLERY
    assert found.rule.startswith("6 queries of the set: at most 100 in all and 2 of a person")


def test_a_set_of_occluded_queries_is_searched_with_its_gallery():
    found = choose_whole_queries("SynthOcc", QUERY, GALLERY, most=100)
    assert set(found.queries) <= set(GALLERY) and found.gallery == GALLERY
    assert len(found.queries) == 12  # two of each person
    assert len({(pid, camid) for _, pid, camid in found.queries}) == 12  # from two cameras
    assert found.rule.startswith("12 gallery images against the gallery")


def test_every_person_comes_once_before_any_comes_twice():
    for most in (2, 6, 8):
        found = choose_whole_queries("SynthOcc", QUERY, GALLERY, most=most).queries
        assert len(found) == most and len({pid for _, pid, _ in found}) == min(most, 6)
    fewer = choose_whole_queries("SynthOcc", QUERY, GALLERY, most=8).queries
    assert set(fewer) <= set(choose_whole_queries("SynthOcc", QUERY, GALLERY, most=100).queries)


def test_neither_the_order_nor_the_folder_chooses():
    expected = choose_whole_queries("SynthOcc", QUERY, GALLERY, most=7).queries
    shuffled = random.Random(0).sample(GALLERY, len(GALLERY))
    moved = [(path.replace("/data/", "/elsewhere/"), *rest) for path, *rest in shuffled]
    found = choose_whole_queries("SynthOcc", QUERY, moved, most=7).queries
    assert [path.split("/")[-1] for path, _, _ in found] == [
        path.split("/")[-1] for path, _, _ in expected
    ]


def test_distractors_and_occluded_files_are_not_chosen():
    distractors = [item(0, camid) for camid in range(3)] + [item(-1, camid) for camid in range(3)]
    occluded = [(path.replace("gallery", "query"), pid, camid) for path, pid, camid in GALLERY[:6]]
    found = choose_whole_queries("SynthOcc", occluded, [*GALLERY, *distractors], most=100)
    assert {pid for _, pid, _ in found.queries} == {2, 3, 4, 5, 6}
    assert {pid for _, pid, _ in found.gallery_people} == {1, 2, 3, 4, 5, 6}
    assert len(found.gallery) == len(GALLERY) + 6


def test_who_has_no_right_answer_from_another_camera_is_not_chosen():
    alone = [item(9, 0), item(9, 0, 1), item(8, 0)]
    found = choose_whole_queries("SynthOcc", [], [*GALLERY, *alone], most=100)
    assert not {8, 9} & {pid for _, pid, _ in found.queries}


def test_a_gallery_without_cameras_leaves_out_only_the_image_itself():
    gallery = [(path, pid, 1) for path, pid, _ in GALLERY]
    found = choose_whole_queries("Occluded_REID", QUERY, gallery, most=6)
    assert len({camid for _, _, camid in found.gallery}) == len(gallery)
    assert set(found.queries) <= set(found.gallery)
    assert found.rule.endswith("each gallery image has a camera of its own")


def test_where_the_queries_come_from_can_be_said():
    found = choose_whole_queries("MySet", QUERY, GALLERY, most=100, source="gallery")
    assert set(found.queries) <= set(GALLERY)
    found = choose_whole_queries("SynthOcc", QUERY, GALLERY, most=100, source="query")
    assert found.queries == sorted(QUERY)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="MySet: expected query images with a right answer from"):
        choose_whole_queries("MySet", [item(99, 0)], GALLERY, most=10)
    for wrong in ({"most": 1}, {"most": 9, "per_identity": 0}, {"most": 9, "source": "train"}):
        with pytest.raises(ValueError, match="expected 2 queries or more"):
            choose_whole_queries("MySet", QUERY, GALLERY, **wrong)


def test_a_copy_of_a_query_is_no_right_answer(tmp_path):
    def file(pid, camid, name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name), pid, camid

    alone = [file(1, 0, "a.jpg", b"one"), file(1, 1, "b.jpg", b"one")]
    answered = [file(2, 0, "c.jpg", b"two"), file(2, 1, "d.jpg", b"two")]
    other = file(2, 2, "e.jpg", b"owt")
    found = choose_whole_queries(
        "MySet", [alone[0], answered[0]], [alone[1], *answered[1:], other], most=9
    )
    assert found.queries == [answered[0]]
    with pytest.raises(ValueError, match="got none but their own photos among 1"):
        choose_whole_queries("MySet", alone[:1], alone[1:], most=9)
