"""Hostile and small machines: a second training, planted links, little memory, two writers.

Every attempt is a command in a process of its own. It is as wanted if it ends by itself, says what
it has to in one sentence, and has neither lost nor changed anything of others.

``python tests/soak/machines.py`` writes ``results/reliability/machines.json``; minutes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import small_run
from records import RESULTS, write_record

SECONDS = 240.0
COLUMNS = ("what", "tried", "as wanted")
Attempt = tuple[str, str]
"""What was tried, and what was wrong with its end; empty if nothing was."""


class Machine:
    """Folder with drawn data and a trained model, and how commands are run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "trained"
        small_run.train(small_run.configure(self.run))
        self.config, self.weights = self.run / "config.yaml", self.run / "model_final.pth"
        self.data = Path(os.environ["FASTREID_DATASETS"]) / "SynthOcc"

    @property
    def model(self) -> list[Any]:
        """Words that name the trained model."""
        return ["--config-file", self.config, "--weights", self.weights]

    def start(self, *words: Any, before: str = "") -> subprocess.Popen[str]:
        """Start a command, after shell words in a name space of mounts of its own."""
        command = [sys.executable, "-m", "fed_plugin", *map(str, words)]
        if before:
            command = ["unshare", "-m", "sh", "-c", f"{before} && exec {shlex.join(command)}"]
        environment = {**os.environ, "PYTHONPATH": str(small_run.ROOT), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)

    def end(self, process: subprocess.Popen[str], status: int, says: str = "") -> str:
        """Wait for a command; return what is wrong with its end."""
        try:
            out, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"still running after {SECONDS:.0f} s"
        if "Traceback (most recent call last)" in out:
            return f"a traceback: {out[-300:]}"
        if process.returncode != status:
            return f"status {process.returncode}: {out[-300:]}"
        return "" if says in out else f"does not say {says!r}: {out[-300:]}"


def refused_trainings(machine: Machine) -> Iterator[Attempt]:
    """Start trainings and evaluations into the folder of a training that runs."""
    out = machine.folder / "running"
    endless = small_run.configure(out, SOLVER__MAX_EPOCH=100_000, SOLVER__CHECKPOINT_PERIOD=9_999)
    file = machine.folder / "endless.yml"
    file.write_text(endless.dump())
    first = machine.start("train", "--config-file", file)
    try:
        while not (out / "metrics.json").is_file():
            time.sleep(0.2)
            if first.poll() is not None:
                yield "the first training", f"ended: {first.communicate()[0][-300:]}"
                return
        config = (out / "config.yaml").read_bytes()
        for name, words in {
            "a training": [],
            "a training that resumes": ["--resume"],
            "a training of two ranks": ["--num-gpus", 2],
            "an evaluation": ["--eval-only"],
        }.items():
            keys = ["SEED", 99, "MODEL.WEIGHTS", machine.weights]
            second = machine.start("train", "--config-file", file, *words, *keys)
            wrong = machine.end(second, 1, f"process {first.pid} on {socket.gethostname()}")
            log = (out / "log.txt").read_text()
            if (out / "config.yaml").read_bytes() != config or log.count("Full config saved") != 1:
                wrong = "it wrote into the folder of the first"
            yield name, wrong
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    last = machine.start("train", "--config-file", file, "SOLVER.MAX_EPOCH", 5)
    yield "a training after a kill", machine.end(last, 0)


def planted_links(machine: Machine) -> Iterator[Attempt]:
    """Write over links and private files, with links planted where others would write."""
    folder = machine.folder / "links"
    folder.mkdir()
    victim = folder / "victim"
    photos = sorted((machine.data / "query").glob("*.jpg"))[:2]
    commands = {
        "a.npz": ["dump", *machine.model, "--force", "-o"],
        "a.ts": ["export", *machine.model, "--format", "torchscript", "--force", "-o"],
        "a.json": ["data", "check", machine.data, "--no-cache", "--json"],
        "a.png": ["show", "visibility", *photos, *machine.model, "--out"],
        "a.html": ["show", "curves", machine.run, "--out"],
        "a.pth": ["convert", "--force", machine.weights],  # refused: no checkpoint to convert
    }
    for name, words in commands.items():
        refused = name == "a.pth"
        victim.write_text("of somebody else")
        for planted in (f"{name}.part", f"{name}.tmp", f".{name}.part", f".{name}.tmp", f"{name}~"):
            (folder / planted).symlink_to(victim)
        real, link = folder / f"real_{name}", folder / name
        real.write_text("old")
        real.chmod(0o600)
        link.symlink_to(real.name)
        wrong = machine.end(machine.start(*words, link), int(refused))
        if victim.read_text() != "of somebody else":
            wrong = "a planted link was followed"
        elif not link.is_symlink() or real.stat().st_mode & 0o777 != 0o600:
            wrong = "the link or the mode of its file is gone"
        elif (real.read_bytes() == b"old") != refused:
            wrong = "the file behind the link is not what it should be"
        yield " ".join(map(str, words[:2])), wrong


