"""Several processes over gloo: the same bits on every rank, and what happens when one dies.

``python tests/soak/ranks.py`` writes ``results/reliability/ranks.json``; minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import small_run
from records import RESULTS, write_record

import projects_registry  # noqa: F401 - arms the mends

SECONDS = 600
KILLED_AT = 5


def main() -> int:
    """Run every scene in processes of its own, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--short", action="store_true", help="two ranks, one case of a scene")
    args = parser.parse_args()
    rows, failed = [], []
    with small_run.drawn_data(), tempfile.TemporaryDirectory() as folder:
        for name in args.scenes:
            for row in SCENES[name](Path(folder) / name, args.short):
                rows.append(row[:2])
                failed += [] if row[2] else [row[0]]
                sys.stdout.write(f"{'ok    ' if row[2] else 'FAILED'} {row[0]}: {row[1]}\n")
    words = (
        f"{len(rows) - len(failed)} of {len(rows)} hold. Rank 0's BatchNorm statistics go into "
        "checkpoints, as in fast-reid; they are the only values that differ between ranks."
    )
    path = write_record("ranks", ["what", "seen"], rows, words, args.out, failed=failed)
    sys.stdout.write(f"{path}\n")
    return int(bool(failed))


def ranks_agree(folder: Path, short: bool) -> list[tuple[str, str, bool]]:
    """Train on 2 and 4 ranks, compare weights and memories of all."""
    rows = []
    for ranks in (2,) if short else (2, 4):
        images = 4 * ranks  # one identity on each
        settings = {"SOLVER__MAX_EPOCH": 2, "SOLVER__IMS_PER_BATCH": images}
        found = _launch("train", ranks, folder / str(ranks), **settings)
        seen = json.loads(found.stdout.splitlines()[-1]) if found.returncode == 0 else {}
        said = f"{seen.get('equal')} of {seen.get('tensors')} tensors equal to the last bit"
        said += f" after {seen.get('steps')} steps, {seen.get('moved')} moved"
        good = bool(seen) and seen["equal"] == seen["tensors"] and seen["moved"] > 0
        rows.append((f"{ranks} ranks, weights and memories", said, good))
    return rows


def losses_agree(folder: Path, short: bool) -> list[tuple[str, str, bool]]:
    """Compare the losses of one rank and of two, for one global batch."""
    rows = []
    for kind, meaning in (
        ("halves", "one global batch on one and on two ranks"),
        ("copies", "the same, both halves alike: BatchNorm sees the same"),
    )[: 1 if short else 2]:
        seen = []
        for ranks in (1, 2):
            found = _launch("losses", ranks, folder / f"{kind}{ranks}", batch=kind)
            seen.append(json.loads(found.stdout.splitlines()[-1]) if found.stdout else {})
        gaps = {name: abs(seen[0][name] - seen[1].get(name, 9.0)) for name in seen[0]}
        equal = [name for name, gap in gaps.items() if gap < 1e-5]
        others = {name: f"{gap:.3f}" for name, gap in gaps.items() if gap >= 1e-5}
        said = f"agree within 1e-5: {', '.join(equal)}"
        if others:
            said += "; behind a BatchNorm of each rank's own: " + ", ".join(
                f"{name} (apart by {gap})" for name, gap in others.items()
            )
        free = {"loss_visibility_holistic", "loss_visibility_occluded", "loss_id_global"}
        wanted = set(gaps) if kind == "copies" else free
        rows.append((meaning, said, wanted <= set(equal) and bool(gaps)))
    return rows


def rank_dies(folder: Path, short: bool) -> list[tuple[str, str, bool]]:
    """Kill one of two ranks within a step, time the end of the job, resume it."""
    rows = []
    for victim in (1,) if short else (0, 1):
        out = folder / f"victim{victim}"
        found = _launch("train", 2, out, SOLVER__CHECKPOINT_ITERS=2, victim=victim)
        seconds = time.monotonic() - float((out / "killed").read_text())
        last = next((x for x in found.stderr.splitlines() if x.startswith("error: ")), "nothing")
        rows.append(
            (
                f"rank {victim} killed in step {KILLED_AT}",
                f"job ends {seconds:.1f} s later with status {found.returncode}: {last}",
                seconds < 60 and found.returncode == 1 and "rank" in last,
            )
        )
        resumed = _launch("train", 2, out, SOLVER__CHECKPOINT_ITERS=2)
        start = [x for x in resumed.stdout.splitlines() if "Going on behind" in x]
        said = start[0].partition("]: ")[2].partition(";")[0] if start else resumed.stderr[-200:]
        rows.append(("the same job resumed", said, resumed.returncode == 0 and bool(start)))
    return rows


def uneven_shares(folder: Path, short: bool) -> list[tuple[str, str, bool]]:
    """Evaluate on 1, 2 and 4 ranks, 28 images and 5: some ranks get fewer, or none."""
    rows = []
    for images, ranks in ((5, (1, 4)),) if short else ((28, (1, 2, 4)), (5, (1, 2, 4))):
        seen = [_launch("evaluate", n, folder / f"{images}_{n}", images=images) for n in ranks]
        results = [
            x.stdout.splitlines()[-1] if x.returncode == 0 else x.stderr[-300:] for x in seen
        ]
        said = f"the same numbers on {' and '.join(map(str, ranks))} ranks: {results[0]}"
        good = len(set(results)) == 1 and all(x.returncode == 0 for x in seen)
        rows.append((f"evaluation of {images} images", said if good else str(results), good))
    return rows


SCENES = {
    "agree": ranks_agree,
    "losses": losses_agree,
    "dies": rank_dies,
    "uneven": uneven_shares,
}


def _launch(scene: str, ranks: int, out: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    out.mkdir(parents=True, exist_ok=True)
    words = [json.dumps({"scene": scene, "out": str(out), **settings}), str(ranks)]
    script = Path(__file__).with_name("rank_scenes.py")
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(small_run.ROOT), *sys.path))),
    }
    return subprocess.run(
        [sys.executable, str(script), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


if __name__ == "__main__":
    raise SystemExit(main())
