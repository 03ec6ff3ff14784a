"""Timing in turns, and the record that a row of the speed table is written to.

Machines drift by a factor of two within minutes, so a ratio is only taken between steps that ran
in the same round: each round runs every step once, every second round backwards. Wall time says
how long somebody waited, CPU time (of all threads) says how much of it was other people's work.

A script of this folder measures one row of the table, prints it with :func:`print_table` and writes
``benchmarks/results/speed/NAME.json`` with :func:`write_row`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tabulate import tabulate

from fed_plugin.console import machine_words
from fed_plugin.files import write_atomically

RESULTS = Path(__file__).parents[1] / "results" / "speed"
FORMAT = "fed_plugin.speed/1"
PACKAGES = ("torch", "numpy", "scipy", "faiss-cpu", "fastreid")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def in_turns(
    steps: Mapping[str, Callable[[], Any]],
    rounds: int = 10,
    warm_up: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, list[float]]]:
    """Time steps in turns.

    Args:
        steps: by name; each returns when its work is done, also that of a GPU.
        rounds: that count.
        warm_up: rounds before them that do not.
        progress: whether to say on stderr how far it is.

    Returns:
        By name, ``wall`` and ``cpu``: seconds, one of each per round.
    """
    taken: dict[str, dict[str, list[float]]] = {name: {c: [] for c in CLOCKS} for name in steps}
    order = list(steps)
    for turn in range(-warm_up, rounds):
        for name in order:
            start = {clock: read() for clock, read in CLOCKS.items()}
            steps[name]()
            seconds = {clock: read() - start[clock] for clock, read in CLOCKS.items()}
            for clock in CLOCKS if turn >= 0 else ():
                taken[name][clock].append(seconds[clock])
            if progress:
                words = f"round {turn + 1}/{rounds}  {name}  {seconds['wall']:.3f} s"
                print(words, file=sys.stderr, flush=True)
        order.reverse()
    return taken


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum of what was measured, to four digits."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def compared(
    taken: Mapping[str, Mapping[str, Sequence[float]]], baseline: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Say of every step what its rounds took, and its ratio to the baseline's same rounds.

    Returns:
        By step: ``wall`` and ``cpu`` in seconds, ``ratio`` and ``cpu_ratio``, each as
        :func:`spread` says it. ``ratio_of_minima`` compares the best round of each.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, clocks in taken.items():
        rows = {clock: spread(values) for clock, values in clocks.items()}
        for clock, said in (("wall", "ratio"), ("cpu", "cpu_ratio")):
            pairs = zip(clocks[clock], taken[baseline][clock], strict=True)
            rows[said] = spread([ours / theirs for ours, theirs in pairs])
        best = min(clocks["wall"]) / min(taken[baseline]["wall"])
        found[name] = {**rows, "ratio_of_minima": {"wall": float(f"{best:.4g}")}}
    return found


def print_table(found: Mapping[str, Mapping[str, Mapping[str, float]]], unit: str = "s") -> str:
    """Print :func:`compared` as a table, in seconds or ``unit="ms"``; return it."""
    factor = {"s": 1.0, "ms": 1000.0}[unit]
    columns = ["step", f"min, {unit}", "median", "max", f"CPU min, {unit}", "CPU median"]
    rows = []
    for name, row in found.items():
        wall, cpu = row["wall"], row["cpu"]
        values = (wall["min"], wall["median"], wall["max"], cpu["min"], cpu["median"])
        rows.append([name, *(f"{value * factor:.4g}" for value in values)])
        ratio = row["ratio"]
        rows[-1] += [f"{ratio['median']:.3f} ({ratio['min']:.3f}-{ratio['max']:.3f})"]
        rows[-1] += [f"{row['ratio_of_minima']['wall']:.3f}", f"{row['cpu_ratio']['median']:.3f}"]
    columns += ["ratio (spread)", "ratio of minima", "CPU ratio"]
    text = tabulate(rows, columns, disable_numparse=True)
    print(text, flush=True)
    return text


def about() -> dict[str, Any]:
    """Return command, machine, threads, load before now, versions and day."""
    found: dict[str, Any] = {
        "command": " ".join(["python", *_below_here(sys.argv)]),
        "machine": machine_words(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "day": date.today().isoformat(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if "torch" in sys.modules:
        found["torch_threads"] = sys.modules["torch"].get_num_threads()
    return found


def write_row(
    name: str, target: str, floor: str, measured: Mapping[str, Any], folder: Path = RESULTS
) -> Path:
    """Write a row of the table.

    Args:
        name: of the file.
        target: in the words of the table.
        floor: what counting FLOPs and bytes says that it takes at least, and how it was counted.
        measured: what JSON can hold.
        folder: to write to; made.
    """
    content = {
        "format": FORMAT,
        "name": name,
        "target": target,
        "floor": floor,
        "about": about(),
        "measured": dict(measured),
    }
    path, text = folder / f"{name}.json", json.dumps(content, indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as file:
            file.write(text.encode())
    except OSError as error:
        print(text)
        raise SystemExit(f"{path}: could not be written ({error}); it is printed above") from error
    print(path)
    return path


def peak_resident() -> int:
    """Return the most bytes that this process had in memory since the last :func:`reset_peak`.

    File pages that it mapped and touched count; pages that only the system caches do not.
    """
    return _status("VmHWM")


def resident() -> int:
    """Return the bytes that this process has in memory now."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Let :func:`peak_resident` count from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: expected Linux")


def _below_here(argv: Sequence[str]) -> list[str]:
    """Return a command's words, its script from the repository's root on, other paths' names."""
    script, root = Path(argv[0]).resolve(), Path(__file__).resolve().parents[2]
    first = script.relative_to(root).as_posix() if script.is_relative_to(root) else script.name
    return [first, *(Path(word).name if word.startswith("/") else word for word in argv[1:])]
