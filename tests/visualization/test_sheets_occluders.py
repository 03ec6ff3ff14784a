"""The contact sheet of occluders: everything handed over is on it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fed_plugin.visualization.sheets import occluder_sheet


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def shares(sheet, color):
    return (np.abs(sheet.astype(int) - color).max(axis=2) <= 2).mean()


def plain(height, width, color):
    return np.full((height, width, 3), color, np.uint8)


def test_every_crop_is_on_the_sheet_whatever_its_size(tmp_path):
    colors = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (240, 10, 240), (250, 180, 3)]
    sizes = [(90, 30), (8, 8), (20, 400), (900, 60), (3000, 2000)]
    crops = [plain(*size, color) for size, color in zip(sizes, colors, strict=True)]
    sheet = read(occluder_sheet(crops, list("abcde"), tmp_path / "s.png"))
    assert all(shares(sheet, color) > 0.0005 for color in colors)


def test_tall_crops_stand_above_wide_ones(tmp_path):
    red, blue = (250, 10, 10), (10, 10, 250)
    crops = [plain(40, 40, blue), plain(90, 30, red)]
    sheet = read(occluder_sheet(crops, ["w", "t"], tmp_path / "s.png")).astype(int)

    def rows(color):
        return np.flatnonzero((np.abs(sheet - color).max(axis=2) <= 2).any(axis=1))

    assert rows(red).max() < rows(blue).min()


def test_a_small_crop_is_enlarged_in_squares(tmp_path):
    crop = np.zeros((8, 8, 3), np.uint8)
    crop[::2, ::2] = crop[1::2, 1::2] = (255, 0, 0)
    sheet = read(occluder_sheet([crop], ["c"], tmp_path / "s.png"))
    area = 104 * 104
    assert shares(sheet, (255, 0, 0)) * sheet.shape[0] * sheet.shape[1] > 0.45 * area


def test_transparency_shows_a_chequerboard(tmp_path):
    crop = np.dstack([plain(104, 104, (250, 10, 10)), np.zeros((104, 104), np.uint8)])
    crop[:52, :, 3] = 255
    sheet = read(occluder_sheet([crop], ["c"], tmp_path / "s.png"))
    assert shares(sheet, (250, 10, 10)) > 0.004
    assert shares(sheet, (205, 205, 205)) > 0.002 and shares(sheet, (245, 245, 245)) > 0.002


def test_examples_are_drawn_in_as_many_rows_as_they_need(tmp_path):
    crop = plain(40, 40, (9, 9, 9))
    heights = []
    for count in (1, 7, 8, 15):
        examples = np.full((count, 64, 32, 3), (10, 250, 10), np.uint8)
        path = occluder_sheet([crop], ["c"], tmp_path / f"{count}.png", examples=examples)
        sheet = read(path)
        heights.append(len(sheet))
        pixels = shares(sheet, (10, 250, 10)) * sheet.shape[0] * sheet.shape[1]
        assert pixels == pytest.approx(count * 176 * 88, rel=0.02)
    assert heights[0] == heights[1] < heights[2] == heights[3] - (heights[2] - heights[1])


def test_a_large_set_fits_a_sheet_and_a_small_one_is_no_strip(tmp_path):
    many = read(occluder_sheet([plain(50, 40, 90)] * 160, ["name"] * 160, tmp_path / "many.png"))
    assert many.shape[1] <= 1500 and len(many) < 3000
    assert read(occluder_sheet([plain(50, 40, 90)], ["n"], tmp_path / "one.png")).shape[1] == 900


def test_the_same_arguments_give_the_same_bytes_and_are_not_modified(tmp_path):
    crop = plain(40, 40, 70)
    paths = [occluder_sheet([crop], ["c"], tmp_path / f"{n}.png", note="So.") for n in (1, 2)]
    assert paths[0].read_bytes() == paths[1].read_bytes() and (crop == 70).all()


@pytest.mark.parametrize(
    ("crops", "names", "more", "message"),
    [
        ([], [], {}, "expected at least one, got none"),
        ([plain(9, 9, 1)], [], {}, "titles: expected 1"),
        ([np.zeros((9, 9), np.uint8)], ["a"], {}, r"crop a: expected .* got \(9, 9\)"),
        ([np.zeros((9, 9, 3))], ["a"], {}, "crop a: .* of float64"),
        ([plain(9, 9, 1)], ["a"], {"examples": np.zeros((2, 9, 9, 1), np.uint8)}, "examples:"),
        (
            [plain(9, 9, 1)],
            ["a"],
            {"examples": np.zeros((2, 9, 9, 3), np.uint8), "example_titles": ["one"]},
            "titles: expected 2",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path, crops, names, more, message
):
    with pytest.raises(ValueError, match=message):
        occluder_sheet(crops, names, tmp_path / "s.png", **more)
    assert not list(tmp_path.iterdir())
