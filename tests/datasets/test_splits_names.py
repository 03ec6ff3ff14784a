from __future__ import annotations

import pytest

from fed_plugin.datasets import LAYOUTS
from fed_plugin.datasets.splits import DUKE_NAMES, MARKET_NAMES

RULES = {
    "duke": DUKE_NAMES,
    "market": MARKET_NAMES,
    "numbered": LAYOUTS["Occluded_REID"].names,
    "ilids": LAYOUTS["Partial_iLIDS"].names,
    "p_duke": LAYOUTS["P_DukeMTMC"].names,
    "posetrack": LAYOUTS["Occluded_PoseTrack"].names,
}


@pytest.mark.parametrize(
    ("rule", "name", "pid", "camid"),
    [
        ("duke", "0001_c2_f0046182.jpg", 1, 1),
        ("duke", "7139_c8_f0000012.jpg", 7139, 7),
        ("market", "0002_c1s1_000451_03.jpg", 2, 0),
        ("market", "0001_c1s1_000151_00.png", 1, 0),
        ("market", "0002_c1s1_000451_03.jpg.jpg", 2, 0),
        ("market", "-1_c3s2_000401_03.jpg", -1, 2),
        ("numbered", "001_01.tif", 1, None),
        ("numbered", "200_05.jpg", 200, None),
        ("ilids", "119.jpg", 119, None),
        ("ilids", "119_1.jpg", 119, None),
        ("p_duke", "0007_c2_f0046182.jpg", 7, None),
        ("p_duke", "0007_2024 (1).jpg", 7, None),
        ("posetrack", "1024_000342_10003420000.jpg", 1024, None),
    ],
)
def test_identity_and_camera_are_read_from_the_name(rule, name, pid, camid):
    assert RULES[rule].parse(name) == (pid, camid)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_reads_its_own_example(rule):
    pid, camid = RULES[rule].parse(RULES[rule].example)
    assert pid > 0 and (camid is not None) == RULES[rule].has_camera


def test_a_camera_may_have_two_digits():
    assert DUKE_NAMES.parse("0001_c12_f0046182.jpg") == (1, 11)
    assert MARKET_NAMES.parse("0001_c15s1_000151_00.jpg") == (1, 14)


@pytest.mark.parametrize("rule", RULES)
def test_folders_whose_names_look_like_identities_are_never_read(rule):
    example = RULES[rule].example
    folder = "/data/run2024_7_x/9999_c9s9_000001_01.jpg/0123_c3_f0000001/"
    assert RULES[rule].parse(folder + example) == RULES[rule].parse(example)


@pytest.mark.parametrize("rule", RULES)
def test_ids_and_cameras_are_python_ints(rule):
    pid, camid = RULES[rule].parse(RULES[rule].example)
    assert type(pid) is int and type(camid) in (int, type(None))


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("duke", "person_c2_f0046182.jpg"),
        ("duke", "0001_c2_f0046182 (1).jpg"),
        ("duke", "0002_c1s1_000451_03.jpg"),
        ("duke", "-1_c1_f0000001.jpg"),
        ("market", "0002_cs1_000451_03.jpg"),
        ("market", "x0002_c1s1_000451_03.jpg"),
        ("numbered", "001.jpg"),
        ("numbered", "001_01 copy.jpg"),
        ("numbered", "a_01.jpg"),
        ("numbered", "9999999999999999999_01.jpg"),  # more than 64 bits
        ("duke", "0001_c9999999999999999999_f1.jpg"),
        ("ilids", "x119.jpg"),
        ("ilids", "119_.jpg"),
        ("p_duke", "0007.jpg"),
        ("p_duke", "whole_0007.jpg"),
        ("posetrack", "1024_000342.jpg"),
        ("posetrack", "1024_000342_10003420000_kps_.jpg"),
    ],
)
def test_a_name_that_does_not_parse_is_an_error_that_names_the_file(rule, name):
    with pytest.raises(ValueError, match="cannot read an identity") as caught:
        RULES[rule].parse(f"folder/{name}")
    assert f"folder/{name}" in str(caught.value)
    assert f"expected one like {RULES[rule].example}" in str(caught.value)


def test_cameras_are_counted_from_one_in_names():
    with pytest.raises(ValueError, match="an identity and a camera"):
        DUKE_NAMES.parse("0001_c0_f0046182.jpg")
