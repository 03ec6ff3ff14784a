from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fed_plugin.synthocc import SIZES, build_synthocc
from fed_plugin.synthocc.casting import QUERY, SPLITS, Size

ROOT = Path(__file__).parents[2]


def test_every_number_of_workers_draws_the_same_bits(tiny, tmp_path, hashes):
    other = build_synthocc(tmp_path / "other", "tiny", 0, workers=2)

    assert hashes(other) == hashes(tiny)


def test_another_seed_draws_another_picture_for_every_name(tmp_path, monkeypatch, hashes):
    monkeypatch.setitem(SIZES, "tiny", Size(2, 2, 2, 1, 2, 1, 1, cameras=2))
    one = hashes(build_synthocc(tmp_path / "one", "tiny", 0))
    two = hashes(build_synthocc(tmp_path / "two", "tiny", 1))

    pictures = [digest for name, digest in one.items() if name.endswith(".jpg")]
    assert len(pictures) == 11
    assert not set(pictures) & set(two.values())


def test_the_folders_are_those_of_market1501_with_the_counts_of_the_size(tiny):
    counts = {split: len(list((tiny / split).iterdir())) for split in SPLITS}

    assert counts == {"bounding_box_train": 8 * 8, "query": 6, "bounding_box_test": 6 * 3 + 2 * 2}
    assert sum(counts.values()) == SIZES["tiny"].images
    assert {path.name for path in tiny.iterdir()} == {*SPLITS, "synthocc.json", "visibility.csv"}


def test_every_image_is_64_pixels_wide_and_128_high_and_shows_something(tiny):
    for path in tiny.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format) == ((64, 128), "RGB", "JPEG")
            assert np.asarray(image).std() > 10


def test_names_parse_to_identity_and_camera_and_no_name_occurs_twice(tiny):
    names = [path.name for path in tiny.rglob("*.jpg")]
    pattern = re.compile(r"([-\d]+)_c(\d+)")
    keys = {tuple(map(int, pattern.match(name).groups())) for name in names}

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\d{4}_c\ds1_\d{6}_00\.jpg", name) for name in names)
    assert {pid for pid, _ in keys} == set(range(1, 17))
    assert {camera for _, camera in keys} == {1, 2, 3}


def test_the_manifest_says_what_the_folder_holds(tiny, hashes):
    manifest = json.loads((tiny / "synthocc.json").read_text())

    assert (manifest["size"], manifest["seed"], manifest["version"]) == ("tiny", 0, 1)
    assert manifest["images"] == {"bounding_box_train": 64, "query": 6, "bounding_box_test": 22}
    assert manifest["identities"] == {"bounding_box_train": 8, "query": 6, "bounding_box_test": 8}
    held = sorted(f"{h}  {name}" for name, h in hashes(tiny).items() if name != "synthocc.json")
    assert manifest["sha256"] == hashlib.sha256("\n".join(held).encode()).hexdigest()


def test_a_second_call_on_a_complete_folder_does_nothing(tiny, hashes):
    times = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}

    again = build_synthocc(tiny, "tiny", 0, progress=lambda *_: pytest.fail("something was drawn"))

    assert again == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == times


def test_a_build_that_was_killed_has_no_manifest_and_is_completed_by_the_next(
    tiny, tmp_path, hashes
):
    class PowerCutError(Exception):
        pass

    def cut(done, total):
        if done == 20:
            raise PowerCutError

    folder = tmp_path / "cut"
    with pytest.raises(PowerCutError):
        build_synthocc(folder, "tiny", 0, workers=1, progress=cut)
    assert not (folder / "synthocc.json").exists()
    assert len(list(folder.rglob("*.jpg"))) == 20

    steps = []
    build_synthocc(folder, "tiny", 0, workers=1, progress=lambda *step: steps.append(step))

    assert steps[0] == (21, 92) and steps[-1] == (92, 92) and len(steps) == 72
    assert hashes(folder) == hashes(tiny)


DRAWING = """
import sys
from fed_plugin.synthocc import build_synthocc
if __name__ == "__main__":
    build_synthocc(sys.argv[1], "tiny", workers=2, progress=lambda *step: print(step, flush=True))
"""


