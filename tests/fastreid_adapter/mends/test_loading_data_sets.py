"""The host's data sets: file names without folders, people without junk, lists by the seed."""

from __future__ import annotations

import json
import logging
import random
import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.evaluation import ReidEvaluator
from PIL import Image

from fed_plugin.fastreid_adapter import training
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.extract import dump_test_set
from fed_plugin.fastreid_adapter.loaders import as_current, query_and_gallery
from fed_plugin.fastreid_adapter.mends.evaluator import OWN_PHOTOS
from fed_plugin.fastreid_adapter.seeding import drawn_under
from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.evaluation import evaluate_dump

MARKET = [
    f"Market-1501-v15.09.15/{s}" for s in ("bounding_box_train", "query", "bounding_box_test")
]
DUKE = [f"DukeMTMC-reID/{s}" for s in ("bounding_box_train", "query", "bounding_box_test")]
VERI = [f"veri/{s}" for s in ("image_train", "image_query", "image_test")]


@pytest.fixture(params=["run_12_c3", "7_c9", "-1_c1", "plain"])
def plant(tmp_path, request):
    """Write empty files into folders below a folder that looks like a name."""
    root = tmp_path / request.param / "sets_0004_c5"

    def write(folders, *names):
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
            for name in names:
                (root / folder / name).write_bytes(b"")
        return str(root)

    return write


SETS = [
    ("Market1501", MARKET, ["0002_c1s1_000451_03.jpg", "0007_c2s1_000451_03.jpg"]),
    ("DukeMTMC", DUKE, ["0002_c1_f0046182.jpg", "0007_c2_f0046183.jpg"]),
    ("VeRi", VERI, ["0002_c001_00030600_0.jpg", "0007_c002_00030600_0.jpg"]),
]


@pytest.mark.parametrize(("name", "folders", "files"), SETS, ids=[row[0] for row in SETS])
def test_the_folders_above_are_no_part_of_a_name(plant, name, folders, files):
    dataset = DATASET_REGISTRY.get(name)(root=plant(folders, *files))
    assert sorted(item[1:] for item in dataset.query) == [(2, 0), (7, 1)]
    assert sorted(item[1:] for item in dataset.gallery) == [(2, 0), (7, 1)]
    prefix = dataset.dataset_name
    train = {(f"{prefix}_2", f"{prefix}_0"), (f"{prefix}_7", f"{prefix}_1")}
    assert {tuple(item[1:]) for item in dataset.train} == train


def test_cuhk_sysu_is_read_by_base_names_too(plant):
    root = plant(["p9_s1/../cuhk_sysu/cropped_images"], "p11422_s16929_1.jpg")
    train = DATASET_REGISTRY.get("cuhkSYSU")(root=root).train
    assert [item[1] for item in train] == ["cuhksysu_11422"]


PARTIAL = """
import glob, os, re
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset

def read(folder):
    pattern = re.compile(r"([-\\d]+)_(\\d*)")
    found = []
    for path in glob.glob(os.path.join(folder, "*.jpg")):
        pid, camid = map(int, pattern.search(path).groups())
        found.append([path, pid, camid])
    return found

class ProbePartial(ImageDataset):
    def __init__(self, root="datasets"):
        super().__init__([], read(os.path.join(root, "a")), read(os.path.join(root, "b")))

DATASET_REGISTRY.register(ProbePartial)
"""


def test_a_project_of_the_host_that_is_registered_later_is_mended_too(plant, monkeypatch):
    monkeypatch.setattr(DATASET_REGISTRY, "_obj_map", dict(DATASET_REGISTRY._obj_map))
    module = ModuleType("partialreid.probe")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(PARTIAL, "probe.py", "exec"), vars(module))
    root = plant(["a", "b"], "001_02.jpg", "003_04.jpg")
    assert sorted(item[1:] for item in module.ProbePartial(root).query) == [[1, 2], [3, 4]]
    plant(["a"], "005.jpg")
    with pytest.raises(ValueError, match=r"ProbePartial: .*a/005\.jpg: expected a file name with"):
        module.ProbePartial(root)


