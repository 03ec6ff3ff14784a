"""Markup that no text breaks out of."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.visualization.canvas import Markup, element, joined


class _Reader(HTMLParser):
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
    reader = _Reader()
    reader.feed(element("p", text, title=value))
    reader.close()
    shown = [
        "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in s) for s in (text, value)
    ]
    assert (reader.tags, reader.text, reader.attributes["title"]) == (["p"], *shown)


def test_elements_lists_and_nothing():
    inner = [element("b", 1), None, ["<", element("br")]]
    assert element("p", inner) == "<p><b>1</b>&lt;<br></p>"
    assert isinstance(joined("a"), Markup)


def test_attributes_are_named_as_in_html():
    made = element("td", class_="a", aria_label='"', hidden=True, title=None, open=False, x=0)
    assert made == '<td class="a" aria-label="&quot;" hidden x="0"></td>'
