"""Put the import hook into every situation we could think of; does Python start, what is read?

``python tests/soak/import_hook.py`` makes a throw-away environment for each, draws a
fast-reid of a few lines beside it (one or two take the real one), starts Python there and uses
fast-reid there. It writes ``benchmarks/results/reliability/import_hook.json`` and ends with 1 if
anything else came than `hook_situations` and `hook_places` expect.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from hook_environment import PTH, Environment, build_wheel
from hook_judge import Outcome, judge
from hook_places import PLACES
from hook_situations import SITUATIONS
from records import RESULTS, write_record

RUNS = 31
LIMIT_MS = 2.0
TIMED = """
import json, time
start = time.process_time()
with open({path!r}) as file:
    exec(file.read())
print(json.dumps(1000 * (time.process_time() - start)))
"""
LOADED, NOT_LOADED = "nothing: the project is loaded", "nothing: no project is loaded"
IN_WORDS = {"['drawn']": LOADED, "True": LOADED, "[]": NOT_LOADED}


def start_cost(folder: Path, wheel: Path) -> float:
    """Return the median CPU time, in ms, of what the ``.pth`` adds to a start of Python."""
    environment = Environment(folder, wheel)
    script = TIMED.format(path=str(environment.site / PTH))
    runs = [environment.run("-S", "-c", script).stdout for _ in range(RUNS)]
    return statistics.median(map(json.loads, runs))


def run_all(folder: Path) -> tuple[dict[str, Outcome], list[str], float]:
    """Try every situation; say those this machine cannot be put into, and the cost of a start."""
    wheel = build_wheel(folder)
    outcomes, skipped = {}, []
    for number, situation in enumerate(SITUATIONS):
        outcomes[situation.name] = judge(situation, Environment(folder / str(number), wheel))
    for place in PLACES:
        name = (place.__doc__ or "").rstrip(".")
        outcome = place(folder / place.__name__, wheel)
        if outcome is None:
            skipped.append(name)
        else:
            outcomes[name] = outcome
    return outcomes, skipped, start_cost(folder / "cost", wheel)


def main() -> int:
    """Run, print what is wrong, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="import_hook") as folder:
        outcomes, skipped, cost = run_all(Path(folder).resolve())
    wrong = {name: outcome.wrong for name, outcome in outcomes.items() if outcome.wrong}
    rows = [
        [name, "yes" if outcome.starts else "no", IN_WORDS.get(outcome.reads, outcome.reads)]
        for name, outcome in outcomes.items()
    ]
    words = (
        f"In {len(rows)} situations Python started in {sum(o.starts for o in outcomes.values())}; "
        f"{len(wrong)} ended otherwise than wanted. The hook adds {cost:.2f} ms of CPU time to a "
        f"start (median of {RUNS}; the limit is {LIMIT_MS:.0f} ms)."
    )
    if skipped:
        words += f" Not possible on this machine: {'; '.join(skipped)}."
    columns = ["Situation", "Python starts", "What the user reads"]
    raw = {"start_ms": cost, "wrong": wrong, "skipped": skipped}
    write_record("import_hook", columns, rows, words, out, **raw)
    print(words)
    for name, what in wrong.items():
        print(f"{name}: {'; '.join(what)}")
    return int(bool(wrong) or cost >= LIMIT_MS)


if __name__ == "__main__":
    raise SystemExit(main())
