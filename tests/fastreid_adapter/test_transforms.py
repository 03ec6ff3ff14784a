"""Extra transforms at the end of the stock training pipeline."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.data import build as data_build
from fastreid.data import build_reid_train_loader
from fastreid.data.transforms import build_transforms
from PIL import Image

from fed_plugin import fastreid_adapter, transforms
from fed_plugin.fastreid_adapter import TRANSFORM_REGISTRY, datasets
from fed_plugin.fastreid_adapter.seeding import current_item
from fed_plugin.modeling import visibility_target
from fed_plugin.transforms import PeopleSet, PlacementRule


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_crops_are_decoded_no_larger_than_an_image_can_show(tmp_path, tiny_cfg):
    for name, size in (("tall", (100, 500)), ("wide", (500, 300)), ("small", (30, 20))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    keys = ("INPUT.NPO.OCCLUDERS", str(tmp_path))
    NPOAugmentation = TRANSFORM_REGISTRY.get("NPOAugmentation")
    small, tall, wide = NPOAugmentation(tiny_cfg(*keys)).occluders.sizes
    # an image is (64, 32): what is tall covers (64, 16) of it at most, what is wide (32, 32)
    assert (small, tall, wide) == ((20, 30), (80, 16), (32, 54))
    freely = ("INPUT.NPO.PLACEMENT", "free", "INPUT.NPO.HEIGHT", (0.5, 1.0))
    assert NPOAugmentation(tiny_cfg(*keys, *freely)).occluders.sizes[2] == (64, 107)
    stock = ("MODEL.META_ARCHITECTURE", "Baseline", "MODEL.BACKBONE.NAME", "build_resnet_backbone")
    stock += ("MODEL.HEADS.NAME", "EmbeddingHead")
    cropped = ("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [96, 96], *stock)
    assert NPOAugmentation(tiny_cfg(*keys, *cropped)).occluders.sizes[1] == (240, 48)


def test_the_config_builds_the_class_of_the_library(tiny_cfg, on_synthocc):
    for keys in ((), PEOPLE):
        assert type(augmentation_of(tiny_cfg(*keys))) is transforms.NPOAugmentation
    assert fastreid_adapter.NPOAugmentation is TRANSFORM_REGISTRY.get("NPOAugmentation")


def test_training_yields_two_views_and_testing_one(tiny_cfg, photo):
    cfg = tiny_cfg()
    pair = build_transforms(cfg, is_train=True)(photo)
    assert pair.shape == (2, 3, 64, 32) and not torch.equal(*pair)
    assert build_transforms(cfg, is_train=False)(photo).shape == (3, 64, 32)


def test_one_view_is_an_augmentation_for_any_method(tiny_cfg, photo):
    cfg = tiny_cfg("INPUT.NPO.VIEWS", 1, leaf="synthocc_vit_tiny_baseline")
    cfg.INPUT.EXTRA_TRANSFORMS = ("NPOAugmentation",)
    assert build_transforms(cfg, is_train=True)(photo).shape == (3, 64, 32)
    with pytest.raises(ValueError, match=r"INPUT.NPO.VIEWS=3: expected 1 or 2"):
        build_transforms(tiny_cfg("INPUT.NPO.VIEWS", 3))


def test_a_config_without_names_gets_the_stock_pipeline(tiny_cfg, photo):
    pipeline = build_transforms(tiny_cfg("INPUT.EXTRA_TRANSFORMS", ()))
    assert type(pipeline.transforms[-1]).__name__ == "ToTensor"


def test_names_of_other_projects_are_built_in_order(tiny_cfg, photo):
    class Halve:
        def __init__(self, cfg):
            self.size = cfg.INPUT.SIZE_TRAIN

        def __call__(self, image):
            return image / 2

    if "Halve" not in TRANSFORM_REGISTRY._obj_map:
        TRANSFORM_REGISTRY.register(Halve)
    cfg = tiny_cfg("INPUT.EXTRA_TRANSFORMS", ("NPOAugmentation", "Halve"))
    assert build_transforms(cfg)(photo).max() <= 127.5


def test_an_unknown_name_is_refused(tiny_cfg):
    with pytest.raises(KeyError, match="No object named 'Fog' found in 'TRANSFORM' registry"):
        build_transforms(tiny_cfg("INPUT.EXTRA_TRANSFORMS", ("Fog",)))


def test_extra_transforms_are_appended_once_and_the_loader_sees_them(tiny_cfg):
    assert data_build.build_transforms is build_transforms
    names = [type(t).__name__ for t in build_transforms(tiny_cfg()).transforms]
    assert names.count("NPOAugmentation") == 1


def test_a_probability_outside_0_to_1_is_refused_with_the_key(tiny_cfg):
    with pytest.raises(ValueError, match=r"INPUT.NPO.PROB=1.5: expected a share in \[0, 1\]"):
        build_transforms(tiny_cfg("INPUT.NPO.PROB", 1.5))


def test_an_empty_occluder_folder_is_refused_with_the_key(tiny_cfg, tmp_path):
    (tmp_path / "npo").mkdir()
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"INPUT.NPO.OCCLUDERS=.*npo: found no"
    ):
        build_transforms(tiny_cfg("INPUT.NPO.OCCLUDERS", str(tmp_path / "npo")))


def test_a_folder_of_crops_is_pasted(tiny_cfg, tmp_path, photo):
    Image.new("RGB", (20, 10), (255, 0, 255)).save(tmp_path / "magenta.png")
    cfg = tiny_cfg("INPUT.NPO.OCCLUDERS", str(tmp_path), "INPUT.CJ.ENABLED", False)
    torch.manual_seed(0)
    holistic, occluded = build_transforms(cfg)(photo)
    changed = (holistic != occluded).any(dim=0)
    rows = changed.any(dim=1).sum().item()
    assert 64 // 4 <= rows <= 64 // 2 and changed.any(dim=0).all()


FREE = ("INPUT.NPO.PLACEMENT", "free")
PEOPLE = ("INPUT.NPO.PEOPLE.PROB", 1.0)
EVERYTHING = (*FREE, "INPUT.NPO.COUNT", (1, 3), "INPUT.NPO.PEOPLE.PROB", 0.5)
SOFT = ("INPUT.NPO.ALPHA", True, "INPUT.NPO.FEATHER", 3)


@pytest.fixture
def cut_outs(tmp_path):
    """Return a folder with one disc on a transparent ground."""
    rows, columns = np.mgrid[-20:20, -15:15]
    pixels = np.zeros((40, 30, 4), dtype=np.uint8)
    pixels[..., :3] = np.random.default_rng(0).integers(0, 256, (40, 30, 3))
    pixels[..., 3] = 255 * ((rows / 20) ** 2 + (columns / 15) ** 2 < 1)
    (tmp_path / "cut_outs").mkdir()
    Image.fromarray(pixels).save(tmp_path / "cut_outs" / "disc.png")
    return str(tmp_path / "cut_outs")


def first_batches(cfg, count=2):
    stream = iter(build_reid_train_loader(cfg))
    return [next(stream) for _ in range(count)]


def augmentation_of(cfg):
    return build_transforms(cfg).transforms[-1]


def test_the_keys_of_the_config_reach_the_augmentation(tiny_cfg, on_synthocc, cut_outs):
    keys = {
        "PROB": 0.5,
        "PLACEMENT": "free",
        "HEIGHT": (0.1, 0.2),
        "WIDTH": (0.3, 0.4),
        "COUNT": (2, 5),
        "FEATHER": 7,
        "PEOPLE.PROB": 0.25,
        "PEOPLE.SCALE": (1.0, 2.0),
        "PEOPLE.HEIGHT": (0.5, 0.6),
        "PEOPLE.WIDTH": (0.7, 0.8),
        "OCCLUDERS": cut_outs,
        "ALPHA": True,
    }
    cfg = tiny_cfg(*(item for key, value in keys.items() for item in (f"INPUT.NPO.{key}", value)))
    augment = augmentation_of(cfg)
    assert augment.rule == PlacementRule(
        "free", (0.1, 0.2), (0.3, 0.4), (2, 5), 0.25, (1.0, 2.0), (0.5, 0.6), (0.7, 0.8)
    )
    assert (augment.probability, augment.feather) == (0.5, 7)
    assert augment.occluders.alpha(0) is not None
    assert augment.people.path(0).startswith(str(on_synthocc))


def test_without_keys_it_is_the_reference_and_lists_no_people(tiny_cfg):
    augment = augmentation_of(tiny_cfg())
    assert augment.rule.is_reference and augment.feather == 0 and augment.people is None


def test_the_defaults_of_the_keys_are_those_of_the_rule(tiny_cfg):
    assert augmentation_of(tiny_cfg()).rule == PlacementRule()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("PLACEMENT", "anywhere", "expected one of 'reference', 'free'"),
        ("HEIGHT", (0.1, 0.2), "try placement 'free'"),
        ("COUNT", (0, 1), "expected .low, high., whole numbers"),
        ("FEATHER", -2, "expected 0 or more pixels"),
        ("PEOPLE.PROB", 2.0, r"expected a share in \[0, 1\]"),
        ("PEOPLE.SCALE", (0.0, 1.0), "with 0 < low <= high <= 4"),
    ],
)
def test_a_key_outside_its_range_is_refused_before_any_file_is_read(tiny_cfg, key, value, expected):
    cfg = tiny_cfg("INPUT.NPO.OCCLUDERS", "not/there", f"INPUT.NPO.{key}", value)
    with pytest.raises(ValueError, match=rf"^INPUT\.NPO\.{key}=.*: .*{expected}"):
        build_transforms(cfg)


def test_people_of_the_loader_are_always_others(tiny_cfg, on_synthocc, monkeypatch):
    drawn = []
    cut = PeopleSet.cut

    def noting(people, placement):
        drawn.append((current_item().path, people.path(placement.person)))
        return cut(people, placement)

    monkeypatch.setattr(PeopleSet, "cut", noting)
    first_batches(tiny_cfg(*PEOPLE), 4)
    assert len(drawn) == 32
    assert all(Path(own).name[:4] != Path(other).name[:4] for own, other in drawn)
    assert len({other for _, other in drawn}) > 10


def test_people_are_those_who_are_trained_on_queries_and_gallery_included(tiny_cfg, on_synthocc):
    everybody = {}
    for combined in (False, True):
        cfg = tiny_cfg(*PEOPLE, "DATASETS.COMBINEALL", combined)
        loader = build_reid_train_loader(cfg, combineall=combined)
        everybody[combined] = {pid for _, pid, _ in loader.dataset.img_items}
        assert set(augmentation_of(cfg).people.pids) == everybody[combined]
    assert everybody[False] < everybody[True]


def test_people_of_own_data_are_found_outside_of_a_loader(tiny_cfg, synthocc_root):
    keys = ("NAME", "mine", "ROOT", str(synthocc_root / "SynthOcc"))
    own = [word if at % 2 else f"DATASETS.FOLDER_REID.{word}" for at, word in enumerate(keys)]
    cfg = tiny_cfg(*PEOPLE, "DATASETS.NAMES", ("FolderReID",), *own)
    assert all(pid.startswith("mine_") for pid in augmentation_of(cfg).people.pids)


def test_people_outside_of_a_loader_are_refused_with_the_key(tiny_cfg, on_synthocc, photo):
    pipeline = build_transforms(tiny_cfg(*PEOPLE))
    with pytest.raises(ValueError, match=r"INPUT.NPO.PEOPLE.PROB=1.0: .* whose image it is") as no:
        pipeline(photo)
    assert not tiny_cfg(*advice_of(no)).INPUT.NPO.PEOPLE.PROB


def advice_of(refusal):
    """Return the key and the value that a message advises to try."""
    return str(refusal.value).rpartition("; try ")[2].split()


def test_people_of_one_identity_only_are_refused_with_the_key(tiny_cfg, on_synthocc, monkeypatch):
    items = [("a.jpg", "synthocc_1", "synthocc_0")]
    monkeypatch.setattr(datasets.SynthOcc, "train", items)
    with pytest.raises(ValueError, match=r"INPUT.NPO.PEOPLE.PROB: .* two identities or more") as no:
        build_transforms(tiny_cfg(*PEOPLE))
    assert not tiny_cfg(*advice_of(no)).INPUT.NPO.PEOPLE.PROB


def test_an_unreadable_person_reaches_the_user_by_name(
    tiny_cfg, on_synthocc, monkeypatch, tmp_path
):
    loader = build_reid_train_loader(tiny_cfg(*PEOPLE))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"hello")
    monkeypatch.setattr(PeopleSet, "path", lambda people, index: str(broken))
    with pytest.raises(Exception, match=r"PEOPLE.PROB: cannot read .*broken.jpg"):
        next(iter(loader))


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_at_once_is_the_same_for_any_number_of_workers(
    tiny_cfg, on_synthocc, cut_outs, workers
):
    runs = []
    for count in (0, workers):
        keys = (*EVERYTHING, *SOFT, "INPUT.NPO.OCCLUDERS", cut_outs)
        cfg = tiny_cfg("SEED", 3, "DATALOADER.NUM_WORKERS", count, *keys)
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        runs.append(first_batches(cfg, 3))
    for one, other in zip(*runs, strict=True):
        assert one["img_paths"] == other["img_paths"]
        assert torch.equal(one["images"], other["images"])


def test_only_paths_travel_to_a_spawned_worker(tiny_cfg, on_synthocc):
    with_people = augmentation_of(tiny_cfg(*PEOPLE))
    with_people.draw(64, 32, pid=with_people.people.pids[0])
    packed = pickle.dumps(with_people)
    again = pickle.loads(packed)
    assert len(packed) < 20_000 and len(again.people) == len(with_people.people)
    assert again.rule == with_people.rule


@pytest.mark.parametrize(
    "keys", [(), FREE, SOFT, (*FREE, *SOFT), PEOPLE, (*EVERYTHING, *SOFT)], ids=str
)
def test_the_coverage_target_is_what_the_mask_leaves_visible(tiny_cfg, on_synthocc, cut_outs, keys):
    augment = augmentation_of(tiny_cfg("INPUT.NPO.OCCLUDERS", cut_outs, *keys))
    pid = augment.people.pids[0] if augment.people else None
    noise = torch.rand(3, 64, 32, generator=torch.Generator().manual_seed(1))
    image = noise * 200 + 20.37  # no whole grey level
    partly = 0
    for seed in range(12):
        placements = augment.draw(64, 32, torch.Generator().manual_seed(seed), pid)
        views, mask = augment.apply(image, placements)
        target = visibility_target(views[:1], views[1:], num_parts=4, rule="coverage")[0]
        visible = 1 - mask.float().reshape(4, -1).mean(dim=1)
        assert torch.allclose(target, visible, atol=1e-6)
        hard = visibility_target(views[:1], views[1:], num_parts=4)[0]
        assert (hard[visible == 1] == 1).all()
        partly += bool(((visible > 0) & (visible < 1)).any())
    assert partly
