"""Tables and the picture of retrieval's rows of the speed table, from their records.

    python benchmarks/speed/retrieval_page.py

draws ``docs/retrieval_speed.png`` from ``benchmarks/results/speed/*.json`` and writes the tables
of ``docs/search.md`` between ``<!-- search -->`` and ``<!-- /search -->``, and between ``<!--
recall -->`` and ``<!-- /recall -->``; ``--check`` only tells whether they are current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from interleaved import RESULTS
from tabulate import tabulate

from fed_plugin.visualization.canvas import INK
from fed_plugin.visualization.lines import Curve, Panel, line_sheet

DOCS = Path(__file__).parents[2] / "docs"
OURS, FAISS, HOST = "fed_plugin", "faiss, exact", "fast-reid"
STYLES = {OURS: 0, FAISS: 1, HOST: 2}
PAGE = DOCS / "search.md"


def main() -> int:
    """Write all, or check the tables."""
    search, blocks, reranking = (read(n) for n in ("search", "ranking_in_blocks", "reranking"))
    old = PAGE.read_text(encoding="utf-8")
    new = placed(old, "search", search_table(search))
    new = placed(new, "recall", recall_table(read("search_recall")))
    if "--check" in sys.argv:
        if new != old:
            print("docs/search.md: the records differ; run benchmarks/speed/retrieval_page.py")
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    batch = search["measured"]["batch"]
    panels = [
        search_panel(search, "batch", f"Search, {batch} photos at once: s"),
        search_panel(search, "single", "Search, one photo: s"),
        memory_panel(search),
        ranking_panel(blocks),
        reranking_panel(reranking, "Re-ranking: s", seconds),
        reranking_panel(reranking, "Re-ranking: GB beside features", gigabytes),
    ]
    machine = " and ".join(sorted({one["about"]["machine"] for one in (search, blocks, reranking)}))
    answered = [row["valid_queries"] for row in blocks["measured"]["sizes"]]
    path = line_sheet(
        [panels[:3], panels[3:]],
        DOCS / "retrieval_speed.png",
        "What retrieval takes, by gallery size",
        f"Descriptors of 3072 numbers, drawn as a trained model's spread; {machine}. Search: top "
        "50, compressed index beside the exact one, median. CMC, mAP and mINP: exact, from a file, "
        f"of the queries with a right answer ({', '.join(map(str, answered))}). Re-ranking: "
        "k-reciprocal, a sixth are queries, memory beside the features. Axes grow by factors.",
        dress,
    )
    print(path)
    return 0


def read(name: str) -> dict[str, Any]:
    """Return a record."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def search_panel(record: dict[str, Any], kind: str, title: str) -> Panel:
    """Draw seconds of a search."""
    sizes = record["measured"]["sizes"]
    steps = {OURS: "CompressedDescriptors", FAISS: "faiss IndexFlatIP"}
    rows = {
        who: [row[kind][name]["wall"]["median"] for row in sizes] for who, name in steps.items()
    }
    return panel(title, [row["images"] for row in sizes], rows)


def memory_panel(record: dict[str, Any]) -> Panel:
    """Draw gigabytes of an index."""
    sizes = record["measured"]["sizes"]
    steps = {OURS: "CompressedDescriptors", FAISS: "faiss IndexFlatIP"}
    rows = {
        who: [row["memory"][name]["while_searching_gb"] for row in sizes]
        for who, name in steps.items()
    }
    return panel("Search: GB in memory", [row["images"] for row in sizes], rows)


def ranking_panel(record: dict[str, Any]) -> Panel:
    """Draw seconds of an exact ranking."""
    sizes = record["measured"]["sizes"]
    seconds_of = {OURS: [row["seconds"] for row in sizes]}
    return panel("CMC, mAP, mINP from a file: s", [row["images"] for row in sizes], seconds_of)


def reranking_panel(record: dict[str, Any], title: str, value: Any) -> Panel:
    """Draw one figure of re-ranking."""
    sizes = record["measured"]["sizes"]
    names = {OURS: "fed_plugin jaccard_distance", HOST: "fast-reid, CPU branch"}
    rows = {who: [value(row, name) for row in sizes] for who, name in names.items()}
    return panel(title, [row["images"] for row in sizes], rows)


def seconds(row: dict[str, Any], name: str) -> float:
    """Return the median of a step."""
    return float(row["steps"][name]["wall"]["median"])


def gigabytes(row: dict[str, Any], name: str) -> float:
    """Return what a step had in memory at most."""
    return float(row["memory_beside_the_features_gb"][name])


def panel(title: str, sizes: list[int], rows: dict[str, list[float]]) -> Panel:
    """Draw lines against the number of images."""
    curves = [Curve(who, STYLES[who], sizes, values) for who, values in rows.items()]
    return Panel(title, "images", curves, log_x=True)


def dress(axes: Any, drawn: Panel, first: bool, last: bool) -> None:
    """Write a panel's words; both axes grow by factors."""
    axes.set_title(drawn.title, fontsize=10.5, loc="left", color=INK)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = list(drawn.curves[0].x)
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    if last:
        axes.set_xlabel(drawn.x_label, fontsize=10, color=INK)


def placed(page: str, name: str, text: str) -> str:
    """Return a page with another text between its marks of a name."""
    before, start, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    assert start and end, name
    return f"{before}{start}{text}\n{end}{after}"


def recall_table(record: dict[str, Any]) -> str:
    """Return what is found where descriptors vary along more directions."""
    columns = ["descriptors", "directions", "candidates for each answer", "of 50 right answers"]
    rows = [
        [
            row["of"],
            f"{row['effective directions']:.0f}",
            row["candidates per answer"],
            f"{row['recall_at_50']:.1%}",
        ]
        for row in record["measured"]["rows"]
    ]
    return tabulate(rows, columns, "github", disable_numparse=True)


def search_table(record: dict[str, Any]) -> str:
    """Return what a search takes, exact and compressed, by gallery size."""
    columns = ["gallery", "index", "100 photos, median", "one photo, median", "memory"]
    columns += ["of 50 right answers"]
    rows = []
    for size in record["measured"]["sizes"]:
        for name, who in (("faiss IndexFlatIP", "exact"), ("CompressedDescriptors", "compressed")):
            recall = size["recall_at_50"]["mean"] if who == "compressed" else 1.0
            times = [size[kind][name]["wall"]["median"] for kind in ("batch", "single")]
            memory = size["memory"][name]["while_searching_gb"]
            shown = [f"{value:.2g} s" for value in times]
            rows.append([f"{size['images']:,}", who, *shown, f"{memory:.2g} GB", f"{recall:.1%}"])
    about = record["about"]
    lost = max(x["similarity_lost_by_the_first"]["max"] for x in record["measured"]["sizes"])
    words = f"The most similar lose up to {lost:.4f} of their similarity.\n\n"
    words += f"*`{about['command']}`, {about['day']}; {about['machine']}; "
    words += f"load {about['load_average'][0]} at its end.*"
    table = tabulate(rows, columns, "github", disable_numparse=True)
    return f"{table}\n\n{words}"


if __name__ == "__main__":
    raise SystemExit(main())
