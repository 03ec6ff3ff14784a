"""Panels as SVG: where points lie, how curves differ, the words for a screen reader."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from fed_plugin.visualization.lines import (
    COLORS,
    Curve,
    Panel,
    panel_svg,
    styles_of,
    swatch_svg,
    tick_label,
)

SVG = "{http://www.w3.org/2000/svg}"


def points(svg):
    """Return the pixels of every curve."""
    paths = [one for one in ET.fromstring(svg).iter(f"{SVG}path") if is_line(one.get("style", ""))]
    lines = [re.findall(r"[ML] (\S+) (\S+)", one.get("d")) for one in paths]
    return [[(float(x), float(y)) for x, y in line] for line in lines]


def is_line(style):
    return "fill: none" in style and re.search(r"var\(--s\d\)", style)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (20_000, "20k"), (1500, "1.5k"), (0.0005, "5e-4"), (0.001, "1e-3"), (0.25, "0.25")],
)
def test_a_tick_has_few_characters(value, text):
    assert tick_label(value) == text
    assert tick_label(-value) == (f"-{text}" if value else text)


def test_more_is_higher_and_further_right():
    (line,) = points(panel_svg(Panel("t", "x", [Curve("A", 0, [0, 1, 4], [10, 30, 20])])))
    (x1, y1), (x2, y2), (x3, y3) = line
    assert x1 < x2 < x3 and y1 > y3 > y2
    assert (x3 - x2) / (x2 - x1) == pytest.approx(3, abs=0.02)


def test_factors_on_a_logarithmic_axis_and_an_axis_that_falls():
    curve = Curve("A", 0, [1, 10, 100], [1, 2, 3])
    svg = panel_svg(Panel("t", "x", [curve], log_x=True))
    (line,) = points(svg)
    assert line[2][0] - line[1][0] == pytest.approx(line[1][0] - line[0][0], abs=0.2)
    assert all(f">{tick}</text>" in svg for tick in (1, 2, 5, 10, 20, 50, 100))
    (line,) = points(panel_svg(Panel("t", "x", [curve], falling_x=True)))
    assert line[0][0] > line[1][0] > line[2][0]


def test_bands_lie_around_their_curve_and_inside_the_axes():
    curve = Curve("A", 0, [0, 1], [5, 6], low=[1, 2], high=[9, 20])
    root = ET.fromstring(panel_svg(Panel("t", "x", [curve])))
    (band,) = (one for one in root.iter(f"{SVG}use") if "opacity" in one.get("style", ""))
    assert "fill: var(--s1)" in band.get("style")
    name = band.get("{http://www.w3.org/1999/xlink}href")[1:]
    (path,) = (one.get("d") for one in root.iter(f"{SVG}path") if one.get("id") == name)
    ys = [float(y) + 250 for _, y in re.findall(r"[ML] (\S+) (\S+)", path)]
    (line,) = points(panel_svg(Panel("t", "x", [curve])))
    assert min(ys) < min(y for _, y in line) <= max(y for _, y in line) < max(ys)
    assert all(0 < y < 250 for y in ys)


def test_single_points_and_flat_curves_are_drawn():
    for y in (0.0, 3.0, -2.0):
        svg = panel_svg(Panel("t", "x", [Curve("A", 0, [7], [y]), Curve("B", 1, [7], [y])]))
        assert svg.count("var(--s1)") >= 1 and svg.count("var(--s2)") >= 1 and "nan" not in svg


def test_no_two_styles_look_alike():
    looks = {
        re.sub(r'(?:id="|#)[mp]\w+', "", swatch_svg(style)) for style in range(3 * len(COLORS))
    }
    assert len(looks) == 3 * len(COLORS)
    plain = {re.sub(r"var\(--s\d+\)", "", look) for look in looks}
    assert len(plain) == 3 * len(COLORS)  # without colours too


def test_a_method_keeps_its_colour_when_others_are_added():
    plan = ["ViT baseline", "FED", "FED plus", "untrained ViT"]
    styles = styles_of(plan)
    assert len(set(styles.values())) == 4 and max(styles.values()) < len(COLORS)
    for more in ("a dump", "ZZZ", "FED without OEM", *map(str, range(30))):
        assert styles_of([*plan, more]).items() > styles.items()
    free = [str(n) for n in range(50) if styles_of([str(n)])[str(n)] not in styles.values()]
    for first in free:  # also before the others, unless it asks for a colour of theirs
        assert styles_of([first, *plan]).items() > styles.items()
    assert all(styles_of([one])[one] == style for one, style in styles.items())
    assert styles_of(["FED_plus"])["FED_plus"] == styles["FED plus"]  # as folders are named
    many = [str(n) for n in range(3 * len(COLORS))]
    assert sorted(styles_of(many).values()) == list(range(3 * len(COLORS)))
    assert styles_of([*many, "one more"])["one more"] == len(many)


def test_a_panel_has_words_for_a_screen_reader_and_escapes_names():
    svg = panel_svg(Panel("loss", "iteration", [Curve("<b>", 0, [1, 2], [3, 4])]))
    assert 'role="img"' in svg and "<title>loss by iteration: &lt;b&gt; from 3 to 4</title>" in svg
    assert "<b>" not in svg and 'aria-hidden="true"' in swatch_svg(0)


def test_drawing_imports_no_pyplot():
    script = (
        "import sys; from fed_plugin.visualization.lines import Curve, Panel, panel_svg;"
        "assert 'matplotlib' not in sys.modules;"
        "panel_svg(Panel('t', 'x', [Curve('A', 0, [1], [1])]));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
