"""Own data through the stock loaders and the stock trainer, by config keys alone."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build as host_build
from fastreid.data.common import CommDataset
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.engine import DefaultTrainer
from PIL import Image

from fed_plugin.fastreid_adapter import datasets
from fed_plugin.fastreid_adapter.datasets import FolderReID
from fed_plugin.fastreid_adapter.loaders import as_current

PEOPLE = ["ann", "bob", "carl", "dora", "eve", "frank", "gina", "hugo"]


@pytest.fixture(autouse=True)
def nothing_explained(monkeypatch):
    monkeypatch.setattr(datasets, "_explained", set())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of folders, each person in a colour."""
    folder = tmp_path_factory.mktemp("my data") / "photos"
    for place, who in enumerate(PEOPLE):
        (folder / who).mkdir(parents=True)
        for n in range(4):
            color = (30 * place, 255 - 30 * place, 60 * n)
            Image.new("RGB", (32, 64), color).save(folder / who / f"{n}.jpg")
    return folder


def options(folder, *more):
    return ["DATASETS.NAMES", "('FolderReID',)", "DATASETS.TESTS", "('FolderReID',)"] + [
        *("DATASETS.FOLDER_REID.ROOT", str(folder)),
        *more,
    ]


def build(cfg_options, **arguments):
    cfg = get_cfg()
    cfg.merge_from_list(cfg_options)
    with as_current(cfg):
        return DATASET_REGISTRY.get("FolderReID")(**arguments)


def own(folder, *more, **arguments):
    return build(options(folder, *more), **arguments)


def test_the_stock_trainer_trains_and_tests_on_a_folder_named_in_the_config(tiny_cfg, photos):
    cfg = tiny_cfg("MODEL.HEADS.NUM_CLASSES", 0, *options(photos))
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = DefaultTrainer(cfg)
    before = trainer.model.backbone.cls_token.detach().clone()
    results = trainer.train()
    assert not torch.equal(trainer.model.backbone.cls_token, before)
    assert {"Rank-1", "mAP"} <= results.keys()
    classes = len({pid for _, pid, _ in own(photos).train})
    assert trainer.cfg.MODEL.HEADS.NUM_CLASSES == classes < len(PEOPLE)


