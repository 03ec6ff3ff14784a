"""The first training images of a config, wherever the loader leaves them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fed_plugin.fastreid_adapter import loaders
from fed_plugin.fastreid_adapter.loaders import check_shared_memory, first_training_images


class OnAccelerator(torch.Tensor):
    """Stand in for a CUDA tensor, as the stock loader yields where there is CUDA."""

    def cpu(self):
        return self.as_subclass(torch.Tensor)

    def numpy(self):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class EndlessLoader:
    """Yield batches for ever and note whether somebody stops the workers."""

    stopped = False

    def __iter__(self):
        while True:
            yield {
                "images": torch.zeros(4, 2, 3, 8, 4).as_subclass(OnAccelerator),
                "targets": torch.arange(4).as_subclass(OnAccelerator),
                "img_paths": list("abcd"),
            }

    def shutdown(self):
        self.stopped = True


@pytest.fixture
def loader(monkeypatch):
    loader = EndlessLoader()
    monkeypatch.setattr(loaders.build, "build_reid_train_loader", lambda cfg, **_: loader)
    return loader


def test_images_of_an_accelerator_are_brought_to_where_they_are_drawn(loader, tiny_cfg):
    images = first_training_images(tiny_cfg(), 6)
    assert images.views.numpy().shape == (6, 2, 3, 8, 4)
    assert images.targets.numpy().tolist() == [0, 1, 2, 3, 0, 1]
    assert images.paths == tuple("abcdab")


def test_the_workers_of_an_endless_loader_are_stopped(loader, tiny_cfg):
    first_training_images(tiny_cfg(), 1)
    assert loader.stopped


def test_the_first_images_are_those_of_a_training_with_this_seed_and_its_config(
    tiny_cfg, on_synthocc, monkeypatch
):
    from fastreid.engine import DefaultTrainer
    from fastreid.utils.env import seed_all_rng

    from fed_plugin.fastreid_adapter import datasets

    seen = []
    stock = datasets.SynthOcc.__init__

    def init(self, *args, **kwargs):
        seen.append(loaders.current_config())
        stock(self, *args, **kwargs)

    monkeypatch.setattr(datasets.SynthOcc, "__init__", init)
    cfg = tiny_cfg("SEED", 5)
    images = first_training_images(cfg, 8)
    assert seen == [cfg]
    seed_all_rng(5)
    batch = next(iter(DefaultTrainer.build_train_loader(cfg)))
    assert list(images.paths) == batch["img_paths"]
    assert torch.equal(images.views, batch["images"])


class Status:
    """What ``os.statvfs`` returns for a file system with free megabytes."""

    f_frsize = 1_000_000

    def __init__(self, free):
        self.f_bavail = free


@pytest.fixture
def docker(monkeypatch):
    monkeypatch.setattr(loaders.os, "statvfs", lambda path: Status(64))


def config(*overrides):
    from fastreid.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(Path(__file__).parents[2] / "configs/FED/occluded_duke_vit_base.yml"))
    cfg.merge_from_list(list(overrides))
    return cfg


def test_workers_whose_batches_find_no_room_are_refused_with_the_number_that_fits(docker):
    with pytest.raises(ValueError, match=r"^DATALOADER\.NUM_WORKERS=8: expected [\d,]+ MB") as no:
        check_shared_memory(config(), training=True)
    assert "try DATALOADER.NUM_WORKERS 0, or more of it, such as docker run --shm-size" in str(no)
    check_shared_memory(config(), 0, training=True)
    small = config("INPUT.SIZE_TRAIN", [48, 24], "INPUT.SIZE_TEST", [48, 24])
    with pytest.raises(ValueError, match=r"try DATALOADER\.NUM_WORKERS 13, or more"):
        check_shared_memory(small, 40, training=True)
    check_shared_memory(small, 13, training=True)
    with pytest.raises(ValueError, match=r"try DATALOADER\.NUM_WORKERS 4, or more"):
        check_shared_memory(small, 13, training=True, ranks=2)


def test_a_test_set_needs_no_more_than_its_images(docker):
    with pytest.raises(ValueError, match="shared memory"):
        check_shared_memory(config(), 4)
    check_shared_memory(config(), 4, images=100)
    check_shared_memory(config("INPUT.SIZE_TEST", [0]), 4)  # images keep their sizes: not known


def test_a_loader_is_refused_before_its_workers_start(tiny_cfg, on_synthocc, monkeypatch):
    monkeypatch.setattr(loaders.os, "statvfs", lambda path: Status(0))
    cfg = tiny_cfg("DATALOADER.NUM_WORKERS", 2)
    with pytest.raises(ValueError, match="shared memory"):
        loaders.build.build_reid_train_loader(cfg, combineall=False)
    with pytest.raises(ValueError, match="shared memory"):
        loaders.build.build_reid_test_loader(cfg, dataset_name="SynthOcc")


def test_a_training_with_a_small_dev_shm_ends_in_one_sentence(synthocc_root, tmp_path):
    mount = "mount -t tmpfs -o size=8m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("only root may mount a /dev/shm of its own")
    words = [sys.executable, "-m", "fed_plugin", "train", "--config-file", "synthocc_vit_tiny"]
    keys = ["DATALOADER.NUM_WORKERS", 2, "SOLVER.WARMUP_ITERS", 4, "OUTPUT_DIR", tmp_path / "run"]
    line = shlex.join(map(str, [*words, *keys, "MODEL.FED.FDM.NUM_NEIGHBORS", 4]))
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mount} && exec {line}"],
        env={**os.environ, "PYTHONPATH": str(root), "FASTREID_DATASETS": str(synthocc_root)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "error: DATALOADER.NUM_WORKERS=2: expected 53 MB of free shared" in ended.stderr
    assert not (tmp_path / "run").exists()
