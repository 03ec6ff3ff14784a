from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fed_plugin
from fed_plugin.visualization import image_sheet, pair_sheet, visibility_sheet
from fed_plugin.visualization.canvas import BLUE, VERMILLION


def test_a_pair_sheet_shows_every_image_of_both_views(tmp_path, noise, read, shows):
    holistic, occluded = noise(5, 192, 96, 3), noise(5, 192, 96, 3, seed=1)
    path = pair_sheet(holistic, occluded, np.full((5, 4), 0.5), tmp_path / "pairs.png")
    assert path == tmp_path / "pairs.png"
    sheet = read(path)
    for image in (*holistic, *occluded):
        assert shows(sheet, image)
    assert not shows(sheet, noise(192, 96, 3, seed=2))


def test_a_sheet_of_one_pair_has_the_size_that_its_layout_says(tmp_path, noise, read):
    one = noise(1, 192, 300, 3)
    sheet = read(pair_sheet(one, one, np.ones((1, 4)), tmp_path / "one.png"))
    # two pictures with their gaps, one column of bars, two margins
    assert sheet.shape[1] == 2 * (300 + 8) + 100 + 2 * 24
    assert 192 + 60 < sheet.shape[0] < 192 + 200


def test_small_images_are_enlarged_until_they_can_be_read(tmp_path, noise, read):
    small, large = noise(1, 32, 16, 3), noise(1, 192, 96, 3)
    shapes = [
        read(pair_sheet(image, image, np.ones((1, 4)), tmp_path / "p.png")).shape
        for image in (small, large)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("parts", [1, 3, 7, 24])
def test_any_number_of_parts_gets_its_bars(tmp_path, noise, read, count_color, parts):
    image = noise(1, 96, 48, 3)
    covered = read(pair_sheet(image, image, np.zeros((1, parts)), tmp_path / "a.png"))
    visible = read(pair_sheet(image, image, np.ones((1, parts)), tmp_path / "b.png"))
    assert count_color(covered, BLUE) == 0 < count_color(covered, VERMILLION)
    assert count_color(visible, BLUE) > parts * 58 * 6


def test_the_blue_part_of_a_bar_is_the_visible_share(tmp_path, noise, read, count_color):
    image = noise(1, 192, 96, 3)
    counts = [
        count_color(read(pair_sheet(image, image, np.full((1, 2), v), tmp_path / "v.png")), BLUE)
        for v in (0.25, 0.5, 1.0)
    ]
    assert counts[0] / counts[2] == pytest.approx(0.25, abs=0.03)
    assert counts[1] / counts[2] == pytest.approx(0.5, abs=0.03)


def test_top_parts_are_drawn_at_the_top(tmp_path, noise, read):
    image = noise(1, 192, 96, 3)
    sheet = read(pair_sheet(image, image, np.array([[1.0, 0.0]]), tmp_path / "top.png"))
    blue = np.round(np.array([0x00, 0x72, 0xB2]))
    rows = np.flatnonzero((sheet == blue).all(-1).any(1))
    assert rows.max() < sheet.shape[0] - 12 - 17 - 96


def test_the_title_takes_room_and_dollars_are_no_formulas(tmp_path, noise, read):
    image = noise(1, 64, 32, 3)
    bars = np.ones((1, 4))
    plain = read(pair_sheet(image, image, bars, tmp_path / "a.png", title="frac"))
    own = read(pair_sheet(image, image, bars, tmp_path / "b.png", title=r"$\frac$"))
    long = read(pair_sheet(image, image, bars, tmp_path / "c.png", title="a long title " * 12))
    assert plain.shape == own.shape and (plain != own).any()
    assert long.shape[0] > own.shape[0] and long.shape[1] == own.shape[1]


def test_a_visibility_sheet_gains_a_column_with_the_truth(tmp_path, noise, read, count_color):
    images, half = noise(2, 192, 200, 3), np.full((2, 4), 0.5)
    plain = read(visibility_sheet(images, half, tmp_path / "plain.png"))
    both = read(visibility_sheet(images, half, tmp_path / "both.png", truth=half))
    assert count_color(both, BLUE) == 2 * count_color(plain, BLUE)


def test_titles_stand_above_the_images_and_long_ones_are_cut(tmp_path, noise, read, shows):
    images, half = noise(3, 192, 96, 3), np.full((3, 2), 0.5)
    plain = read(visibility_sheet(images, half, tmp_path / "a.png"))
    titled = read(
        visibility_sheet(images, half, tmp_path / "b.png", titles=["a", "b", "long " * 90])
    )
    assert titled.shape[0] > plain.shape[0] and titled.shape[1] == plain.shape[1]
    assert all(shows(titled, image) for image in images)


def test_folders_are_made_and_the_same_arguments_give_the_same_bytes(tmp_path, noise):
    image = noise(1, 64, 32, 3)
    paths = [
        visibility_sheet(image, np.ones((1, 4)), tmp_path / name / "deep" / "v.png")
        for name in ("a", "b")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_arguments_are_not_modified(tmp_path, noise):
    image, bars = noise(1, 64, 32, 3), np.full((1, 4), 0.5)
    visibility_sheet(image, bars, tmp_path / "v.png", truth=bars)
    np.testing.assert_array_equal(image, noise(1, 64, 32, 3))
    assert (bars == 0.5).all()


IMAGES, SHARES = np.zeros((2, 8, 4, 3), np.uint8), np.ones((2, 4))


@pytest.mark.parametrize(
    ("holistic", "occluded", "targets", "message"),
    [
        (IMAGES[0], IMAGES, SHARES, r"holistic: expected \(N, H, W, 3\) .* got shape \(8, 4, 3\)"),
        (IMAGES[:0], IMAGES[:0], SHARES[:0], r"holistic: .*none of them empty, got shape \(0,"),
        (IMAGES / 255, IMAGES, SHARES, "holistic: expected uint8 in 0..255, got float64; undo"),
        (IMAGES, IMAGES[:1], SHARES, r"occluded: expected \(2, 8, 4, 3\) .* got shape \(1, 8"),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES, SHARES, r"holistic: .* got shape \(2, 3, 8, 4\)"),
        (IMAGES, IMAGES, SHARES[:1], r"targets: expected \(2, P\) .* got shape \(1, 4\)"),
        (IMAGES, IMAGES, SHARES[:, :0], r"targets: .* got shape \(2, 0\)"),
        (IMAGES, IMAGES, SHARES * 1.5, r"targets: expected visibilities in \[0, 1\], got 1.5 to"),
        (IMAGES, IMAGES, SHARES * np.nan, r"targets: .* got nan to nan"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path, holistic, occluded, targets, message
):
    with pytest.raises(ValueError, match=message):
        pair_sheet(holistic, occluded, targets, tmp_path / "sub" / "p.png")
    assert not list(tmp_path.iterdir())


def test_truth_and_titles_must_match_the_images(tmp_path):
    with pytest.raises(ValueError, match=r"truth: expected \(2, 4\) .* got shape \(2, 3\)"):
        visibility_sheet(IMAGES, SHARES, tmp_path / "v.png", truth=SHARES[:, :3])
    with pytest.raises(ValueError, match="titles: expected 2, one per row of images, got 1"):
        visibility_sheet(IMAGES, SHARES, tmp_path / "v.png", titles=["one"])
    with pytest.raises(ValueError, match=r"titles: expected 2, .* got one string"):
        visibility_sheet(IMAGES, SHARES, tmp_path / "v.png", titles="ab")


def test_importing_the_room_does_not_import_matplotlib_and_drawing_no_pyplot(tmp_path):
    script = (
        "import sys, numpy as np; import fed_plugin.visualization as v;"
        "assert 'matplotlib' not in sys.modules;"
        "v.visibility_sheet(np.zeros((1, 8, 4, 3), np.uint8), np.ones((1, 4)), sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    root = Path(fed_plugin.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "v.png")], cwd=root, check=True)
    assert (tmp_path / "v.png").is_file()


def test_a_mask_is_shown_black_where_it_is_true(tmp_path, noise, read):
    image, masks = noise(1, 192, 96, 3), np.zeros((1, 192, 96), bool)
    masks[:, 40:90, 20:60] = True
    shares = np.ones((1, 4))
    plain = read(pair_sheet(image, image, shares, tmp_path / "a.png"))
    masked = read(pair_sheet(image, image, shares, tmp_path / "b.png", masks=masks))
    black = [int((sheet == 0).all(-1).sum()) for sheet in (plain, masked)]
    assert black[1] - black[0] == pytest.approx(50 * 40, abs=96)  # a rule crosses it
    with pytest.raises(ValueError, match=r"masks: expected \(1, 192, 96\) booleans, true where a"):
        pair_sheet(image, image, shares, tmp_path / "c.png", masks=masks[:, :-1])


def test_images_alone_need_no_shares(tmp_path, noise, read, shows):
    images = noise(3, 192, 96, 3)
    sheet = read(image_sheet(images, tmp_path / "a.png", titles=["one", "two", "three"], title="T"))
    assert all(shows(sheet, image) for image in images)
    with pytest.raises(ValueError, match="images: expected"):
        image_sheet(images[:0], tmp_path / "b.png")
