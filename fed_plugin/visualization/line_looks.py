"""How curves of a page are told apart: colours, dashes, markers, and the style sheet for them."""

from __future__ import annotations

COLORS = 7
DASHES = (None, "7 3", "2 3")
SHAPES = (
    "M-3.5 0A3.5 3.5 0 1 0 3.5 0A3.5 3.5 0 1 0 -3.5 0",
    "M-3.2 -3.2H3.2V3.2H-3.2Z",
    "M0 -4.2L4 3H-4Z",
    "M0 -4.5L4.5 0L0 4.5L-4.5 0Z",
    "M0 4.2L4 -3H-4Z",
    "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5",
    "M-4.5 0H4.5M0 -4.5V4.5",
)

LINE_STYLE = """
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 0.8rem; }
.panels.pairs { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.panels svg { width: 100%; max-width: 27rem; height: auto; display: block; overflow: visible; }
svg text { fill: var(--ink); font-size: 12px; } svg .unit { fill: var(--soft); }
svg .axis { stroke: var(--soft); } svg .rule { stroke: var(--line); }
.curve polyline, .curve path { fill: none; stroke: currentColor; stroke-width: 1.8; }
.curve path { stroke-width: 1.4; } .curve .band { fill: currentColor; opacity: 0.14; }
.legend { list-style: none; padding: 0; margin: 0.4rem 0; display: flex; flex-wrap: wrap;
  gap: 0.2rem 1.2rem; font-size: 0.85rem; }
.legend svg { width: 36px; height: 12px; margin-right: 0.35rem; vertical-align: middle; }
""" + "".join(f".c{n} {{ color: var(--s{n}); }} " for n in range(1, COLORS + 1))
