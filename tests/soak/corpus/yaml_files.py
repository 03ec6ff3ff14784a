"""Config files and plans that are no YAML, or YAML of something else; keys and values."""

from __future__ import annotations

from collections.abc import Iterator

from fuzzing import BOMBS

from corpus.cases import EITHER, REFUSED, Case, both, nothing, write
from corpus.material import CONFIG, DUMP

CATEGORY = "yaml"
BAD = "bad.yml"
COMMANDS = {
    "train": ("train", "--config-file", BAD),
    "show augment": ("show", "augment", "--config-file", BAD, "--out", "new.png"),
    "plan": ("benchmark", BAD, "--dry-run"),
}


def make_cases() -> Iterator[Case]:
    """Yield broken files, then keys, then plans."""
    for what, content in _files().items():
        for where, words in COMMANDS.items():
            yield Case(f"{CATEGORY}: {what}, {where}", write(BAD, content), words, (BAD,))
    for what, content in _configs().items():
        for where in ("train", "show augment"):
            words = COMMANDS[where]
            yield Case(f"{CATEGORY}: {what}, {where}", write(BAD, content), words, _named(content))
    for what, content in _plans().items():
        words = COMMANDS["plan"]
        ends = EITHER if what == "out as a file" else REFUSED  # a dry run opens nothing
        named = (BAD, "nowhere.npz", CONFIG)
        yield Case(f"{CATEGORY}: plan, {what}", write(BAD, content), words, named, ends)
    put = both(write("a.yml", "_BASE_: b.yml\n"), write("b.yml", "_BASE_: a.yml\n"))
    for where in ("train", "show augment"):
        words = tuple("a.yml" if word == BAD else word for word in COMMANDS[where])
        yield Case(f"{CATEGORY}: two files on each other, {where}", put, words, ("a.yml", "b.yml"))
    for name in ("nowhere.yml", "people", "", "a\0b.yml", "x" * 300):
        for where in ("train", "show augment", "plan"):
            words = tuple(name if word == BAD else word for word in COMMANDS[where])
            said = (name.replace("\0", "\\x00")[:20], name[:20], repr(name)[1:20], "config-file")
            yield Case(f"{CATEGORY}: the name {name[:12]!r}, {where}", nothing, words, said)


def _named(content: str) -> tuple[str, ...]:
    """Return the file, and the last key in the content."""
    keys = [line.partition(":")[0].strip() for line in content.splitlines()]
    return (BAD, *keys[-1:])


def _files() -> dict[str, bytes | str]:
    return {
        "empty": "",
        "a comment alone": "# later\n",
        "a list": "- 1\n- 2\n",
        "a word": "hello\n",
        "a number": "42\n",
        "tabs": "MODEL:\n\tDEVICE: cpu\n",
        "an open bracket": "MODEL: {DEVICE: cpu\n",
        "an open quote": 'OUTPUT_DIR: "run\n',
        "two documents": "SEED: 1\n---\nSEED: 2\n",
        "an unknown alias": "SEED: *nobody\n",
        "zeros": bytes(300),
        "Latin-1": b"OUTPUT_DIR: caf\xe9\n",
        "UTF-16 without a mark": "SEED: 1\n".encode("utf-16-le"),
        "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "deeply nested": "[" * 5000,
        **{f"aliases of {what}": content for what, content in BOMBS.items()},
        "an unknown tag": "SEED: !nobody 1\n",
        "keys that are lists": "? [a, b]\n: 1\n",
        "keys that are numbers": "1: 2\n",
        "a wrong date": "SEED: 2024-13-45\n",
    }


def _configs() -> dict[str, str]:
    base = f"_BASE_: {CONFIG}\n"
    return {
        "an unknown key": f"{base}SEEED: 1\n",
        "an unknown key below MODEL": f"{base}MODEL:\n  FED:\n    NUM_PART: 4\n",
        "a value for a section": f"{base}MODEL: 3\n",
        "a list for a section": f"{base}MODEL: [1, 2]\n",
        "nothing for a section": f"{base}MODEL:\n",
        "a section for a value": f"{base}SEED:\n  A: 1\n",
        "text for a number": f"{base}SEED: one\n",
        "a base that is not there": "_BASE_: nowhere.yml\n",
        "a base that is a number": "_BASE_: 3\n",
        "a base that is a list": f"_BASE_: [{CONFIG}]\n",
        "a base that is nothing": "_BASE_:\n",
        "a base that is itself": f"_BASE_: {BAD}\n",
        "a base that is a folder": "_BASE_: people\n",
        "a base that is an image": "_BASE_: whole.npz\n",
        "a base on a server": "_BASE_: http://127.0.0.1:9/base.yml\n",
    }


def _plans() -> dict[str, str]:
    data = "datasets: [FolderReID]\n"
    good = f"methods: {{A: {{config: {CONFIG}}}}}\n"
    return {
        "no data sets": good,
        "no methods": data,
        "an unknown key": f"{data}{good}epochs: 3\n",
        "a key twice": f"{data}{data}{good}",
        "methods as a list": f"{data}methods: [A, B]\n",
        "methods as text": f"{data}methods: A\n",
        "a method without anything": f"{data}methods: {{A: {{}}}}\n",
        "a method as text": f"{data}methods: {{A: {CONFIG}}}\n",
        "a method with an unknown key": f"{data}methods: {{A: {{config: {CONFIG}, lr: 1}}}}\n",
        "a config that is not there": f"{data}methods: {{A: {{config: nowhere.yml}}}}\n",
        "a config that is a number": f"{data}methods: {{A: {{config: 3}}}}\n",
        "a config that is a dump": f"{data}methods: {{A: {{config: {DUMP}}}}}\n",
        "a dump that is not there": f"{data}methods: {{A: {{dump: nowhere.npz}}}}\n",
        "a dump that is a config": f"{data}methods: {{A: {{dump: {CONFIG}}}}}\n",
        "no data set in the list": f"datasets: []\n{good}",
        "an unknown data set": f"datasets: [Nowhere1501]\n{good}",
        "data sets as a number": f"datasets: 3\n{good}",
        "data sets twice": f"datasets: [FolderReID, FolderReID]\n{good}",
        "a name that climbs": f"datasets: [../up]\n{good}",
        "a method's name that climbs": f"{data}methods: {{../A: {{config: {CONFIG}}}}}\n",
        "seeds as text": f"{data}{good}seeds: many\n",
        "negative seeds": f"{data}{good}seeds: [-1]\n",
        "seeds twice": f"{data}{good}seeds: [0, 0]\n",
        "no seeds": f"{data}{good}seeds: []\n",
        "overrides as a list": f"{data}{good}overrides: [1]\n",
        "an override that is unknown": f"{data}{good}overrides: {{SEEED: 1}}\n",
        "an override that is reserved": f"{data}{good}overrides: {{OUTPUT_DIR: x}}\n",
        "an override of another type": f"{data}{good}overrides: {{SOLVER.MAX_EPOCH: many}}\n",
        "out as a list": f"{data}{good}out: [a]\n",
        "out as a file": f"{data}{good}out: {DUMP}\n",
    }
