"""HTML and SVG that no text breaks out of: every string is escaped, but for what was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

_VOID = frozenset(("br", "hr", "img", "link", "meta"))


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def element(
    name: str, /, *children: Child, **attributes: str | int | float | bool | None
) -> Markup:
    """Return an element of HTML or SVG.

    Args:
        name: of the element.
        *children: elements, texts, numbers, or lists of such; None is left out. A text is escaped
            if it is no ``Markup``.
        **attributes: values are escaped; ``class_`` is "class", ``aria_label`` "aria-label"; True
            is an attribute without a value, None and False leave it out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        words.append(attribute if value is True else f'{attribute}="{escape(value)}"')
    start = f"<{' '.join(words)}>"
    return Markup(start if name in _VOID else f"{start}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return children behind each other, texts escaped."""
    return Markup("".join(_flat(children)))


def escape(value: str | int | float) -> str:
    """Return a text whose every character is shown; control characters become U+FFFD."""
    text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))
    return html.escape(text)


def _flat(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, (str, int, float)):
            yield escape(child)
        else:
            yield from _flat(child)
