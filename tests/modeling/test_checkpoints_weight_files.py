"""Files of weights: what is read, and that nothing in them is executed."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from numpy._core import multiarray

from fed_plugin.modeling.weight_files import read_weights


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it_ran"


def planted(marker):
    weights = {"w": torch.zeros(2)}
    inside = {"model": {"w": np.array([Payload(marker)], dtype=object)}}
    beside = {"model": weights, "epoch": Payload(marker)}
    for content in (inside, beside, Payload(marker)):
        for zipped in (True, False):
            target = io.BytesIO()
            torch.save(content, target, _use_new_zipfile_serialization=zipped)
            yield target.getvalue()
        yield pickle.dumps(content)


def test_a_planted_payload_does_not_run_and_is_reported(tmp_path, marker):
    path = tmp_path / "bad.pth"
    for content in planted(marker):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"\w+") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value) and not marker.exists()


def test_the_payload_would_run_where_pickles_are_trusted(tmp_path, marker):
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_numbers_that_are_allowed_by_name_are_read(tmp_path, zipped):
    linear = torch.nn.Linear(2, 3).double()
    content = {
        "model": linear.state_dict(),
        "half": torch.zeros(3, dtype=torch.bfloat16),
        "parameter": linear.weight,
        "best": np.float64(0.5),
        "ids": np.arange(3),
        "size": torch.Size([2]),
        "milestones": Counter([30, 40]),
    }
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="more than tensors"):
        read_weights(tmp_path / "x.pth")
    named = [
        (getattr(multiarray, name), f"{package}.multiarray.{name}")
        for package in ("numpy.core", "numpy._core")
        for name in ("scalar", "_reconstruct")
    ]
    dtypes = [type(np.dtype(kind)) for kind in ("float64", "int64")]
    content = read_weights(tmp_path / "x.pth", [*named, *dtypes, np.ndarray, np.dtype])
    assert torch.equal(content["model"]["weight"], linear.weight) and content["best"] == 0.5
    assert content["half"].dtype == torch.bfloat16 and content["ids"].tolist() == [0, 1, 2]
    assert content["milestones"] == Counter([30, 40])


def test_noise_is_refused_in_a_line(tmp_path):
    path = tmp_path / "noise.pth"
    for seed in range(40):
        path.write_bytes(np.random.default_rng(seed).bytes(300))
        with pytest.raises(ValueError, match=r"\S"):
            read_weights(path)


def test_safetensors_are_read(tmp_path):
    save_file = pytest.importorskip(
        "safetensors.torch", reason="an extra: try `pip install safetensors`"
    ).save_file
    save_file({"w": torch.arange(3.0)}, tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors")["w"].tolist() == [0, 1, 2]
    (tmp_path / "w.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(ValueError, match=r"\S"):
        read_weights(tmp_path / "w.safetensors")


def test_safetensors_without_their_package_say_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"pip install fed_plugin\[safetensors\]"):
        read_weights(tmp_path / "w.safetensors")


def test_a_file_that_is_not_there_stays_one(tmp_path):
    for name in ("gone.pth", "gone.safetensors"):
        with pytest.raises(FileNotFoundError):
            read_weights(tmp_path / name)
