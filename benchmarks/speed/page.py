"""Write the table of docs/speed.md from the records of this folder's scripts.

``python benchmarks/speed/page.py`` rewrites it, ``--check`` only tells whether it is current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from interleaved import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
START, END = "<!-- speed -->\n", "<!-- /speed -->"
STEPS = ("fed_plugin", "decoded and resized by PIL per call")
Found = Mapping[str, Any]


def main() -> int:
    """Rewrite or check the page."""
    old = PAGE.read_text(encoding="utf-8")
    before, rest = old.split(START)
    new = before + START + table() + END + rest.split(END)[1]
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/speed.md: the records differ; run python benchmarks/speed/page.py")
        return 1
    return 0


def table() -> str:
    """Render a row per record: its target, its floor, what was measured and on what."""
    heads = ["what", "target", "measured: median [least, most]", "floor", "machine, load"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * 5 + "|"]
    versions = set()
    for name, (what, words) in ROWS.items():
        record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        about = record["about"]
        machine = f"{about['machine']}; {about['load_average'][0]:.1f}"
        try:
            measured = "; ".join(words(record["measured"]))
        except (KeyError, TypeError, IndexError) as error:
            raise SystemExit(
                f"{name}.json has no {error}: expected the record of {name}.py's own arguments; "
                "run it without any, or check the file out again"
            ) from error
        link = f"[{what}](../benchmarks/results/speed/{name}.json)"
        cells = (link, record["target"], measured, record["floor"], machine)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
        versions.add(f"PyTorch {about['torch']}, Python {about['python']}")
    ending = "; ".join(sorted(versions))
    return "\n".join(lines) + f"\n\n*{ending}. Commands, days and CPU times: in the records.*\n"


def ratio(found: Found, key: str = "ratio") -> str:
    """Say a ratio with its spread over the rounds."""
    one = found[key]
    return f"{one['median']:.3g} [{one['min']:.3g}, {one['max']:.3g}]"


def _training(found: Found) -> list[str]:
    step = found["B=8"]
    rows = ((f"FED, {p}", step[f"FED, {p}"]) for p in ("fp32", "bf16"))
    return [f"{name}: {ratio(row)}, by CPU time {ratio(row, 'cpu_ratio')}" for name, row in rows]


def _memory(found: Found) -> list[str]:
    names = ("FED, fp32", "FED, bf16", "FED, fp32, recomputed")
    return [f"{name}: {found[name]['tensors_ratio']:.3f}" for name in names]


def _forward(found: Found) -> list[str]:
    return [
        f"FED, {precision}: {ratio(found[f'FED, {precision}'])}" for precision in ("fp32", "bf16")
    ]


def _rank1(found: Found) -> list[str]:
    return [
        f"{run}: Rank-1 {both['fp32']['Rank-1']:.2f} in fp32, {both['bf16']['Rank-1']:.2f} in bf16"
        for run, both in found.items()
        if isinstance(both, dict)
    ]


def _npo(found: Found) -> list[str]:
    said = []
    for crops, row in found.items():
        if isinstance(row, dict):
            wall, theirs = (step["wall"] for step in map(row["seconds_per_image"].get, STEPS))
            low, middle, high = (1000 * wall[key] for key in ("min", "median", "max"))
            said.append(
                f"{crops}: {middle:.2f} [{low:.2f}, {high:.2f}] ms, decoded and resized by PIL per "
                f"call {1000 * theirs['median']:.2f} ms"
            )
    return said


def _bank(found: Found) -> list[str]:
    said = []
    for batch in ("M=100000 B=4", "M=100000 B=64", "M=100000 B=256"):
        walls = {
            step: 1000 * found[batch][step]["fed_plugin"]["wall"]["median"]
            for step in ("update", "search")
        }
        words = ", ".join(f"{step} {wall:.2f} ms" for step, wall in walls.items())
        loop = 1000 * found[batch]["update"]["loop over samples"]["wall"]["median"]
        said.append(f"{batch}: {words} (the loop's update {loop:.2f} ms)")
    return said


def _imports(found: Found) -> list[str]:
    return [
        f"{what}: +{found[what]['added_ms']['median_wall']:.1f} ms"
        for what in ("start", "import fastreid")
    ]


def _ranking(found: Found) -> list[str]:
    return [f"of the Cython's time: {ratio(found['steps']['fed_plugin rank'])}"]


def _blocks(found: Found) -> list[str]:
    last = found["sizes"][-1]
    return [
        f"{found['queries']:,} x {last['images']:,}: {last['seconds']:.0f} s, "
        f"{last['cpu_seconds']:.0f} CPU s, {last['peak_resident_gb']:.2f} GB at most"
    ]


def _reranking(found: Found) -> list[str]:
    return [
        f"{row['images']:,}: {ratio(row['steps']['fed_plugin jaccard_distance'])} of the time, "
        f"{row['memory_ratio']:.2f} of the memory, {row['rounds']} rounds"
        for row in found["sizes"]
    ]


def memory_saved(row: Found) -> float:
    """Return how many times the memory the exact index has in use while it searches."""
    used = {name: of["while_searching_gb"] for name, of in row["memory"].items()}
    return float(used["faiss IndexFlatIP"] / used["CompressedDescriptors"])


def _search(found: Found) -> list[str]:
    return [
        f"{row['images']:,}: recall {row['recall_at_50']['mean']:.3f}, "
        f"{ratio(row['batch']['CompressedDescriptors'])} of the time, 1/{memory_saved(row):.1f} of "
        "the memory"
        for row in found["sizes"]
    ]


def _compiled(found: Found) -> list[str]:
    return [
        f"{name}, {what.replace('_', ' ')}: {ratio(row)}"
        for what, steps in found.items()
        if isinstance(steps, dict)
        for name, row in steps.items()
        if name != "as it is"
    ]


def _choices(found: Found) -> list[str]:
    said = [f"optimizer, fused: {ratio(found['optimizer']['fused'])}"]
    for what, steps in found.items():
        if what != "optimizer":
            said.append(f"{what}, fused operation: {ratio(steps['fused operation'])}")
    return said


ROWS: dict[str, tuple[str, Callable[[Found], list[str]]]] = {
    "training_step": ("training step, B = 8, of the bare stock ViT in fp32", _training),
    "training_memory": ("its peak memory", _memory),
    "test_forward": ("test forward, of the same", _forward),
    "bf16_ranking": ("what bf16 does to a ranking", _rank1),
    "compiled": ("torch.compile and channels-last, of FED without", _compiled),
    "choices": ("fused beside not fused: optimizer, and attention of a layer", _choices),
    "npo": ("NPO per image, one core", _npo),
    "memory_bank": ("memory bank, 100,000 identities", _bank),
    "import_time": ("imports", _imports),
    "ranking": ("CMC, mAP, mINP, 3,368 x 15,913", _ranking),
    "ranking_in_blocks": ("the same from a file, D = 3072", _blocks),
    "reranking": ("re-ranking", _reranking),
    "search": ("gallery search, D = 3072, top 50", _search),
}

if __name__ == "__main__":
    raise SystemExit(main())
