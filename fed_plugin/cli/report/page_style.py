"""Colours and layout of the page: light and dark, paper, and the width of a phone."""

from __future__ import annotations

from fed_plugin.visualization.line_looks import LINE_STYLE
from fed_plugin.visualization.ranking_strips import STRIP_STYLE

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --soft: #5a5f66;
  --line: #d5d8dc; --panel: #f5f6f8; --warn: #8a3b00; --right: #0072b2; --wrong: #c24e00;
  --s1: #0072b2; --s2: #c24e00; --s3: #007f5f; --s4: #b0568c; --s5: #946200; --s6: #2f7fae;
  --s7: #4a4a4a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #15181c; --soft: #a5abb3;
  --line: #3a4048; --panel: #1f242a; --warn: #ffb27a; --right: #56b4e9; --wrong: #ff9550;
  --s1: #4fa8e0; --s2: #ff8a3d; --s3: #2fc79b; --s4: #e79ac6; --s5: #e6b422; --s6: #9ad3f5;
  --s7: #c8c8c8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; border-top: 1px solid var(--line);
  padding-top: 1.2rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.note, small, figcaption { color: var(--soft); font-size: 0.85rem; }
.warning { color: var(--warn); border-left: 4px solid currentColor; padding-left: 0.7rem; }
.scrolls { overflow-x: auto; max-width: 100%; margin: 0.8rem 0 0.3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.2rem 0; }
caption span { display: block; position: sticky; left: 0; max-width: calc(100vw - 2rem); }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.9rem 0.4rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--soft); font-size: 0.85rem; }
tbody th { font-weight: 500; min-width: 8.5rem; max-width: 16rem; overflow-wrap: anywhere; }
td small { display: block; white-space: nowrap; line-height: 1.35; }
.value { font-size: 1.02rem; }
figure { margin: 0.8rem 0 1.4rem; }
details { margin: 0.6rem 0; } summary { cursor: pointer; font-weight: 600; }
"""
PRINT_STYLE = """
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  .scrolls { overflow: visible; } tr, figure.ranking, svg { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .panels, .panels.pairs, .strips { grid-template-columns: 1fr 1fr; }
  .ranking img { height: 3.4rem; } }
"""
STYLE += LINE_STYLE + STRIP_STYLE + PRINT_STYLE  # the last rule counts
