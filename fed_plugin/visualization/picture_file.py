"""Where a picture goes: a PNG, or one HTML page that needs no network; whole or not at all."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fed_plugin.visualization.markup import Markup, element

KINDS = (".png", ".html")
_FONTS = "'DejaVu Sans', Verdana, sans-serif"  # Verdana is as wide
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_STYLE = f"""
:root {{ color-scheme: light; }} body {{ margin: 0; background: #ffffff; }}
svg {{ display: block; margin: 0 auto; max-width: 100%; height: auto; }}
svg text {{ font-family: {_FONTS} !important; }}
@media print {{ svg {{ max-width: none; }} }}
"""


def check_kind(path: str | Path, flag: str = "") -> Path:
    """Return the path of a picture.

    Args:
        path: where it shall go.
        flag: of the command that was given it.

    Raises:
        ValueError: the name ends neither in ``.png`` nor in ``.html``.
    """
    target = Path(path)
    if target.suffix.lower() not in KINDS:
        raise ValueError(
            f"{flag} {path}: expected a file name that ends in {' or '.join(KINDS)}".lstrip()
        )
    return target


def save_figure(figure: Any, path: str | Path, title: str) -> Path:
    """Write a figure of matplotlib; make its folder.

    Args:
        figure: with a size and pictures laid out for its own dpi.
        path: ``.png`` or ``.html``.
        title: of the page, and what a screen reader says of the picture.

    Returns:
        The path.

    Raises:
        ValueError: a path of another kind.
    """
    target = check_kind(path)
    content = _as_png(figure) if target.suffix.lower() == ".png" else _as_page(figure, title)
    return write_whole(target, content)


def write_whole(target: Path, content: bytes) -> Path:
    """Write a file beside ``target`` that takes its name when it is complete; return the path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _as_png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., 2::-1]
    encoded: bytes = cv2.imencode(".png", np.ascontiguousarray(drawn))[1].tobytes()
    return encoded


def _as_page(figure: Any, title: str) -> bytes:
    """Return a page whose words can be searched, copied and enlarged."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    drawn = io.StringIO()
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "fed_plugin"}):
        FigureCanvasSVG(figure).print_svg(drawn, metadata=_NO_METADATA | {"Title": title})
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    size = f'<svg role="img" width="{width}" height="{height}"'
    svg = size + _without_size(svg).removeprefix("<svg")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    body = element("body", element("main", Markup(svg)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n".encode()


def _without_size(svg: str) -> str:
    start, end = 0, svg.index(">")
    opening = re.sub(r' (?:width|height)="[^"]*"', "", svg[start:end])
    return opening + svg[end:]
