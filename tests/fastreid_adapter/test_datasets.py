from __future__ import annotations

import importlib
import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build as host_build
from fastreid.data.common import CommDataset
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.evaluation.rank import evaluate_rank
from PIL import Image

import projects_registry  # noqa: F401 - it mends the host before the host is imported
from fed_plugin.datasets.posetrack import cut_crops
from fed_plugin.fastreid_adapter import datasets as adapter

# isort: split


NAMES = (
    "Occluded_Duke",
    "P_DukeMTMC",
    "Occluded_REID",
    "Partial_REID",
    "Partial_REID_Occluded",
    "Partial_iLIDS",
    "Occluded_PoseTrack",
    "SynthOcc",
)
FOR_TESTING_ONLY = ("Occluded_REID", "Partial_REID", "Partial_REID_Occluded", "Partial_iLIDS")
FILES = (
    "Occluded_Duke/bounding_box_train/0001_c2_f0000001.jpg",
    "Occluded_Duke/bounding_box_train/0001_c6_f0000002.jpg",
    "Occluded_Duke/bounding_box_train/0702_c8_f0000003.jpg",
    "Occluded_Duke/query/0005_c1_f0000010.jpg",
    "Occluded_Duke/query/0006_c1_f0000011.jpg",
    "Occluded_Duke/bounding_box_test/0005_c1_f0000010.jpg",  # the same file as the query
    "Occluded_Duke/bounding_box_test/0005_c4_f0000012.jpg",
    "P-DukeMTMC-reID/train/occluded_body_images/0001/0001_c1_f0000001.jpg",
    "P-DukeMTMC-reID/train/whole_body_images/0001/0001_c2_f0000002.jpg",
    "P-DukeMTMC-reID/test/occluded_body_images/0005/0005_c1_f0000003.jpg",
    "P-DukeMTMC-reID/test/whole_body_images/0005/0005_c1_f0000004.jpg",
    "Partial_iLIDS/partial_body_images/001.jpg",
    "Partial_iLIDS/whole_body_images/001.jpg",
    "Occluded_REID/occluded_body_images/001/001_01.tif",
    "Occluded_REID/whole_body_images/001/001_01.tif",  # the same name, another image
    "Partial_REID/partial_body_images/001_01.jpg",
    "Partial_REID/occluded_body_images/001_02.jpg",
    "Partial_REID/whole_body_images/001_03.jpg",
    "SynthOcc/bounding_box_train/0001_c1s1_000151_00.jpg",
    "SynthOcc/query/0002_c1s1_000152_00.jpg",
    "SynthOcc/bounding_box_test/0002_c2s1_000153_00.jpg",
    "SynthOcc/bounding_box_test/0000_c2s1_000154_00.jpg",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory, draw_posetrack):
    folder = tmp_path_factory.mktemp("run2024_7_x")
    cut_crops(str(draw_posetrack(folder)))
    for number, file in enumerate(FILES):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16), (10 * number, 0, 0)).save(target)
    duke = folder / "Occluded_Duke"
    same = "0005_c1_f0000010.jpg"
    (duke / "bounding_box_test" / same).write_bytes((duke / "query" / same).read_bytes())
    return str(folder)


def build(name, root, **kwargs):
    return DATASET_REGISTRY.get(name)(root=root, **kwargs)


def named(items):
    return [(os.path.basename(path), pid, camid) for path, pid, camid in items]


@pytest.mark.parametrize("name", NAMES)
def test_the_host_finds_each_dataset_by_its_name(name, root):
    dataset = build(name, root)
    assert isinstance(dataset, ImageDataset) and type(dataset).__name__ == name
    assert dataset.query and dataset.gallery
    assert getattr(adapter, name) is DATASET_REGISTRY.get(name)


@pytest.mark.parametrize("name", NAMES)
def test_query_and_gallery_carry_python_ints(name, root):
    dataset = build(name, root)
    for path, pid, camid in dataset.query + dataset.gallery:  # the host joins them as lists
        assert type(path) is str and type(pid) is int and type(camid) is int


def test_training_identities_and_cameras_begin_with_the_datasets_name(root):
    assert named(build("Occluded_Duke", root).train) == [
        ("0001_c2_f0000001.jpg", "occluded_duke_1", "occluded_duke_1"),
        ("0001_c6_f0000002.jpg", "occluded_duke_1", "occluded_duke_5"),
        ("0702_c8_f0000003.jpg", "occluded_duke_702", "occluded_duke_7"),
    ]


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(FOR_TESTING_ONLY)))
def test_what_has_training_images_is_registered_for_training(name, root):
    prefix = f"{name.lower()}_"
    for path, pid, camid in build(name, root).train:
        assert os.path.isfile(path) and pid.startswith(prefix) and camid.startswith(prefix)


