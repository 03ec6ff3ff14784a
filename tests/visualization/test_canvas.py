from __future__ import annotations

import base64
import os

import cv2
import numpy as np
import pytest

from fed_plugin.visualization.canvas import Canvas, Heading, shorten, wrap


@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 101), (100, 57), (333, 777)])
def test_a_sheet_has_exactly_the_pixels_it_was_asked_for(tmp_path, read, height, width):
    assert read(Canvas(height, width).save(tmp_path / "c.png")).shape == (height, width, 3)


def test_a_picture_comes_out_pixel_by_pixel_where_it_was_put(tmp_path, read, noise):
    image = noise(21, 13, 3)
    canvas = Canvas(60, 50)
    canvas.picture(image, 7, 11, 21, 13)
    sheet = read(canvas.save(tmp_path / "c.png"))
    np.testing.assert_array_equal(sheet[7:28, 11:24], image)
    sheet[7:28, 11:24] = 255
    assert (sheet == 255).all()


def test_a_filled_box_covers_its_pixels(tmp_path, read):
    canvas = Canvas(40, 40)
    canvas.box(10, 5, 20, 30, fill="#0072B2")
    sheet = read(canvas.save(tmp_path / "c.png"))
    assert (sheet[12:28, 7:33] == (0x00, 0x72, 0xB2)).all()
    assert (sheet[:9] == 255).all() and (sheet[:, 37:] == 255).all()


def test_text_lies_on_the_line_it_was_given(tmp_path, read):
    canvas = Canvas(60, 200)
    canvas.text("HHHH", 30, 100, size=20, align="center")
    ink = (read(canvas.save(tmp_path / "c.png")) < 128).all(-1)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(30, abs=1.5)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(100, abs=2)


def test_a_failed_write_leaves_the_old_sheet_and_no_scrap(tmp_path, monkeypatch):
    target = tmp_path / "c.png"
    Canvas(8, 8).save(target)
    before = target.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Canvas(9, 9).save(target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "sheet.png.txt"])
def test_anything_but_a_png_or_html_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=name + r": expected .* ends in \.png or \.html"):
        Canvas(8, 8).save(tmp_path / name)


def test_a_page_shows_what_the_png_shows(tmp_path, noise):
    """Read by the browser's own words: the texts, and every pixel that was pasted."""
    image = noise(21, 13, 3)
    canvas = Canvas(60, 50)
    canvas.picture(image, 7, 11, 21, 13)
    canvas.text("<words> & more", 40, 4)
    page = canvas.save(tmp_path / "c.html").read_text()
    assert "&lt;words&gt; &amp; more" in page and "<words>" not in page
    encoded = page.split("data:image/png;base64,")[1].split('"')[0]
    pasted = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1)[..., ::-1]
    assert "scale(1 -1)" in page  # SVG gets it upside down, and turns it
    np.testing.assert_array_equal(pasted[::-1][7:28, 11:24], image)


def test_a_sheet_that_no_viewer_opens_is_refused():
    with pytest.raises(ValueError, match="5 x 40000 pixels, over 30000 a side; draw fewer"):
        Canvas(40_000, 5)


def test_lines_are_broken_at_words_and_fit(tmp_path, read):
    text = "Wide words MMMM WWWW and narrow ones illi llil " * 4
    for width in (150, 400):
        for line in wrap(text, width):
            canvas = Canvas(30, 900)
            canvas.text(line, 15, 0)
            ink = (read(canvas.save(tmp_path / "c.png")) < 200).any(-1)
            assert np.flatnonzero(ink.any(0)).max() < width + 8
    assert " ".join(wrap(text, 400)).split() == text.split()


def test_a_short_text_is_kept_and_a_long_one_cut_with_an_ellipsis():
    assert shorten("0001_c2.jpg", 200) == "0001_c2.jpg"
    cut = shorten("a_file_name_that_is_longer_than_its_image.jpg", 100)
    assert cut.endswith("\u2026") and len(cut) < 14


def test_a_heading_without_title_is_lower():
    assert Heading.fit("", "x", 400).height < Heading.fit("title", "x", 400).height