def small_memory(machine: Machine) -> Iterator[Attempt]:
    """Load batches with a ``/dev/shm`` of 64 MB, as in a container, or of less."""
    mount = "mount -t tmpfs -o size={} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount.format("64m")]).returncode:
        return
    keys = ["INPUT.SIZE_TRAIN", "[256,128]", "INPUT.SIZE_TEST", "[256,128]"]
    keys += ["SOLVER.IMS_PER_BATCH", 64, "SOLVER.MAX_EPOCH", 40, "DATALOADER.NUM_WORKERS", 8]
    keys += ["OUTPUT_DIR", machine.folder / "memory"]
    dump = ["dump", *machine.model, "-o", machine.folder / "memory.npz", "--force"]
    dump += ["DATALOADER.NUM_WORKERS"]
    train = ["train", "--config-file", machine.config]
    says = "try DATALOADER.NUM_WORKERS 0, or more of it, such as docker run --shm-size"
    for name, words, status, message, size in (
        ("64 MB: training", [*train, *keys], 1, says, "64m"),
        ("64 MB: two ranks", [*train, "--num-gpus", 2, *keys], 1, says, "64m"),
        ("64 MB: dump of small images", [*dump, 8], 0, "", "64m"),
        ("0.5 MB: dump", [*dump, 8], 1, says, "512k"),
        ("0.5 MB: dump without workers", [*dump, 0], 0, "", "512k"),
    ):
        started = machine.start(*words, before=mount.format(size))
        yield name, machine.end(started, status, message)


def two_writers(machine: Machine) -> Iterator[Attempt]:
    """Add photos to one index from several processes at once, and remove one meanwhile."""
    from fed_plugin.search.gallery_index import GalleryIndex

    photos = sorted((machine.data / "bounding_box_test").glob("*.jpg"))[:16]
    parts = [machine.folder / f"photos{number}" for number in range(4)]
    for number, part in enumerate(parts):
        part.mkdir()
        for photo in photos[number::4]:
            (part / photo.name).write_bytes(photo.read_bytes())
    index = machine.folder / "gallery.npz"
    first = machine.start("index", parts[0], *machine.model, "-o", index)
    yield "the first index", machine.end(first, 0)
    gone = photos[0].name
    add = ["-o", index, "--add", "--weights", machine.weights]
    writers = [machine.start("index", part, *add) for part in parts[1:]]
    writers.append(machine.start("index", "-o", index, "--remove", gone))
    for number, process in enumerate(writers):
        yield f"writer {number}", machine.end(process, 0)
    names = {Path(name).name for name in GalleryIndex.load(index).names}
    lost = {photo.name for photo in photos} - {gone} - names
    wrong = f"{len(lost)} photos lost" if lost else f"{gone} is back" if gone in names else ""
    yield "the index in the end", wrong


SCENES = {
    "a second training into one folder": refused_trainings,
    "planted links, private files": planted_links,
    "64 MB of shared memory, or less": small_memory,
    "several writers on one index": two_writers,
}


def main() -> int:
    """Run the scenes, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = "scenes with one of them in their names"
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help=words)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows, failures = [], []
    with small_run.drawn_data(), tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for name, scene in SCENES.items():
            if not any(word in name for word in args.only):
                continue
            attempts = list(scene(machine))
            wrong = [f"{what}: {why}" for what, why in attempts if why]
            rows.append([name, len(attempts), len(attempts) - len(wrong)])
            failures += wrong
            sys.stdout.write("\n".join([f"{name}: {len(attempts)} tried", *wrong, ""]))
            sys.stdout.flush()
    tried, wanted = (sum(row[place] for row in rows) for place in (1, 2))
    words = (
        f"{tried} attempts on hostile and small machines: {wanted} ended as wanted, with a "
        "sentence or with the right files, and with nothing of others changed or lost."
    )
    path = write_record("machines", COLUMNS, rows, words, args.out, failures=failures)
    sys.stdout.write(f"{words}\n{path}\n")
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
