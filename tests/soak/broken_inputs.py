"""A thousand broken inputs: each runs well, or ends in one sentence that names what is wrong.

``python tests/soak/broken_inputs.py`` runs all of them in some ten minutes of one core,
``--only WORD`` those with a word in their names, ``--sample N`` some of every category, ``--list``
none. Only a whole run writes the record.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # fuzzing.py
from corpus import Case, all_cases
from corpus.forks import import_everything, run_forked
from corpus.material import make_material
from corpus.verdict import complaint, outputs
from records import write_record

COLUMNS = ("category", "cases", "ran well", "refused in one sentence", "failures", "slowest")


@dataclass(frozen=True)
class Outcome:
    """How a case ended: its exit status, what is wrong with that, and its time."""

    case: Case
    status: int | None
    complaint: str
    seconds: float


def run_case(case: Case, material: Path, folder: Path) -> Outcome:
    """Run a case in a copy of the material, which is gone afterwards.

    Args:
        case: to run.
        material: of ``make_material``.
        folder: to copy it to; must not be there.
    """
    shutil.copytree(material, folder, symlinks=True)
    try:
        case.put(folder)
        before = outputs(folder)
        ended = run_forked(case.words, folder, case.seconds)
        return Outcome(case, ended.status, complaint(case, ended, folder, before), ended.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """Return about ``count`` cases, from every category alike, spread evenly over it."""
    categories: dict[str, list[Case]] = {}
    for case in cases:
        categories.setdefault(case.category, []).append(case)
    each = max(1, round(count / len(categories)))
    chosen = []
    for group in categories.values():
        step = max(1, len(group) // each)
        chosen += group[step // 2 :: step][:each]
    return chosen


def table(outcomes: Sequence[Outcome]) -> list[list[object]]:
    """Return a row per category, and one of all."""
    categories = list(dict.fromkeys(one.case.category for one in outcomes))
    rows = [_row(name, [o for o in outcomes if o.case.category == name]) for name in categories]
    return [*rows, _row("all", outcomes)]


def _row(name: str, outcomes: Sequence[Outcome]) -> list[object]:
    good = [one for one in outcomes if not one.complaint]
    ran = sum(one.status == 0 for one in good)
    slowest = max((one.seconds for one in outcomes), default=0.0)
    failures = len(outcomes) - len(good)
    return [name, len(outcomes), ran, len(good) - ran, failures, f"{slowest:.1f} s"]


def main() -> int:
    """Run, say what failed, write the record of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="cases with it in their names")
    parser.add_argument("--sample", type=int, metavar="N", help="about so many, of all categories")
    parser.add_argument("--list", action="store_true", help="name the cases, run none")
    args = parser.parse_args()
    cases = [case for case in all_cases() if args.only in case.name]
    cases = sample(cases, args.sample) if args.sample else cases
    if args.list:
        print("\n".join(case.name for case in cases))
        return 0
    import_everything()
    with tempfile.TemporaryDirectory(prefix="broken_inputs_") as top:
        material = Path(top) / "material"
        make_material(material)
        outcomes = []
        for number, case in enumerate(cases):
            outcomes.append(run_case(case, material, Path(top) / f"case{number}"))
            if outcomes[-1].complaint:
                print(f"{case.name}: {outcomes[-1].complaint}", flush=True)
    rows = table(outcomes)
    failures = [one for one in outcomes if one.complaint]
    if not (args.only or args.sample):
        _write(rows, failures)
    for row in (COLUMNS, *rows):
        print("\t".join(map(str, row)))
    return int(bool(failures))


def _write(rows: Sequence[Sequence[object]], failures: Sequence[Outcome]) -> None:
    _, cases, ran, refused, failed, slowest = rows[-1]
    words = (
        f"{cases} broken inputs: {ran} ran well, {refused} were refused in one sentence that names "
        f"the file or key, {failed} did not end so; the slowest took {slowest}. No traceback, no "
        "hang, no planted code that ran and no half output counts as ending well."
    )
    told = [{"case": one.case.name, "complaint": one.complaint} for one in failures]
    write_record("broken_inputs", COLUMNS, rows, words, failures=told)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
