"""The first training images of a config, wherever the loader leaves them."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.fastreid_adapter import loaders
from fed_plugin.fastreid_adapter.loaders import first_training_images


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
