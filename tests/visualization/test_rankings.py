from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.visualization import RankingLists, ranking_sheet
from fed_plugin.visualization.canvas import BLUE, VERMILLION

# 176 rows is the size at which lists are drawn: such images are not resized


@pytest.fixture
def queries(noise):
    return noise(2, 176, 88, 3)


@pytest.fixture
def lists(noise):
    return RankingLists(
        noise(2, 4, 176, 88, 3, seed=1),
        np.array([[True, False, True, False], [False, False, False, True]]),
        np.linspace(1, 0, 8).reshape(2, 4),
    )


def test_every_query_and_gallery_image_is_shown(tmp_path, queries, lists, read, shows):
    path = ranking_sheet(queries, lists, tmp_path / "lists.png")
    assert path == tmp_path / "lists.png"
    sheet = read(path)
    for image in (*queries, *lists.gallery_images.reshape(-1, 176, 88, 3)):
        assert shows(sheet, image)


def test_right_is_blue_and_wrong_is_orange(tmp_path, queries, lists, read, count_color):
    counts = []
    for right in (np.ones((2, 4), bool), lists.matches, np.zeros((2, 4), bool)):
        path = tmp_path / "lists.png"
        sheet = read(ranking_sheet(queries, replace(lists, matches=right), path))
        counts.append((count_color(sheet, BLUE), count_color(sheet, VERMILLION)))
    assert counts[0][1] == counts[2][0] == 0
    assert counts[0][0] > counts[1][0] > 0 and counts[2][1] > counts[1][1] > 0
    # 3 of 8 are right: the frames and marks stay in proportion
    assert counts[1][0] / counts[0][0] == pytest.approx(3 / 8, abs=0.03)
    # without colour the two still differ: a dashed frame covers less than a solid one
    assert counts[2][1] < 0.8 * counts[0][0]


def test_the_score_is_printed(tmp_path, queries, lists, read):
    sheets = [
        read(ranking_sheet(queries, replace(lists, scores=scores), tmp_path / "s.png"))
        for scores in (lists.scores, lists.scores + 0.11, lists.scores * 12345)
    ]
    assert (sheets[0] != sheets[1]).any() and (sheets[1] != sheets[2]).any()


def test_one_query_with_one_answer_is_a_sheet(tmp_path, queries, lists, read):
    one = ranking_sheet(
        queries[:1],
        RankingLists(lists.gallery_images[:1, :1], lists.matches[:1, :1], lists.scores[:1, :1]),
        tmp_path / "one.png",
    )
    height, width, channels = read(one).shape
    assert width == 620 and 176 + 100 < height < 176 + 250 and channels == 3


@pytest.mark.parametrize("shape", [(128, 64), (64, 32), (20, 60), (384, 128)])
def test_crops_of_any_size_are_brought_to_a_legible_one(tmp_path, noise, read, shape):
    sheet = read(
        ranking_sheet(
            noise(1, *shape, 3),
            RankingLists(noise(1, 10, *shape, 3), np.ones((1, 10), bool), np.ones((1, 10))),
            tmp_path / "list.png",
        )
    )
    slot = max(76, round(shape[1] * 176 / shape[0]))
    assert sheet.shape[1] == 24 + slot + 40 + 10 * (slot + 12) + 24


def test_queries_and_gallery_may_differ_in_size(tmp_path, noise, lists, read, shows):
    path = ranking_sheet(noise(2, 60, 40, 3), lists, tmp_path / "lists.png")
    assert shows(read(path), lists.gallery_images[1, 3])


def test_titles_make_room_for_themselves(tmp_path, queries, lists, read):
    plain = read(ranking_sheet(queries, lists, tmp_path / "a.png"))
    titled = read(ranking_sheet(queries, lists, tmp_path / "b.png", ["one", "two"]))
    assert titled.shape[0] == plain.shape[0] + 2 * 24


def test_a_comparison_shows_all_methods_lists_under_each_other(
    tmp_path, queries, lists, noise, read, shows
):
    other = RankingLists(noise(2, 3, 176, 88, 3, seed=5), lists.matches[:, :3], lists.scores[:, :3])
    path = ranking_sheet(queries, {"baseline": other, "FED": lists}, tmp_path / "c.png")
    sheet = read(path)
    single = read(ranking_sheet(queries, lists, tmp_path / "s.png"))
    assert sheet.shape[0] > 1.6 * single.shape[0]
    for ranked in (other, lists):
        for image in ranked.gallery_images.reshape(-1, 176, 88, 3):
            assert shows(sheet, image)
    half = sheet.shape[0] // 2
    assert shows(sheet[:half], lists.gallery_images[0, 0])
    assert not shows(sheet[:half], lists.gallery_images[1, 0])


def test_the_longest_name_has_room(tmp_path, queries, lists, read):
    widths = [
        read(ranking_sheet(queries, {name: lists}, tmp_path / "c.png")).shape[1]
        for name in ("FED", "a baseline with a long name")
    ]
    assert widths[1] > widths[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery_images": np.zeros((1, 4, 8, 4, 3), np.uint8)}, r"expected \(2, K, H, W, 3\)"),
        ({"gallery_images": np.zeros((2, 8, 4, 3), np.uint8)}, r"got shape \(2, 8, 4, 3\)"),
        ({"gallery_images": np.zeros((2, 0, 8, 4, 3), np.uint8)}, "none of them empty"),
        ({"gallery_images": np.zeros((2, 4, 8, 4, 3))}, "expected uint8 in 0..255, got float64"),
        ({"matches": np.zeros((2, 3), bool)}, r"matches.*: expected \(2, 4\)"),
        ({"matches": np.zeros((2, 4))}, "matches.*: expected booleans, got float64"),
        ({"scores": np.zeros(4)}, r"scores.*: expected \(2, 4\) .* got shape \(4,\)"),
    ],
)
def test_lists_that_do_not_fit_are_refused_by_name(tmp_path, queries, lists, change, message):
    bad = RankingLists(**{**vars(lists), **change})
    with pytest.raises(ValueError, match=message):
        ranking_sheet(queries, bad, tmp_path / "x.png")
    with pytest.raises(ValueError, match=f" of FED: .*{message.split(': ')[-1]}"):
        ranking_sheet(queries, {"FED": bad}, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [[], [""], ["FED", ""]])
def test_a_comparison_needs_named_methods(tmp_path, queries, lists, names):
    with pytest.raises(ValueError, match="lists: expected named methods, got"):
        ranking_sheet(queries, dict.fromkeys(names, lists), tmp_path / "x.png")


def test_titles_must_be_one_per_query(tmp_path, queries, lists):
    with pytest.raises(ValueError, match="titles: expected 2, one per row of images, got 3"):
        ranking_sheet(queries, lists, tmp_path / "x.png", ["a", "b", "c"])
