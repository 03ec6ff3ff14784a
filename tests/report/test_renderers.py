"""Pages: no text breaks out of its element, and all colours of figures have a variable."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fed_plugin.report
from fed_plugin.report.curves import Figure
from fed_plugin.report.grids import Grid
from fed_plugin.report.renderers import curves_page, html_environment
from fed_plugin.retrieval.estimates import Column, escaped
from fed_plugin.visualization.lines import COLORS, Curve, Panel

TEMPLATES = Path(fed_plugin.report.__file__).parent / "templates"


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.attributes = [], "", {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data):
        self.text += data


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text())
def test_any_text_stays_text(text, value):
    reader = Reader()
    template = html_environment().from_string('<p title="{{ value }}">{{ text }}</p>')
    reader.feed(template.render(text=text, value=value))
    reader.close()
    shown = [
        "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in s) for s in (text, value)
    ]
    assert (reader.tags, reader.text, reader.attributes["title"]) == (["p"], *shown)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_text_stays_one_cell_of_markdown(text):
    line = escaped(text)
    assert "\n" not in line and not re.search(r"(?<!\\)(\\\\)*\|", line) and "<" not in line


def test_a_template_that_names_an_unknown_value_fails():
    with pytest.raises(Exception, match="has no attribute 'method'"):
        html_environment().from_string("{{ report.method }}").render(report={})


def test_a_grid_without_rows_is_no_table():
    macros = html_environment().get_template("macros.html.j2").module
    assert str(macros.grid(None)).strip() == ""
    columns = [Column(title, title, itemgetter(n)) for n, title in enumerate("abc")]
    table = Grid("c", columns, [("x", {"KEY": (1, 2)}, ""), ("y", {}, None)], ("one", "two"))
    assert table.header == ["a", "b"]  # a column without content is left out
    html = str(macros.grid(table))
    assert "<code>KEY: [1, 2]</code>" in html and "nothing" in html
    assert html.count('<p class="note">') == 2


@pytest.fixture(scope="module")
def figures():
    """A page with a figure of all styles, a band, and hostile names."""
    names = ["<b>\x07</b>", 'fill: #0072b2" id="axes_1"', *map(str, range(len(COLORS) - 2))]
    curves = [Curve(n, s, [1, 2], [s, s], [s - 1] * 2, [s + 1] * 2) for s, n in enumerate(names)]
    return curves_page(
        Figure([Panel("loss <i>", "x", curves), *[Panel("$x$", "x", curves)] * 2], "c")
    )


def test_every_colour_of_a_figure_is_a_variable_of_both_schemes(figures):
    style = (TEMPLATES / "page.css").read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    dark = dark[: dark.index("* {")]
    used = set(re.findall(r"var\((--\w+)\)", figures[figures.index("<body") :]))
    assert used == {"--ink", "--soft", "--line", *(f"--s{n + 1}" for n in range(len(COLORS)))}
    for scheme in (light, dark):
        assert all(f"{name}: #" in scheme for name in used)
    drawn = re.findall(r"(?:fill|stroke): (#\w+)", re.sub(r"<title>.*?</title>", "", figures))
    assert set(drawn) <= {"#0072b2"}  # the words of the hostile name


def test_a_figure_is_text_without_scripts_fonts_or_double_ids(figures):
    assert "<script" not in figures and "<b>" not in figures and "\x07" not in figures
    assert "loss &lt;i&gt;</text>" in figures and "$x$</text>" in figures
    ids = re.findall(r'<[^>]* id="([^"]*)"', figures)
    assert ids and len(ids) == len(set(ids))
    assert "://" not in figures.replace("http://www.w3.org", "")
    for svg in re.findall(r"<svg.*?</svg>", figures, flags=re.DOTALL):
        ET.fromstring(svg)


def test_the_same_figures_give_the_same_bytes():
    panel = Panel("t", "x", [Curve("A", 0, [0, 1], [1, 2])])
    assert curves_page(Figure([panel], "c")) == curves_page(Figure([panel], "c"))
