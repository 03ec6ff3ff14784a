"""How times grow: with the batch, the identities and the loader's workers, as a table and a plot.

    python benchmarks/speed/scaling_page.py

draws ``docs/scaling.png`` from the records of ``training_step.py --batches``, ``memory_bank.py``
and ``loading.py``, and writes the table of ``docs/speed.md`` between ``<!-- scaling -->`` and
``<!-- /scaling -->``; ``--check`` only tells whether the table is current. Gallery sizes are
``retrieval_page.py``'s.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interleaved import RESULTS

from fed_plugin.visualization.canvas import INK
from fed_plugin.visualization.lines import Curve, Panel, line_sheet

DOCS = Path(__file__).parents[2] / "docs"
START, END = "<!-- scaling -->\n", "<!-- /scaling -->"
STYLES = {
    "FED, fp32": 0,
    "FED, bf16": 1,
    "memory, fed_plugin": 2,
    "memory, loop over samples": 3,
    "loader, with NPO": 4,
    "loader, stock transforms": 5,
}
IDENTITIES, BATCH = 100_000, 64


@dataclass(frozen=True)
class Row:
    """Hold what was measured against something that grows.

    Args:
        what: with its unit.
        against: what grows.
        curves: by name of ``STYLES`` and by size, ``min``, ``median`` and ``max``.
    """

    what: str
    against: str
    curves: Mapping[str, Mapping[int, Mapping[str, float]]]

    def words(self) -> list[str]:
        """Return a line of the table per curve."""
        return [
            f"| {self.what}: {name.partition(', ')[2]} | {self.against} | "
            + "; ".join(
                f"{size:,}: {digits(of['median'])} [{digits(of['min'])}, {digits(of['max'])}]"
                for size, of in by_size.items()
            )
            + " |"
            for name, by_size in self.curves.items()
        ]

    def panel(self) -> Panel:
        """Return the curves to draw, with bands from the least to the most."""
        curves = [
            Curve(
                name,
                STYLES[name],
                [*by_size],
                *([of[key] for of in by_size.values()] for key in ("median", "min", "max")),
            )
            for name, by_size in self.curves.items()
        ]
        return Panel(self.what, self.against, curves)


def main() -> int:
    """Draw and write, or check."""
    rows = [*training_rows(), *memory_rows(), loading_row()]
    lines = ["| what | against | median [least, most] |", "|---|---|---|"]
    table = "\n".join([*lines, *(line for row in rows for line in row.words())])
    page = DOCS / "speed.md"
    old = page.read_text(encoding="utf-8")
    before, rest = old.split(START)
    new = f"{before}{START}{table}\n{END}{rest.split(END)[1]}"
    if "--check" in sys.argv:
        if new != old:
            print("docs/speed.md: the records differ; run python benchmarks/speed/scaling_page.py")
        return int(new != old)
    page.write_text(new, encoding="utf-8")
    panels = [row.panel() for row in rows]
    print(draw([panels[:3], [*panels[3:], *[None] * (6 - len(panels))]]))
    return 0


def training_rows() -> list[Row]:
    """Return the training step's ratio to the bare ViT in fp32 against B."""
    by_batch = read("training_step_batches")
    curves = {
        name: {sized(batch): found[name]["ratio"] for batch, found in by_batch.items()}
        for name in ("FED, fp32", "FED, bf16")
    }
    return [Row("FED's training step / bare ViT's in fp32", "B, photos", curves)]


def memory_rows() -> list[Row]:
    """Return the memory's times against B and against M."""
    found = {name: of for name, of in read("memory_bank").items() if isinstance(of, dict)}
    by_batch = {n: of for n, of in found.items() if n.startswith(f"M={IDENTITIES} ")}
    by_slots = {n: of for n, of in found.items() if n.endswith(f" B={BATCH}")}
    return [
        Row(f"the memory's {what}, ms", against, memory_curves(what, chosen, place))
        for what in ("update", "search")
        for against, chosen, place in (
            (f"B, samples, of {IDENTITIES:,} identities", by_batch, 1),
            (f"M, identities, of {BATCH} samples", by_slots, 0),
        )
    ]


def memory_curves(what: str, chosen: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Return milliseconds by size, the size being number ``place`` of a measurement's name."""
    return {
        f"memory, {name}": {
            sized(which.split()[place]): {
                key: 1000 * value for key, value in of[what][name]["wall"].items()
            }
            for which, of in chosen.items()
        }
        for name in ("fed_plugin", "loop over samples")
    }


def loading_row() -> Row:
    """Return the loader's photos per second against its workers."""
    found = read("loading")["photos_per_second"]
    curves = {
        f"loader, {name}": {sized(workers): of for workers, of in by_workers.items()}
        for name, by_workers in found.items()
    }
    return Row("photos per second", "workers, on 2 cores", curves)


def read(name: str) -> dict[str, Any]:
    """Return what a record says was measured."""
    measured: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())["measured"]
    return measured


def digits(value: float) -> str:
    """Return three digits of a number, or all before its point."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def sized(words: str) -> int:
    """Return the number in ``"B=8"`` or ``"4 workers"``."""
    found = re.search(r"\d+", words)
    assert found is not None
    return int(found[0])


def draw(panels: Sequence[Sequence[Panel | None]]) -> Path:
    """Draw the picture."""
    return line_sheet(
        panels,
        DOCS / "scaling.png",
        "How times grow with the batch, the identities and the workers",
        "Median of the rounds, bands from the fastest to the slowest. Ratios are to the bare stock "
        "ViT in the same round; the memory has slots of 3072 numbers; the loader is fast-reid's "
        "own, on 2 cores. Axes of the memory grow by factors.",
        dress,
    )


def dress(axes: Any, drawn: Panel, first: bool, last: bool) -> None:
    """Write a panel's words."""
    axes.set_title(drawn.title, fontsize=10.5, loc="left", color=INK)
    axes.set_xlabel(drawn.x_label, fontsize=9.5, color=INK)
    sizes = list(drawn.curves[0].x)
    if drawn.title.endswith("ms"):
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = (math.log10(value) for value in axes.get_ylim())
        axes.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()


if __name__ == "__main__":
    raise SystemExit(main())
