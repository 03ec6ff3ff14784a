"""Every image knows whose it is, and draws the same whoever loads it."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastreid.data import build_reid_test_loader, build_reid_train_loader
from fastreid.data.common import CommDataset
from PIL import Image

from fed_plugin.fastreid_adapter import loaders
from fed_plugin.fastreid_adapter.loaders import as_current, current_config
from fed_plugin.fastreid_adapter.seeding import SeededIndex, SeededSampler, current_item


@pytest.fixture
def dataset(tmp_path):
    """Four one-colour images whose transform returns what is drawn and whose item it is."""
    items = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (4, 8), (number, 0, 0)).save(path)
        items.append((str(path), f"set_{number // 2}", f"set_{number % 2}"))

    def draws(image):
        return [random.random(), np.random.rand(), torch.rand(1).item()], current_item()

    return CommDataset(items, draws)


def batches(loader, count):
    stream = iter(loader)
    return [next(stream) for _ in range(count)]


def test_a_transform_learns_whose_image_it_works_on(dataset):
    item = dataset[3]["images"][1]
    assert (item.path, item.pid, item.camid) == dataset.img_items[3]
    assert current_item() is None


def test_an_image_that_fails_leaves_no_item_behind(dataset):
    dataset.transform = lambda image: 1 / 0
    with pytest.raises(RuntimeError, match=r"3\.png"):
        dataset[3]
    assert current_item() is None


def test_a_seeded_index_draws_its_own_numbers_and_disturbs_nobody(dataset):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first = dataset[SeededIndex(2, (7, 0, 5))]["images"]
    again = dataset[SeededIndex(2, (7, 0, 5))]["images"]
    assert first == again
    assert states == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )
    others = [dataset[SeededIndex(2, entropy)]["images"][0] for entropy in ((7, 0, 6), (7, 1, 5))]
    for other in others:
        assert all(a != b for a, b in zip(first[0], other, strict=True))


def test_a_seeded_sampler_keeps_the_order_whoever_draws_meanwhile():
    class Endless:
        def __iter__(self):
            while True:
                yield int(np.random.randint(100))

    np.random.seed(3)
    quiet = [index for index, _ in zip(SeededSampler(Endless(), (0,)), range(200), strict=False)]
    np.random.seed(3)
    noisy = []
    for index in SeededSampler(Endless(), (0,)):
        noisy.append(index)
        np.random.rand(17)
        if len(noisy) == 200:
            break
    assert noisy == quiet
    assert [index.entropy for index in noisy] == [(0, position) for position in range(200)]


def test_a_seeded_sampler_ends_where_the_sampler_ends():
    sampler = SeededSampler(range(130), (1, 2))
    assert list(sampler) == list(range(130)) and len(sampler) == 130


@pytest.mark.parametrize("workers", [1, 4])
def test_images_are_the_same_for_any_number_of_workers(tiny_cfg, on_synthocc, workers):
    runs = []
    for count in (0, workers):
        cfg = tiny_cfg("SEED", 5, "DATALOADER.NUM_WORKERS", count)
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        torch.rand(count)  # where the process's own stream stands makes no difference
        runs.append(batches(build_reid_train_loader(cfg), 4))
    for one, other in zip(*runs, strict=True):
        assert one["img_paths"] == other["img_paths"]
        assert torch.equal(one["images"], other["images"])


def test_an_image_that_comes_again_is_augmented_anew(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("SEED", 5)
    seen = {}
    for batch in batches(build_reid_train_loader(cfg), 30):
        for path, image in zip(batch["img_paths"], batch["images"], strict=True):
            seen.setdefault(path, []).append(image)
    twice = [images for images in seen.values() if len(images) > 1]
    assert twice
    assert not any(torch.equal(images[0][1], images[1][1]) for images in twice)


def test_ranks_draw_different_numbers_for_one_image(tiny_cfg, on_synthocc, monkeypatch):
    drawn = []
    for get_rank in (lambda: 0, lambda: 1):
        ranks = SimpleNamespace(get_rank=get_rank, get_local_size=lambda: 2)
        monkeypatch.setattr(loaders, "comm", ranks)
        loader = build_reid_train_loader(tiny_cfg("SEED", 5))
        first = next(iter(loader.batch_sampler.sampler))
        drawn.append(loader.dataset[SeededIndex(0, first.entropy)]["images"])
    assert not torch.equal(*drawn)


def test_without_a_seed_the_stock_sampler_stays(tiny_cfg, on_synthocc):
    loader = build_reid_train_loader(tiny_cfg("SEED", -1))
    assert not isinstance(loader.batch_sampler.sampler, SeededSampler)


def test_data_sets_learn_the_config_of_their_loader_and_only_then(
    tiny_cfg, on_synthocc, monkeypatch
):
    from fed_plugin.fastreid_adapter import datasets

    seen = []
    stock = datasets.SynthOcc.__init__

    def init(self, *args, **kwargs):
        seen.append(current_config())
        stock(self, *args, **kwargs)

    monkeypatch.setattr(datasets.SynthOcc, "__init__", init)
    cfg = tiny_cfg()
    build_reid_train_loader(cfg, combineall=False)
    build_reid_test_loader(cfg, dataset_name="SynthOcc")
    datasets.SynthOcc("anywhere")
    assert [config is cfg for config in seen] == [True, True, False]
    assert current_config() is None
    with pytest.raises(KeyError), as_current(cfg):
        build_reid_test_loader(tiny_cfg(), dataset_name="nowhere")
    assert current_config() is None
