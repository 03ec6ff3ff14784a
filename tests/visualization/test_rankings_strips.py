"""Ranking lists with their pictures in the page."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from fed_plugin.visualization.rankings import Answer, RankedList, data_uri, ranking_strip


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


def test_right_and_wrong_are_told_by_words_signs_and_frames(picture):
    answers = [Answer(picture, True, "0.90"), Answer(picture, False, "0.80")]
    strip = ranking_strip(picture, "a <query>", [RankedList("A & B", answers)])
    assert strip.count("<img") == 3 and "a &lt;query&gt;" in strip and "A &amp; B" in strip
    assert re.findall('alt="(.*?)"', strip) == [
        "query",
        "rank 1, right, 0.90",
        "rank 2, wrong, 0.80",
    ]
    assert re.findall('<li class="(.*?)"', strip) == ["right", "wrong"]
    assert "✓ 0.90" in strip and "✗ 0.80" in strip


def test_what_is_no_picture_becomes_words(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"noise")
    for path in (broken, tmp_path / "gone.jpg"):
        with pytest.raises(ValueError, match="not an image that can be read"):
            data_uri(path)
        assert f"{path.name}: cannot be read" in ranking_strip(path, "", [])