@pytest.mark.parametrize("name", NAMES)
def test_combining_all_trains_on_every_person_of_every_dataset(name, root):
    dataset = build(name, root)
    people = {pid for _, pid, _ in dataset.query + dataset.gallery} - {0}
    combined = build(name, root, combineall=True).train
    tested = {pid.rpartition("_")[2] for _, pid, _ in combined if "_test_" in pid}
    assert tested == {str(pid) for pid in people}
    trained = [] if name in FOR_TESTING_ONLY else dataset.train
    assert combined[: len(trained)] == trained


def test_both_query_sets_of_partial_reid_are_the_same_people(root):
    both = ("Partial_REID", "Partial_REID_Occluded")
    pids = [{pid for _, pid, _ in build(name, root, combineall=True).train} for name in both]
    assert pids[0] == pids[1] == {"partial_reid_test_1"}
    assert [named(build(name, root).query)[0][0] for name in both] == ["001_01.jpg", "001_02.jpg"]


@pytest.mark.parametrize("name", ["P_DukeMTMC", *FOR_TESTING_ONLY, "Occluded_PoseTrack"])
def test_without_cameras_the_same_camera_rule_never_fires(name, root):
    dataset = build(name, root)
    q_pids, q_camids = (np.array(column) for column in list(zip(*dataset.query, strict=True))[1:])
    g_pids, g_camids = (np.array(column) for column in list(zip(*dataset.gallery, strict=True))[1:])
    # identities of the query are wanted; of Occluded-PoseTrack's drawn persons none has two crops
    g_pids = np.concatenate([g_pids, q_pids])
    g_camids = np.concatenate([g_camids, np.full_like(q_pids, g_camids[0])])
    distances = (q_pids[:, None] != g_pids).astype(np.float32)
    all_cmc, all_ap, _ = evaluate_rank(distances, q_pids, g_pids, q_camids, g_camids)
    assert all_cmc[0] == 1 and np.mean(all_ap) == 1
    assert not ((q_pids[:, None] == g_pids) & (q_camids[:, None] == g_camids)).any()


def test_files_that_are_passed_over_are_named_in_the_hosts_log(tmp_path, root, caplog):
    (tmp_path / "Occluded_Duke").mkdir()
    os.symlink(f"{root}/Occluded_Duke/query", tmp_path / "Occluded_Duke" / "query")
    gallery = tmp_path / "Occluded_Duke" / "bounding_box_test"
    shutil.copytree(f"{root}/Occluded_Duke/bounding_box_test", gallery)
    (gallery / "0007_c1_f0000001.heic").write_bytes(b"")
    with caplog.at_level(logging.WARNING, logger="fastreid"):
        build("Occluded_Duke", str(tmp_path)).show_test()
    (record,) = (record for record in caplog.records if "passed over 1" in record.getMessage())
    assert record.name.startswith("fastreid.") and "0007_c1_f0000001.heic" in record.getMessage()


def test_two_training_sets_never_share_an_identity(root):
    train = build("Occluded_Duke", root).train + build("SynthOcc", root).train
    assert CommDataset(train).num_classes == 3  # both have a person 1


def test_the_hosts_own_loaders_are_built_from_a_config(root, monkeypatch):
    monkeypatch.setattr(host_build, "_root", root)
    cfg = get_cfg()
    cfg.DATASETS.NAMES = ("Occluded_Duke",)
    cfg.SOLVER.IMS_PER_BATCH, cfg.TEST.IMS_PER_BATCH = 2, 4
    cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER.NUM_WORKERS = "TrainingSampler", 0
    train_loader = host_build.build_reid_train_loader(cfg, combineall=False)
    assert train_loader.dataset.num_classes == 2
    test_loader, num_query = host_build.build_reid_test_loader(
        cfg, dataset_name="Occluded_REID", num_workers=0
    )
    assert num_query == 1
    batch = host_build.fast_batch_collator([test_loader.dataset[i] for i in range(2)])
    assert torch.equal(batch["targets"], torch.tensor([1, 1]))
    assert torch.equal(batch["camids"], torch.tensor([0, 1]))


def test_nothing_is_listed_before_it_is_asked_for(tmp_path):
    for name in NAMES:
        for mode in ("train", "query", "gallery"):
            build(name, str(tmp_path), mode=mode)
    with pytest.raises(FileNotFoundError, match="expected:"):
        build("Occluded_Duke", str(tmp_path)).show_test()


def test_a_test_folder_alone_is_enough_to_evaluate(tmp_path, root):
    (tmp_path / "Occluded_Duke").mkdir()
    for split in ("query", "bounding_box_test"):
        os.symlink(f"{root}/Occluded_Duke/{split}", tmp_path / "Occluded_Duke" / split)
    dataset = build("Occluded_Duke", str(tmp_path))
    dataset.show_test()
    assert len(dataset.gallery) == 2


def test_a_split_is_listed_once(root):
    dataset = build("Occluded_Duke", root)
    first = dataset.query
    assert dataset.query is first