@pytest.mark.parametrize(
    ("name", "folders", "file", "words"),
    [
        (
            "Market1501",
            MARKET,
            "1800_c1s1_000451_03.jpg",
            "expected 0 <= pid <= 1501, got pid = 18",
        ),
        (
            "Market1501",
            MARKET,
            "0002_c9s1_000451_03.jpg",
            "expected 1 <= camid <= 6, got camid = 9",
        ),
        ("Market1501", MARKET, "holiday.jpg", "expected a file name with an identity"),
        ("DukeMTMC", DUKE, "0002_c9_f0046182.jpg", "expected 1 <= camid <= 8, got camid = 9"),
        ("VeRi", VERI, "0900_c001_00030600_0.jpg", "expected 0 <= pid <= 776, got pid = 900"),
    ],
)
def test_an_unexpected_file_is_named_with_its_data_set(plant, name, folders, file, words):
    root = plant(folders, file)
    with pytest.raises(ValueError, match=rf"^{name}: .*{file}: {words}.*; try "):
        assert DATASET_REGISTRY.get(name)(root=root).query


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0000042 x", "ValueError: .*'x'.*line = '0000042 x'"),
        ("0000042", "IndexError: .*line = '0000042'"),
        ("image 7", "ValueError: .*'image'.*imgid = 'image'"),
    ],
)
def test_a_line_that_the_host_cannot_read_is_named_with_its_data_set(tmp_path, line, words):
    lists = tmp_path / "vehicleid" / "train_test_split"
    lists.mkdir(parents=True)
    (tmp_path / "vehicleid" / "image").mkdir()
    for name in ("train_list.txt", "test_list_800.txt"):
        (lists / name).write_text(line)
    with pytest.raises(
        ValueError, match=rf"^SmallVehicleID: {line}: expected .*, got {words}.*; try "
    ):
        DATASET_REGISTRY.get("SmallVehicleID")(root=str(tmp_path))


def test_errors_of_other_code_are_not_reworded(register):
    def construct(self, root="", **kwargs):
        raise ValueError("my own words")

    with pytest.raises(ValueError, match=r"^my own words$"):
        register("Worded", construct)()


# Data sets of other projects: junk, copies, and lists that are drawn.

PEOPLE, PHOTOS = 6, 3


@pytest.fixture
def register(monkeypatch):
    monkeypatch.setattr(DATASET_REGISTRY, "_obj_map", dict(DATASET_REGISTRY._obj_map))

    def make(name, construct):
        made = type(name, (ImageDataset,), {"__init__": construct, "dataset_name": name})
        DATASET_REGISTRY.register(made)
        return made

    return make


