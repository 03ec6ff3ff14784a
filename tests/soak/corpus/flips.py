"""Bytes that are wrong in every file that a command reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fuzzing import damaged

from corpus.cases import EITHER, Case, Put, both, change, write
from corpus.material import BENCHMARK, CHECKPOINT, CONFIG, DUMP, INDEX, OCCLUDERS, QUERY, RESULT

CATEGORY = "flips"
COUNT = 12
_CELL = f"{BENCHMARK}/FolderReID/FED/seed0"
_TABLE = "people.csv"
_FROM_TABLE = ("DATASETS.FOLDER_REID.ROOT", _TABLE)
_REPORT = ("report", BENCHMARK, "--out", "new")
_RESUME = ("train", "--config-file", CONFIG, "--resume", "SOLVER.MAX_EPOCH", "2")
READERS = {
    "evaluate": (DUMP, ("evaluate", DUMP)),
    "card of a dump": (DUMP, ("cards", "show", DUMP)),
    "result": (RESULT, ("evaluate", RESULT)),
    "results": (f"{BENCHMARK}/results.json", _REPORT),
    "cell": (f"{_CELL}/cell.json", _REPORT),
    "index": (INDEX, ("search", INDEX, QUERY)),
    "occluders": (f"{OCCLUDERS}/manifest.json", ("data", "occluders", "check", OCCLUDERS)),
    "checkpoint": (CHECKPOINT, ("dump", "--config-file", CONFIG, "--weights", CHECKPOINT)),
    "newest checkpoint": ("run/model_0000.pth", _RESUME),
    "plan": ("plan.yml", ("benchmark", "plan.yml", "--dry-run")),
    "table": (_TABLE, ("show", "augment", "--config-file", CONFIG, "--out", "new.png")),
}


def make_cases() -> Iterator[Case]:
    """Yield files that are cut, flipped, zeroed and doubled; chance decides what is noticed."""
    for what, (file, words) in READERS.items():
        if what == "checkpoint":
            words = (*words, "-o", "new.npz")
        if what == "table":
            words = (*words, *_FROM_TABLE)
        for number in range(COUNT):
            put = both(_whole(file), change(file, _damage(number)))
            yield Case(f"{CATEGORY}: {what} {number}", put, words, (), EITHER)


def _damage(number: int) -> Callable[[bytes], bytes]:
    # every third: from those that are cut to those with wrong bytes
    return lambda content: list(damaged(content, 40))[3 * number]


def _whole(file: str) -> Put:
    """Return what makes the files that the material lacks."""
    if file == _TABLE:
        gallery = QUERY.replace("query", "gallery").replace("_c1", "_c2")
        rows = [f"{QUERY},101,0,query", f"{gallery},101,1,gallery"]
        rows += [f"people/train/000{pid}_c1s1_000000_00.jpg,{pid},0,train" for pid in range(1, 5)]
        return write(_TABLE, "\n".join(["path,pid,camid,split", *rows]) + "\n")

    def put(folder: Path) -> None:
        if file.startswith("run/"):
            write("run/last_checkpoint", Path(file).name)(folder)
            write(file, (folder / CHECKPOINT).read_bytes())(folder)

    return put
