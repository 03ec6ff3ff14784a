"""Kill a training again and again, resume it, and compare it with one that was left alone.

Each kill is SIGKILL: at any moment, in the middle of writing a checkpoint, in an evaluation, or
while the memory is filled. A run is lost if it does not come to its end, and differs if one value
in its last checkpoint, or in that of its best epoch, is not that of the run that was left alone.

``python tests/soak/kills.py`` writes ``results/reliability/kills.json``; minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import small_run
from records import RESULTS, write_record

import projects_registry  # noqa: F401 - arms the mends

SECONDS_OF_A_RUN = 300.0
MOMENTS = ("any moment", "writing a checkpoint", "evaluation", "filling the memory")
SHARES = (0.55, 0.3, 0.1, 0.05)
MOST_LOST = 20  # runs, behind which something else than a kill is wrong


@dataclass
class Tally:
    """What happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


def main() -> int:
    """Kill, compare, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    draw, tally = random.Random(args.seed), Tally(left=_quotas(args.kills))
    with small_run.drawn_data(), tempfile.TemporaryDirectory() as folder:
        _import_all()
        began = time.monotonic()
        whole = Path(folder) / "whole"
        if _attempt(whole, 0, lambda: None, None) != 0:
            sys.stderr.write((whole / "log.txt").read_text()[-3000:])
            return 1
        seconds = time.monotonic() - began
        while tally.left.total() and len(tally.lost) < MOST_LOST:
            _killed_run(Path(folder) / f"run{tally.runs}", whole, tally, draw, seconds)
    _write(tally, args.out)
    return int(bool(tally.lost or tally.differing or sum(tally.unreadable.values())))


def _quotas(kills: int) -> Counter[str]:
    """Return how many kills each moment gets: its share, but one at least."""
    quotas = Counter({m: max(1, round(s * kills)) for m, s in zip(MOMENTS, SHARES, strict=True)})
    quotas[MOMENTS[0]] = max(1, kills - sum(quotas[m] for m in MOMENTS[1:]))
    return quotas


def _killed_run(out: Path, whole: Path, tally: Tally, draw: random.Random, seconds: float) -> None:
    """Run to the end through kills, and compare."""
    tally.runs += 1
    workers, give_up = draw.choice((0, 0, 0, 1)), time.monotonic() + SECONDS_OF_A_RUN
    while True:
        weights = [tally.left[moment] for moment in MOMENTS]
        moment = draw.choices(MOMENTS, weights)[0] if any(weights) else None
        bomb, after = _bomb(moment, draw, seconds)
        status = _attempt(out, workers, bomb, after)
        if status == 0:
            break
        if status != -signal.SIGKILL or time.monotonic() > give_up:
            tally.lost.append(f"{out.name}: status {status}: {_last_words(out)}")
            return
        tally.kills[str(moment)] += 1
        tally.left[str(moment)] -= 1
        tally.unreadable[str(moment)] += _newest_is_unreadable(out)
    for name in ("model_final.pth", "model_best.pth"):
        one, other = (small_run.contents(folder / name) for folder in (whole, out))
        wrong = small_run.differences(one, other)
        if wrong:
            tally.differing.append(f"{out.name}: {name}: {', '.join(wrong[:5])}")
    iterations = [json.loads(x)["iteration"] for x in (out / "metrics.json").open()]
    if iterations != sorted(set(iterations)):
        tally.differing.append(f"{out.name}: metrics.json repeats iterations")


def _attempt(out: Path, workers: int, bomb: Callable[[], None], after: float | None) -> int:
    """Train in a fork, killed ``after`` seconds or by a ``bomb`` it carries; return its status."""
    process = os.fork()
    if process == 0:
        out.mkdir(exist_ok=True)
        log = os.open(out / "attempts.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            bomb()
            small_run.train(small_run.configure(out, DATALOADER__NUM_WORKERS=workers))
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    give_up = time.monotonic() + (SECONDS_OF_A_RUN if after is None else after)
    while time.monotonic() < give_up:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _bomb(
    moment: str | None, draw: random.Random, seconds: float
) -> tuple[Callable[[], None], float | None]:
    """Return what the fork plants, and when it is killed from outside."""
    if moment == "any moment":
        return lambda: None, draw.uniform(0.0, seconds)
    if moment == "writing a checkpoint":
        return partial(_plant_in_writes, draw.randint(1, 1200)), None
    if moment == "evaluation":
        return partial(_plant_in_evaluations, draw.randint(1, 4)), None
    if moment == "filling the memory":
        return _plant_in_memory, None
    return lambda: None, None


def _kill_at(count: int, stock: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return stock(*args, **kwargs)

    return counted


def _plant_in_writes(count: int) -> None:
    """Kill at some piece of a checkpoint, or just before it gets its name."""
    from fed_plugin.fastreid_adapter.resuming.checkpoint_file import Recorder

    counted = _kill_at(count, lambda: None)
    stock_write, stock_replace = Recorder.write, os.replace

    def write(self: Any, data: Any) -> int:
        counted()
        return stock_write(self, data)

    def replace(*args: Any) -> None:
        counted()
        stock_replace(*args)
        counted()

    Recorder.write, os.replace = write, replace


def _plant_in_evaluations(count: int) -> None:
    from fastreid.evaluation import ReidEvaluator

    ReidEvaluator.evaluate = _kill_at(count, ReidEvaluator.evaluate)


def _plant_in_memory() -> None:
    from fed_plugin.fastreid_adapter import memory_init

    memory_init.sum_across_ranks = _kill_at(1, memory_init.sum_across_ranks)


def _newest_is_unreadable(out: Path) -> bool:
    """Tell whether the checkpoint that ``--resume`` would take cannot be read."""
    from fed_plugin.fastreid_adapter.mends.checkpointer import damage

    tag = out / "last_checkpoint"
    if not tag.is_file():
        return False
    try:
        return bool(
            damage(str(out / tag.read_text())) or not small_run.contents(out / tag.read_text())
        )
    except Exception:
        return True


def _import_all() -> None:
    import cv2
    import fastreid.engine
    import torch

    from fed_plugin.fastreid_adapter import memory_init  # noqa: F401

    assert fastreid.engine
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _last_words(out: Path) -> str:
    lines = (out / "attempts.log").read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-2:])


def _write(tally: Tally, folder: Path) -> None:
    kills = sum(tally.kills.values())
    rows = [[moment, tally.kills[moment], tally.unreadable[moment]] for moment in MOMENTS]
    bad = sum(tally.unreadable.values())
    words = (
        f"{kills} kills (SIGKILL) of {tally.runs} trainings, each resumed until it ended: "
        f"{len(tally.lost)} runs lost, {bad} newest checkpoints unreadable, {len(tally.differing)} "
        "of the finished runs differ in any bit of weights, optimizer, schedule, memory, place in "
        "the data, random states or best metric from a run that was never killed."
    )
    columns = ["killed in", "kills", "newest checkpoint unreadable"]
    path = write_record(
        "kills", columns, rows, words, folder, lost=tally.lost, differing=tally.differing
    )
    sys.stdout.write(f"{words}\n{path}\n")


if __name__ == "__main__":
    raise SystemExit(main())
