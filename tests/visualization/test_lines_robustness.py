from __future__ import annotations

import cv2
import numpy as np
import pytest

from fed_plugin.visualization.lines import Curve, Panel, robustness_figure

SHARES = (1.0, 0.5, 0.25)


def panel(title="Rank-1, objects", lines=2, bands=True):
    curves = []
    for style in range(lines):
        values = [90 - 9 * style, 60 - 5 * style, 10]
        ends = ([value - 4 for value in values], [value + 4 for value in values]) if bands else ()
        curves.append(Curve(f"method {style}", style, SHARES, values, *ends))
    return Panel(title, "visible share", curves)


def test_a_png_is_written_with_lines_bands_and_legend(tmp_path, read):
    path = robustness_figure([[panel(), panel("Rank-1, people")]], tmp_path / "a.png", "T", "e")
    sheet = read(path)
    assert sheet.shape[1] > 1000 and [file.name for file in tmp_path.iterdir()] == ["a.png"]
    blue = (sheet[..., -3:] == (0, 114, 178)).all(axis=2)
    assert blue[:, : sheet.shape[1] // 2].any() and blue[:, -250:].any()  # a panel, the legend
    plain = read(robustness_figure([[panel(bands=False)]], tmp_path / "b.png", "T", "e"))
    banded = read(robustness_figure([[panel()]], tmp_path / "c.png", "T", "e"))
    assert (plain != banded).any()


def test_an_svg_holds_the_words_and_repeats_bit_by_bit(tmp_path):
    for name in ("a", "b"):
        robustness_figure([[panel()], [panel("mAP, objects")]], tmp_path / f"{name}.svg", "T", "e")
    first, second = ((tmp_path / f"{name}.svg").read_bytes() for name in ("a", "b"))
    assert first == second and first.startswith(b"<?xml")


def test_the_eighth_line_differs_from_the_first(tmp_path):
    lines = panel(lines=8).curves
    alone = [Panel("Rank-1", "x", [Curve("m", style, SHARES, (3, 2, 1))]) for style in (0, 7)]
    pictures = [
        cv2.imread(str(robustness_figure([[one]], tmp_path / f"{n}.png", "T", "e")))
        for n, one in enumerate(alone)
    ]
    assert not np.array_equal(*pictures) and len(lines) == 8


@pytest.mark.parametrize(
    ("panels", "name", "message"),
    [
        ([[panel()]], "a.jpg", "expected a file name that ends in .png or .svg"),
        ([], "a.png", "expected rows of panels of one length"),
        ([[panel()], [panel(), panel()]], "a.png", r"expected rows of panels .* got \[1, 2\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, panels, name, message):
    with pytest.raises(ValueError, match=message):
        robustness_figure(panels, tmp_path / name, "T", "e")
    assert list(tmp_path.iterdir()) == []
