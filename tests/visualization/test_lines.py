"""Curves as SVG: where points lie, how they are told apart, what is said in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.visualization.lines import (
    COLORS,
    Curve,
    Panel,
    draw_panel,
    line_figure,
    log_ticks,
    round_ticks,
    tick_words,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


def points(svg):
    """Return the pixels of every curve."""
    lines = [one.get("points") for one in ET.fromstring(svg).iter("polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]


@settings(max_examples=80, deadline=None)
@given(FINITE, FINITE)
def test_ticks_hold_what_is_shown_in_few_equal_steps(a, b):
    low, high = min(a, b), max(a, b)
    ticks = round_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack


def test_ticks_and_their_words():
    assert round_ticks(3.2, 78, 5) == [0, 20, 40, 60, 80]
    assert log_ticks(1, 50) == [1, 2, 5, 10, 20, 50]
    assert tick_words([0, 20_000]) == ["0", "20k"]
    assert tick_words([0, 0.0005, 0.001]) == ["0", "5e-4", "1e-3"]
    assert tick_words([0.2, 0.25]) == ["0.2", "0.25"]


def test_more_is_higher_and_further_right():
    (line,) = points(draw_panel(Panel("t", "x", [Curve("A", 0, [0, 1, 4], [10, 30, 20])])))
    (x1, y1), (x2, y2), (x3, y3) = line
    assert x1 < x2 < x3 and y1 > y3 > y2
    assert (x3 - x2) / (x2 - x1) == pytest.approx(3, abs=0.02)


def test_factors_on_a_logarithmic_axis_and_an_axis_that_falls():
    curve = Curve("A", 0, [1, 10, 100], [1, 2, 3])
    (line,) = points(draw_panel(Panel("t", "x", [curve], log_x=True)))
    assert line[2][0] - line[1][0] == pytest.approx(line[1][0] - line[0][0], abs=0.2)
    (line,) = points(draw_panel(Panel("t", "x", [curve], falling_x=True)))
    assert line[0][0] > line[1][0] > line[2][0]


def test_bands_lie_around_their_curve_and_inside_the_axes():
    curve = Curve("A", 0, [0, 1], [5, 6], low=[1, 2], high=[9, 20])
    svg = draw_panel(Panel("t", "x", [curve]))
    band = ET.fromstring(svg).find(".//polygon").get("points")
    ys = [float(pair.split(",")[1]) for pair in band.split()]
    (line,) = points(svg)
    assert ys[0] < line[0][1] < ys[-1] and all(0 < y < 250 for y in ys)


def test_single_points_and_flat_curves_are_drawn():
    for y in (0.0, 3.0, -2.0):
        svg = draw_panel(Panel("t", "x", [Curve("A", 0, [7], [y]), Curve("B", 1, [7], [y])]))
        assert len(points(svg)) == 2 and "nan" not in svg


def test_no_two_of_twenty_one_methods_look_alike():
    curves = [Curve(f"m{n}", n, [0, 1], [n, n]) for n in range(3 * COLORS)]
    root = ET.fromstring(draw_panel(Panel("t", "x", curves)))
    groups = [g for g in root.iter("g") if "curve" in g.get("class")]
    looks = {
        (g.get("class"), g.find("polyline").get("stroke-dasharray"), g.find("path").get("d"))
        for g in groups
    }
    assert len(looks) == len(curves)
    assert len({g.find("path").get("d") for g in groups[:COLORS]}) == COLORS


def test_a_figure_says_in_words_what_it_shows_and_escapes_names():
    panel = Panel("loss", "iteration", [Curve("<b>", 0, [1, 2], [3, 4])])
    figure = line_figure([panel, panel], "Two & two.")
    assert figure.count('role="img"') == 2 and "&lt;b&gt; from 3 to 4" in figure
    assert "<b>" not in figure and "Two &amp; two.</figcaption>" in figure
    assert len(re.findall("<li>", figure)) == 1  # one legend for both