@pytest.fixture
def photos(tmp_path):
    """Different pictures of noise: (path, pid)."""
    draw, items = np.random.default_rng(0), []
    for place in range(PEOPLE * PHOTOS):
        path = tmp_path / f"{place}.jpg"
        Image.fromarray(draw.integers(0, 255, (64, 32, 3), dtype=np.uint8)).save(path)
        items.append((str(path), place // PHOTOS))
    return items


@pytest.fixture
def cfg(tmp_path):
    def make(name, *words):
        options = ["DATASETS.TESTS", f"('{name}',)", "MODEL.DEVICE", "cpu", "OUTPUT_DIR"]
        sizes = ["MODEL.HEADS.NUM_CLASSES", "5", "DATALOADER.NUM_WORKERS", "0"]
        words = [*options, str(tmp_path / "out"), *sizes, *words]
        return read_config("configs/FED/synthocc_vit_tiny_baseline.yml", words)

    return make


def with_junk(split, mark=-1):
    def construct(self, root="", **kwargs):
        lists = {
            "train": [("a.jpg", "x_1", "x_0"), ("b.jpg", "x_2", "x_0")],
            "query": [("q.jpg", 1, 0), ("r.jpg", 2, 0)],
            "gallery": [("g.jpg", 1, 1), ("h.jpg", 0, 1)],
        }
        pid = "x_-1" if split == "train" else mark
        lists[split].append(("junk.jpg", pid, 1))
        ImageDataset.__init__(self, *lists.values(), **kwargs)

    return construct


def test_junk_is_nobody_in_training_and_gallery_and_no_query(register, caplog):
    for split in ("train", "gallery"):
        with caplog.at_level(logging.INFO, logger="fastreid"):
            dataset = register(f"Junk{split}", with_junk(split))()
            assert len(getattr(dataset, split)) == 2
        assert getattr(dataset, split) is getattr(dataset, split)
        assert f"1 detections of nobody (identity -1) are left out of {split}" in caplog.text
        combined = type(dataset)(combineall=True).train
        assert len(combined) == 6 and not any("-1" in str(item[1]) for item in combined)
    with pytest.raises(ValueError, match=r"Junkquery: 1 of 3 queries have identity -1.*junk\.jpg"):
        assert register("Junkquery", with_junk("query"))().query


@pytest.mark.parametrize("mark", [-1.0, np.float64(-1), np.int32(-1), "-1", "-1.0"])
def test_junk_is_nobody_in_every_spelling(register, mark):
    name = f"Junk{type(mark).__name__}{mark}"
    assert len(register(name, with_junk("gallery", mark))().gallery) == 2


def copies(items, gallery_camid=1):
    def construct(self, root="", **kwargs):
        query = [(path, pid, 0) for path, pid in items]
        gallery = [(path, pid, gallery_camid) for path, pid in items]
        ImageDataset.__init__(self, [], query, gallery, **kwargs)

    return construct


def stock_numbers(cfg, name, features):
    """Let the host's evaluator and loader rank given descriptors."""
    loader, queries = build.build_reid_test_loader(cfg, dataset_name=name)
    evaluator = ReidEvaluator(cfg, queries)
    rows = iter(torch.as_tensor(features, dtype=torch.float32))

    class Model(torch.nn.Module):
        def forward(self, batch):
            return torch.stack([next(rows) for _ in batch["img_paths"]])

    from fastreid.evaluation import inference_on_dataset

    return inference_on_dataset(Model(), loader, evaluator)


def test_one_list_as_query_and_gallery_scores_by_chance_in_the_hosts_evaluation_and_in_a_dump(
    register, photos, cfg, caplog
):
    register("SameList", copies(photos))
    features = np.random.default_rng(1).normal(size=(len(photos), 16))
    numbers = stock_numbers(cfg("SameList"), "SameList", np.concatenate([features, features]))
    assert numbers["Rank-1"] < 60 and "18 of 18 queries are gallery images, too" in caplog.text
    assert OWN_PHOTOS.get() == ()
    (card,) = (json.loads(p.read_text()) for p in find_cards(cfg("SameList")))
    assert card["query_in_gallery"] == "18 of 18 queries, left out of their own rankings"

    dump = dump_test_set(cfg("SameList", "MODEL.WEIGHTS", "untrained"), "SameList", {})
    assert len(dump.own_photos) == 18
    assert evaluate_dump(dump).metrics["Rank-1"].value < 60
    assert card_of_dump(dump, "cosine").query_in_gallery == card["query_in_gallery"]
    again = stock_numbers(cfg("SameList"), "SameList", dump.features)
    assert again["Rank-1"] == pytest.approx(evaluate_dump(dump).metrics["Rank-1"].value)
    assert again["mAP"] == pytest.approx(evaluate_dump(dump).metrics["mAP"].value, abs=1e-3)


def find_cards(cfg):
    from pathlib import Path

    return list(Path(cfg.OUTPUT_DIR).rglob("cards/*.json"))


def test_copies_in_another_folder_are_seen_and_other_photos_of_one_name_are_not(
    register, photos, cfg, tmp_path
):
    for name, same in (("Copied", True), ("Named", False)):
        folder, twins = tmp_path / name, []
        folder.mkdir()
        for place, (path, pid) in enumerate(photos):
            twin = folder / f"{place}.jpg"
            if same:
                twin = folder / f"other_{place}.jpg"
                shutil.copy(path, twin)
            else:
                with Image.open(path) as image:
                    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(twin)
            twins.append((str(twin), pid))

        def construct(self, root="", twins=twins, **kwargs):
            query = [(path, pid, 0) for path, pid in photos]
            gallery = [(path, pid, 1) for path, pid in twins]
            ImageDataset.__init__(self, [], query, gallery, **kwargs)

        register(name, construct)
        dump = dump_test_set(cfg(name, "MODEL.WEIGHTS", "untrained"), name, {})
        assert len(dump.own_photos) == (18 if same else 0)


def shuffled(lazy):
    def construct(self, root="", **kwargs):
        def halves():
            items = [(f"{place}.jpg", place % 5, place) for place in range(40)]
            random.shuffle(items)
            order = torch.randperm(40).tolist()
            np.random.shuffle(order)
            return [items[place] for place in order]

        if lazy:
            lists = (lambda: [], lambda: halves()[:20], lambda: halves()[20:])
        else:
            everything = halves()
            lists = ([], everything[:20], everything[20:])
        ImageDataset.__init__(self, *lists, **kwargs)

    return construct


@pytest.mark.parametrize("lazy", [False, True])
def test_a_data_set_that_is_drawn_follows_the_seed_and_leaves_the_streams(register, cfg, lazy):
    name = f"Drawn{lazy}"
    register(name, shuffled(lazy))

    def lists(*words):
        random.seed(), np.random.seed(None), torch.seed()  # as another process
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        found = query_and_gallery(cfg(name, *words), name)
        assert random.getstate() == before[0] and np.random.get_state()[1].tolist() == before[1]
        assert torch.equal(torch.get_rng_state(), before[2])
        assert not set(found[0]) & set(found[1])
        return found, drawn_under(name)

    assert lists("SEED", "3") == lists("SEED", "3") and lists("SEED", "3")[1] == 3
    assert lists("SEED", "4")[0] != lists("SEED", "3")[0]
    assert lists("SEED", "-1") == lists("SEED", "0") == lists("SEED", "-5")
    with as_current(None):
        dataset = DATASET_REGISTRY.get(name)()
    assert (dataset.query, dataset.gallery) == lists("SEED", "0")[0]


def test_an_evaluation_alone_takes_the_lists_of_its_training(register, cfg, tmp_path, monkeypatch):
    register("DrawnLater", shuffled(True))
    (tmp_path / "config.yaml").write_text("SEED: 7\n")
    weights = str(tmp_path / "model_final.pth")
    monkeypatch.setattr(training, "Checkpointer", lambda model: SimpleNamespace(load=print))
    monkeypatch.setattr(training.DefaultTrainer, "test", lambda cfg, model: cfg.SEED)
    for words, seed in (("SEED", "-1"), 7), (("SEED", "3"), 3):
        one = cfg("DrawnLater", "MODEL.WEIGHTS", weights, *words)
        assert training._evaluate(one) == seed


def test_the_hosts_vehicleid_is_one_list_for_training_loader_and_dump_and_the_card_says_its_seed(
    photos, cfg, tmp_path, monkeypatch
):
    lists = tmp_path / "vehicleid" / "train_test_split"
    lists.mkdir(parents=True)
    shutil.copytree(tmp_path, tmp_path / "vehicleid" / "image", ignore=lambda *_: {"vehicleid"})
    rows = [f"{place} {pid}" for place, (_, pid) in enumerate(photos)]
    (lists / "train_list.txt").write_text("\n".join(rows))
    (lists / "test_list_800.txt").write_text("\n".join(rows))
    monkeypatch.setattr(build, "_root", str(tmp_path))
    name = "SmallVehicleID"
    found = []
    for noise in range(3):
        random.seed(noise)
        loader, queries = build.build_reid_test_loader(cfg(name, "SEED", "7"), dataset_name=name)
        found.append([item[0] for item in loader.dataset.img_items[:queries]])
    assert found[0] == found[1] == found[2]
    trained = tmp_path / "run" / "model_final.pth"
    trained.parent.mkdir()
    (trained.parent / "config.yaml").write_text("SEED: 7\n")
    plain = cfg(name, "MODEL.WEIGHTS", str(trained), "SEED", "-1")
    from fed_plugin.fastreid_adapter.extract import load_trained, with_the_trainings_seed

    torch.save(
        {"model": load_trained(cfg(name, "MODEL.WEIGHTS", "untrained")).model.state_dict()}, trained
    )
    assert with_the_trainings_seed(plain).SEED == 7 and plain.SEED == -1
    dump = dump_test_set(plain, name, {})
    assert [f"{n}" for n in dump.names[dump.query]] == [path.split("/")[-1] for path in found[0]]
    assert card_of_dump(dump, "cosine").dataset == "SmallVehicleID, lists drawn with seed 7"
    assert drawn_under("Market1501") is None