def test_the_stock_loaders_get_what_the_keys_say(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(host_build, "_root", str(tmp_path / "elsewhere"))
    cfg = get_cfg()
    cfg.merge_from_list(options(photos, "DATASETS.FOLDER_REID.QUERIES", 2))
    cfg.SOLVER.IMS_PER_BATCH, cfg.TEST.IMS_PER_BATCH = 2, 4
    cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER.NUM_WORKERS = "TrainingSampler", 0
    train = host_build.build_reid_train_loader(cfg, combineall=False).dataset
    test, num_query = host_build.build_reid_test_loader(
        cfg, dataset_name="FolderReID", num_workers=0
    )
    tested = len(PEOPLE) - train.num_classes
    assert train.num_classes and num_query == 2 * tested
    assert len(train) + len(test.dataset) == 4 * len(PEOPLE)
    batch = host_build.fast_batch_collator([test.dataset[i] for i in (0, len(test.dataset) - 1)])
    assert batch["targets"].dtype == torch.int64 and batch["camids"].tolist() == [0, 1]


def test_without_a_root_the_folder_of_its_name_is_taken(photos):
    root, name = str(photos.parent), photos.name
    assert build(["DATASETS.FOLDER_REID.NAME", name], root=root).path == str(photos)
    assert FolderReID(root=root).path == str(photos.parent / "FolderReID")


def test_training_identities_begin_with_the_name_and_others_are_ints(photos):
    dataset = own(photos, "DATASETS.FOLDER_REID.NAME", "Station 4")
    assert isinstance(dataset, ImageDataset) and type(dataset) is FolderReID
    assert all(pid.startswith("Station 4_") for _, pid, _ in dataset.train)
    for path, pid, camid in dataset.query + dataset.gallery:
        assert type(path) is str and type(pid) is int and type(camid) is int
    other = own(photos, "DATASETS.FOLDER_REID.NAME", "Other")
    once = CommDataset(dataset.train).num_classes
    assert CommDataset(dataset.train + other.train).num_classes == 2 * once


def test_the_keys_choose_the_division(photos):
    def tested(*more):
        return {pid for _, pid, _ in own(photos, *more).query}

    assert tested() == tested("DATASETS.FOLDER_REID.SPLIT_SEED", 0)
    assert tested() != tested("DATASETS.FOLDER_REID.SPLIT_SEED", 1)
    assert len(tested("DATASETS.FOLDER_REID.TEST_SHARE", 0.01)) == 1


def test_what_was_done_is_logged_once(photos, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            dataset = own(photos)
            assert dataset.train and dataset.query and dataset.gallery
    [record] = [r for r in caplog.records if r.name == "fastreid.fed_plugin.datasets"]
    assert record.levelno == logging.INFO
    for sentence in dataset.own.explanation:
        assert sentence in record.getMessage()


def test_what_is_wrong_with_the_data_is_a_warning(tmp_path, photos, caplog):
    for split, who in (("train", "ann"), ("query", "ann"), ("gallery", "ann")):
        (tmp_path / split).mkdir()
        os.symlink(photos / who, tmp_path / split / who)
    own(tmp_path).show_test()
    assert "Warning: A leak: 1 identity in training and in testing, ann" in caplog.text


def test_combining_all_keeps_a_person_one_identity_and_takes_an_image_once(tmp_path, photos):
    rows = ["0,train", "1,query", "1,gallery", "2,gallery", "3,gallery"]
    cells = (row.split(",") for row in rows)
    lines = [f"{photos}/ann/{n}.jpg,ann,{int(n) + 1},{split}\n" for n, split in cells]
    table = tmp_path / "table.csv"
    table.write_text("path,pid,camid,split\n" + "".join(lines))
    for dataset in (own(table, combineall=True), own(table)):
        dataset.combine_all()
        assert [pid for _, pid, _ in dataset.train] == ["FolderReID_0"] * 4
        assert len(dataset.query) == 1 and len(dataset.gallery) == 3  # evaluation is as before


def test_combining_all_leaves_market_distractors_out(tmp_path):
    names = ["train/0007_c1_0.jpg", "query/0003_c1_0.jpg", "gallery/0003_c2_0.jpg"]
    for name in [*names, "gallery/0000_c2_0.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    dataset = own(tmp_path, combineall=True)
    assert {pid for _, pid, _ in dataset.train} == {"FolderReID_7", "FolderReID_3"}
    assert 0 in {pid for _, pid, _ in dataset.gallery}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("TEST_SHARE", value) for value in (0.0, 1.0, -1.0, float("nan"))),
        *(("QUERIES", value) for value in (0, -3)),
        ("SPLIT_SEED", -1),
        *(("NAME", value) for value in ("", " ", "a/b", "..", "a\nb")),
    ],
)
def test_a_wrong_value_is_refused_by_its_key_before_anything_is_read(key, value):
    with pytest.raises(ValueError, match=r"expected .*; try") as refused:
        own("/nowhere", f"DATASETS.FOLDER_REID.{key}", value)
    assert str(refused.value).startswith(f"DATASETS.FOLDER_REID.{key}={value!r}: ")


def test_nothing_is_read_before_it_is_asked_for():
    for mode in ("train", "query", "gallery"):
        dataset = own("/nowhere", mode=mode)
        with pytest.raises(FileNotFoundError, match=r"/nowhere \(DATASETS\.FOLDER_REID\.ROOT\)"):
            len(dataset)


@pytest.mark.parametrize(
    ("files", "key", "split"),
    [
        (["query/ann/1.jpg", "gallery/ann/2.jpg"], "NAMES", "train"),
        (["train/ann/1.jpg", "train/bob/1.jpg"], "TESTS", "query"),
        (["ann/1.jpg", "bob/1.jpg"], "TESTS", "gallery"),
    ],
)
def test_data_without_the_split_that_is_asked_for_say_so(tmp_path, files, key, split):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    message = rf"DATASETS\.{key}=FolderReID: expected {split} images in /.*ROOT.*got none.*Try"
    with pytest.raises(ValueError, match=message):
        len(own(tmp_path, mode=split))


def test_importing_the_module_again_registers_nothing_twice(photos):
    before = DATASET_REGISTRY.get("FolderReID")
    importlib.reload(datasets)
    assert DATASET_REGISTRY.get("FolderReID") is before


def test_a_name_somebody_else_registered_stays_theirs_and_a_warning_says_so(caplog, monkeypatch):
    theirs = type("FolderReID", (ImageDataset,), {"__module__": "somebody.elses"})
    monkeypatch.setitem(DATASET_REGISTRY._obj_map, "FolderReID", theirs)
    importlib.reload(datasets)
    assert DATASET_REGISTRY.get("FolderReID") is theirs
    assert "FolderReID is already registered by somebody.elses" in caplog.text
