from __future__ import annotations

import pytest

from fed_plugin.visualization.sheets import coverage_sheet

SIDES = ("left", "top")


def groups(noise, count=3, size=(128, 64)):
    seeds = iter(range(9))
    return {
        kind: {side: noise(count, *size, 3, seed=next(seeds)) for side in SIDES}
        for kind in ("objects", "people")
    }


def test_every_picture_is_on_the_sheet(tmp_path, noise, read, shows):
    pictures = groups(noise)
    path = coverage_sheet(pictures, (1, 0.75, 0.5), tmp_path / "a.png", "Title", "what it is")
    sheet = read(path)
    for sides in pictures.values():
        for images in sides.values():
            assert all(shows(sheet, image) for image in images)


def test_small_pictures_are_enlarged_and_large_ones_shrunk(tmp_path, noise, read):
    for size, height in (((48, 24), 144), ((384, 128), 200)):
        sheet = read(coverage_sheet(groups(noise, 2, size), (1, 0.5), tmp_path / "a.png", "T", "e"))
        assert 2 * height < sheet.shape[0] < 2 * height + 200


def test_what_cannot_be_drawn_is_refused(tmp_path, noise):
    with pytest.raises(ValueError, match="expected an image per visible share, 2, got 3"):
        coverage_sheet(groups(noise), (1, 0.5), tmp_path / "a.png", "T", "e")
    with pytest.raises(ValueError, match=r"ends in \.png"):
        coverage_sheet(groups(noise), (1, 0.5, 0.2), tmp_path / "a.svg", "T", "e")
    broken = groups(noise)
    broken["people"]["top"] = noise(3, 10, 10, 3)
    with pytest.raises(ValueError, match="images"):
        coverage_sheet(broken, (1, 0.5, 0.2), tmp_path / "a.png", "T", "e")
