"""Several CUDA devices, counted by a fake: each cell sees one of them."""

from __future__ import annotations

import json

import pytest

from fed_plugin.benchmark import runner
from fed_plugin.benchmark.runner import VISIBLE, choose_device, cuda_devices, run_plan

SEES = """
(folder / "sees.json").write_text(json.dumps(os.environ.get("CUDA_VISIBLE_DEVICES")))
(out / f"here{folder.name}").touch()
give_up = time.time() + 20
while len(list(out.glob("here*"))) < WAIT and time.time() < give_up:
    time.sleep(0.02)
finish()
"""


@pytest.fixture
def count_devices(monkeypatch):
    def count(devices, visible=None):
        monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
        monkeypatch.delenv(VISIBLE, raising=False)
        if visible is not None:
            monkeypatch.setenv(VISIBLE, visible)

    return count


@pytest.fixture
def seen(plan, make_cell, fake):
    """Run cells that meet, ``jobs`` at a time; return what each of them saw."""

    def run(jobs, count, wait=None, **settings):
        cells = [make_cell(seed=seed, **settings) for seed in range(count)]
        script = SEES.replace("WAIT", str(wait or min(jobs, count)))
        assert run_plan(plan, cells, jobs=jobs, command=fake(script)) == 0
        return [json.loads((cell.folder / "sees.json").read_text()) for cell in cells]

    return run


def test_each_job_sees_a_device_of_its_own(count_devices, seen):
    count_devices(2)
    assert sorted(seen(jobs=2, count=2)) == ["0", "1"]


def test_more_jobs_than_devices_share_them_evenly(count_devices, seen):
    count_devices(2)
    assert sorted(seen(jobs=4, count=4)) == ["0", "0", "1", "1"]


def test_devices_are_called_as_the_environment_calls_them(count_devices, seen):
    count_devices(2, visible="GPU-a, 5")
    assert sorted(seen(jobs=2, count=2)) == ["5", "GPU-a"]


@pytest.mark.parametrize(("devices", "jobs"), [(0, 2), (1, 2), (2, 1)])
def test_without_a_choice_nothing_is_set(count_devices, seen, devices, jobs):
    count_devices(devices)
    assert seen(jobs, count=2, wait=1) == [None, None]


def test_one_job_counts_no_devices(plan, make_cell, fake, monkeypatch):
    monkeypatch.setattr(runner, "cuda_devices", lambda: pytest.fail("nobody asked"))
    assert run_plan(plan, [make_cell()], command=fake("finish()")) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_config_that_names_its_device_is_left_alone(make_cell, device):
    cell = make_cell(**{"MODEL.DEVICE": device})
    assert choose_device(cell, ["0", "1"], []) is None


def test_the_device_with_the_fewest_cells_is_next(make_cell):
    cell, devices = make_cell(), ["0", "1", "2"]
    assert choose_device(cell, devices, []) == "0"
    assert choose_device(cell, devices, ["0", "2"]) == "1"
    assert choose_device(cell, devices, ["0", "0", "1", "2", None]) == "1"


def test_devices_are_those_that_are_there(count_devices):
    count_devices(0)
    assert cuda_devices() == []
    count_devices(0, visible="")
    assert cuda_devices() == []
    count_devices(3)
    assert cuda_devices() == ["0", "1", "2"]
    count_devices(1, visible="3,7")  # 7 is none, says CUDA
    assert cuda_devices() == ["3"]
