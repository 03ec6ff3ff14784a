"""Ranking lists with their pictures in the page."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from fed_plugin.report.failures import Answer, Failure, RankedList, data_uri
from fed_plugin.report.renderers import html_environment


@pytest.fixture
def picture(tmp_path):
    """An image of twice the height that is shown, under a name that is no ASCII."""
    path = tmp_path / "künstlich.png"
    Image.new("RGB", (100, 320), (250, 20, 30)).save(path)
    return path


def test_a_picture_is_inside_its_uri_and_no_larger_than_it_is_shown(picture):
    head, _, content = data_uri(picture).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == (50, 160)
        assert image.getpixel((5, 5)) == pytest.approx((250, 20, 30), abs=4)


@pytest.fixture
def strip():
    """Return a function that renders one query and its lists as HTML."""
    macros = html_environment().get_template("macros.html.j2").module

    def render(query, caption, lists):
        return str(macros.strips([Failure(query, caption, lists)]))

    return render


def test_right_and_wrong_differ_by_words_signs_and_frames(picture, strip):
    answers = [Answer(picture, True, "0.90"), Answer(picture, False, "0.80")]
    html = strip(picture, "a <query>", [RankedList("A & B", answers)])
    assert html.count("<img") == 3 and "a &lt;query&gt;" in html and "A &amp; B" in html
    assert re.findall('alt="(.*?)"', html) == [
        "query",
        "rank 1, right, 0.90",
        "rank 2, wrong, 0.80",
    ]
    assert re.findall('<li class="(.*?)"', html) == ["right", "wrong"]
    assert "✓ 0.90" in html and "✗ 0.80" in html


def test_what_is_no_picture_becomes_words(tmp_path, strip):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"noise")
    for path in (broken, tmp_path / "gone.jpg"):
        assert data_uri(path) is None
        assert f"{path.name}: cannot be read" in strip(path, "", [])