def processes_of(group):
    """Return the living processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and state[0] != "Z"]


@pytest.mark.skipif(os.name != "posix", reason="needs ps and process groups")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_killed_drawing_and_the_next_call_completes_it(
    tiny, tmp_path, hashes, end
):
    (tmp_path / "draw.py").write_text(DRAWING)
    words = [sys.executable, tmp_path / "draw.py", tmp_path / "cut"]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
    try:
        parent.stdout.readline()
        assert len(processes_of(parent.pid)) >= 3
        parent.send_signal(end)
        assert parent.wait() == -end
        patience = time.monotonic() + 30
        while processes_of(parent.pid) and time.monotonic() < patience:
            time.sleep(0.1)
        assert processes_of(parent.pid) == []
    finally:
        for pid in processes_of(parent.pid):
            os.kill(pid, signal.SIGKILL)
        parent.stdout.close()
    drawn = len(list((tmp_path / "cut").rglob("*.jpg")))
    assert 0 < drawn < 92 and not (tmp_path / "cut" / "synthocc.json").exists()
    assert hashes(build_synthocc(tmp_path / "cut", "tiny", workers=1)) == hashes(tiny)


def test_lost_spoiled_and_half_written_files_are_drawn_again(copied, tiny, hashes):
    train = sorted((copied / "bounding_box_train").iterdir())
    train[3].unlink()
    train[5].write_bytes(b"")
    (copied / "query" / "0009_c1s1_000065_00.jpg.77.part").write_bytes(b"half")

    steps = []
    build_synthocc(copied, "tiny", 0, progress=lambda *step: steps.append(step))

    assert len(steps) == 2
    assert hashes(copied) == hashes(tiny)


def test_queries_are_drawn_again_when_their_visible_shares_are_lost(copied, tiny, hashes):
    (copied / "visibility.csv").unlink()

    steps = []
    build_synthocc(copied, "tiny", 0, progress=lambda *step: steps.append(step))

    assert len(steps) == len(list((tiny / QUERY).iterdir()))
    assert hashes(copied) == hashes(tiny)


@pytest.mark.parametrize(
    ("size", "seed", "held"), [("small", 0, "size tiny, seed 0"), ("tiny", 7, "seed 0")]
)
def test_a_folder_of_another_size_or_seed_is_refused_and_left_alone(tiny, hashes, size, seed, held):
    before = hashes(tiny)

    with pytest.raises(ValueError, match=f"{held}.*try another folder"):
        build_synthocc(tiny, size, seed)

    assert hashes(tiny) == before


def test_a_begun_folder_of_another_seed_is_refused(tmp_path):
    begun = {"size": "tiny", "seed": 3, "version": 1}
    (tmp_path / "synthocc.started.json").write_text(json.dumps(begun))

    with pytest.raises(ValueError, match="it holds size tiny, seed 3"):
        build_synthocc(tmp_path, "tiny", 0)


def test_a_folder_with_somebody_elses_files_is_refused_and_left_alone(tmp_path, hashes):
    (tmp_path / "query").mkdir()
    (tmp_path / "query" / "0001_c1s1_000151_01.jpg").write_bytes(b"Market-1501")
    before = hashes(tmp_path)

    with pytest.raises(ValueError, match=r"files of another kind \(query"):
        build_synthocc(tmp_path, "tiny", 0)

    assert hashes(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(ValueError, match="expected a folder; got the file"):
        build_synthocc(tmp_path / "file", "tiny", 0)


def test_an_unknown_size_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of tiny, small, medium; got 'huge'"):
        build_synthocc(tmp_path / "new", "huge")
    assert not (tmp_path / "new").exists()


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a number >= 0; got -1"):
        build_synthocc(tmp_path / "new", "tiny", -1)


def test_a_script_that_cannot_start_workers_still_gets_its_folder(tmp_path):
    script = (
        "from fed_plugin.synthocc import SIZES, build_synthocc\n"
        "from fed_plugin.synthocc.casting import Size\n"
        "SIZES['tiny'] = Size(1, 2, 1, 1, 2, 1, 1, cameras=2)\n"
        f"build_synthocc({str(tmp_path / 'new')!r}, 'tiny', 0, workers=2)\n"
    )

    run = subprocess.run(
        [sys.executable, "-"], input=script, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr
    assert "this process does the rest of the work" in run.stderr
    assert (tmp_path / "new" / "synthocc.json").is_file()


def test_a_number_of_workers_that_draws_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--workers 0: expected 1 or more"):
        build_synthocc(tmp_path / "SynthOcc", "tiny", workers=0)


def test_a_drawing_that_was_killed_at_any_moment_goes_on(kill_at, tmp_path, monkeypatch, hashes):
    monkeypatch.setitem(SIZES, "tiny", Size(2, 1, 2, 1, 2, 1, 1, cameras=2))
    whole = build_synthocc(tmp_path / "whole", "tiny", workers=1)
    for count in (*range(1, 20), 30, 40, 50, *range(60, 200, 5)):
        folder = tmp_path / f"killed{count}" / "SynthOcc"
        call = partial(build_synthocc, folder, "tiny", workers=1)
        killed = kill_at(folder, count, call)
        call()
        assert hashes(folder) == hashes(whole)
        if not killed:
            return
    raise AssertionError("it never came to its end")


def test_empty_folders_of_a_version_before_are_no_drawing(tmp_path):
    for split in ("bounding_box_train", "query"):
        (tmp_path / split).mkdir()
    assert build_synthocc(tmp_path, "tiny", workers=1)