@pytest.mark.parametrize("name", FOR_TESTING_ONLY)
def test_a_dataset_for_testing_only_says_so_when_it_is_to_be_trained_on(name, root):
    message = rf"DATASETS\.NAMES={name}: expected a dataset with training images.*DATASETS\.TESTS"
    with pytest.raises(ValueError, match=message):
        build(name, root).show_train()
    with pytest.raises(ValueError, match=message):
        len(build(name, root))


@pytest.mark.parametrize(("mode", "count"), [("train", 3), ("query", 2), ("gallery", 2)])
def test_the_mode_chooses_the_split_behind_the_data(mode, count, root):
    dataset = build("Occluded_Duke", root, mode=mode)
    assert len(dataset) == count and dataset.data is getattr(dataset, mode)


def test_an_unknown_mode_is_refused_as_the_host_does(root):
    with pytest.raises(ValueError, match="Invalid mode"):
        build("Occluded_Duke", root, mode="probe")


def test_the_other_query_set_of_partial_reid_can_be_chosen(root):
    assert named(build("Partial_REID", root).query) == [("001_01.jpg", 1, 0)]
    uncropped = build("Partial_REID", root, queries="occluded_body_images")
    assert named(uncropped.query) == [("001_02.jpg", 1, 0)]
    assert named(build("Partial_REID", root).query) == [("001_01.jpg", 1, 0)]
    with pytest.raises(ValueError, match="there is only one query set"):
        build("SynthOcc", root, queries="occluded_body_images")


def test_combining_all_takes_a_file_that_is_query_and_gallery_once_and_says_so(root, caplog):
    dataset = build("Occluded_Duke", root, combineall=True)
    with caplog.at_level(logging.INFO):
        combined = dataset.train
    assert named(combined[3:]) == [
        ("0005_c1_f0000010.jpg", "occluded_duke_test_5", "occluded_duke_test_0"),
        ("0006_c1_f0000011.jpg", "occluded_duke_test_6", "occluded_duke_test_0"),
        ("0005_c4_f0000012.jpg", "occluded_duke_test_5", "occluded_duke_test_3"),
    ]
    assert "takes 1 of 2 gallery files once" in caplog.text
    assert dataset.combineall and not build("Occluded_Duke", root).combineall
    assert len(dataset.query) == 2 and len(dataset.gallery) == 2  # evaluation is as before


def test_combining_all_keeps_images_that_only_share_a_name(root):
    combined = build("Occluded_REID", root, combineall=True).train
    assert named(combined) == [
        ("001_01.tif", "occluded_reid_test_1", "occluded_reid_test_0"),
        ("001_01.tif", "occluded_reid_test_1", "occluded_reid_test_1"),
    ]


def test_combining_all_leaves_distractors_out(root):
    dataset = build("SynthOcc", root)
    assert 0 in {pid for _, pid, _ in dataset.gallery}
    dataset.combine_all()
    assert {pid for _, pid, _ in dataset.train} == {"synthocc_1", "synthocc_test_2"}


def test_importing_the_module_again_registers_nothing_twice(root):
    before = {name: DATASET_REGISTRY.get(name) for name in NAMES}
    again = importlib.reload(adapter)
    for name in NAMES:
        assert DATASET_REGISTRY.get(name) is before[name] is getattr(again, name)
        assert build(name, root).query


def test_a_new_row_is_registered_and_read_by_the_host(tmp_path, monkeypatch):
    layout = replace(adapter.LAYOUTS["Occluded_REID"], name="Night_REID", folders=("night",))
    monkeypatch.setitem(adapter.LAYOUTS, layout.name, layout)
    monkeypatch.setattr(DATASET_REGISTRY, "_obj_map", dict(DATASET_REGISTRY._obj_map))
    for split in ("query", "gallery"):
        (tmp_path / "night" / split).mkdir(parents=True)
        Image.new("RGB", (8, 16)).save(tmp_path / "night" / split / "007_01.jpg")
    importlib.reload(adapter)
    del adapter.Night_REID
    dataset = build("Night_REID", str(tmp_path))
    assert [item[1:] for item in dataset.query + dataset.gallery] == [(7, 0), (7, 1)]
    assert "Night_REID" in DATASET_REGISTRY._obj_map


def test_a_name_somebody_else_registered_stays_theirs_and_a_warning_says_so(caplog, monkeypatch):
    theirs = type("Occluded_Duke", (ImageDataset,), {"__module__": "somebody.elses"})
    monkeypatch.setitem(DATASET_REGISTRY._obj_map, "Occluded_Duke", theirs)
    ours = adapter._registered(adapter.LAYOUTS["Occluded_Duke"])
    assert DATASET_REGISTRY.get("Occluded_Duke") is theirs and issubclass(ours, ImageDataset)
    assert "Occluded_Duke is already registered by somebody.elses" in caplog.text


def test_the_names_of_fast_reids_partial_reid_project_stay_free():
    classes = DATASET_REGISTRY._obj_map.items()
    ours = {name for name, found in classes if found.__module__ == adapter.__name__}
    assert ours == {*NAMES, adapter.NAME}
    assert ours.isdisjoint({"PartialREID", "PartialiLIDS", "OccludedREID"})
