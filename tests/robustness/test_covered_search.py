from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.data import build
from fastreid.data.common import CommDataset
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.data.transforms import build_transforms
from PIL import Image

from fed_plugin.fastreid_adapter.extract import dump_test_set, load_trained
from fed_plugin.retrieval.distances import cosine_distance
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.protocol_card import ProtocolCard, protocol_differences
from fed_plugin.retrieval.ranking import rank
from fed_plugin.robustness.covered_search import example_query, measure_robustness, plan_queries
from fed_plugin.robustness.occlusion import RobustnessSettings
from fed_plugin.transforms import drawn_occluders

FED, BASELINE = "synthocc_vit_tiny", "synthocc_vit_tiny_baseline"
RESNET = [
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
    *("MODEL.BACKBONE.NORM", "BN", "MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.BACKBONE.LAST_STRIDE", 1),
    *("MODEL.BACKBONE.WITH_IBN", False, "MODEL.BACKBONE.PRETRAIN", False),
    *("MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.HEADS.NUM_CLASSES", 0),
]
QUICK = RobustnessSettings(visible_shares=(0.75, 0.25))


@pytest.fixture
def as_market(synthocc_root, tmp_path, monkeypatch):
    """Let the host find SynthOcc tiny under the name and in the folders of Market-1501."""
    (tmp_path / "Market-1501-v15.09.15").symlink_to(synthocc_root / "SynthOcc")
    monkeypatch.setattr(build, "_root", str(tmp_path))


@pytest.fixture
def grey_folder(tmp_path):
    (tmp_path / "grey").mkdir()
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "grey" / "wall.png")
    return str(tmp_path / "grey")


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("leaf", "overrides"), [(FED, []), (BASELINE, []), (BASELINE, RESNET)])
def test_whole_queries_get_the_numbers_of_the_evaluation(
    tiny_cfg, as_market, leaf, overrides, flip
):
    cfg = tiny_cfg("SEED", 3, "TEST.FLIP.ENABLED", flip, *overrides, leaf=leaf)
    curve = measure_robustness(
        cfg, "Market1501", RobustnessSettings((0.5,), ("objects",), per_identity=6), "mine"
    )
    expected = evaluate_dump(dump_test_set(cfg, "Market1501", {}))
    assert set(curve.per_query.names) == set(expected.queries.names)
    for name in ("Rank-1", "mAP"):
        assert curve.whole[name].value == pytest.approx(expected.metrics[name].value, abs=1e-3)
    assert curve.queries.startswith("6 queries of the set")


def test_no_query_finds_its_own_photo(tiny_cfg, on_synthocc, monkeypatch):
    monkeypatch.setattr(DATASET_REGISTRY, "_obj_map", dict(DATASET_REGISTRY._obj_map))
    whole = DATASET_REGISTRY.get("SynthOcc")(root=str(on_synthocc)).gallery
    items = [item for item in whole if item[1]]

    class Twice(ImageDataset):
        def __init__(self, root="", **kwargs):
            query, gallery = ([(p, pid, camid) for p, pid, _ in items] for camid in (0, 1))
            super().__init__([], query, gallery, **kwargs)

    DATASET_REGISTRY.register(Twice)
    cfg = tiny_cfg("SEED", 3, leaf=BASELINE)
    settings = RobustnessSettings((0.5,), ("objects",), queries=1000, per_identity=1000)
    curve = measure_robustness(cfg, "Twice", settings, "mine")
    dump = dump_test_set(cfg, "Twice", {})
    rows = dump.query[np.isin(dump.names[dump.query], curve.per_query.names)]
    distances = cosine_distance(dump.features[rows], dump.features[dump.gallery])
    expected = rank(distances, *dump.labels(rows))
    assert curve.whole["mAP"].value == pytest.approx(100 * expected.mAP, abs=1e-3) != 100
    assert "left out of their own rankings" in curve.card["query_in_gallery"]


@pytest.mark.parametrize(("side", "rows"), [("left", np.s_[:, :16]), ("bottom", np.s_[32:])])
def test_a_level_is_what_a_slow_evaluation_of_pasted_pixels_finds(
    tiny_cfg, on_synthocc, grey_folder, side, rows
):
    cfg = tiny_cfg("SEED", 3, leaf=BASELINE)
    settings = RobustnessSettings((0.5,), ("objects",), queries=10, occluders=grey_folder)
    curve = measure_robustness(cfg, "SynthOcc", settings, "mine")
    chosen = plan_queries(cfg, "SynthOcc", settings).chosen
    model, pipeline = load_trained(cfg).model, build_transforms(cfg, is_train=False)

    def describe(items, paste):
        features = []
        for entry in CommDataset(items, pipeline, relabel=False):
            image = entry["images"].permute(1, 2, 0).clone()  # (H, W, 3)
            if paste:
                image[rows] = 90
            with torch.no_grad():
                features.append(model({"images": image.permute(2, 0, 1)[None]}))
        return torch.cat(features)

    distances = cosine_distance(describe(chosen.queries, True), describe(chosen.gallery, False))
    ids = [
        np.array([one[k] for one in s]) for k in (1, 2) for s in (chosen.queries, chosen.gallery)
    ]
    slow = rank(distances, *ids)
    (level,) = [one for one in curve.levels if one.side == side]
    assert level.metrics["mAP"].value == pytest.approx(100 * slow.mAP, abs=1e-3)
    assert level.metrics["Rank-1"].value == pytest.approx(100 * slow.rank1)


def test_gallery_images_are_searched_with_where_the_queries_are_occluded(tiny_cfg, on_synthocc):
    cfg = tiny_cfg(leaf=BASELINE)
    curve = measure_robustness(cfg, "SynthOcc", QUICK, "mine")
    gallery = {path.name for path in (on_synthocc / "SynthOcc" / "bounding_box_test").iterdir()}
    assert set(curve.per_query.names) <= gallery
    assert curve.queries.startswith(f"{len(curve.per_query.names)} gallery images against the")


def test_the_same_pixels_come_for_every_method_of_one_input_size(tiny_cfg, on_synthocc):
    settings = RobustnessSettings(visible_shares=(0.5,))
    found = []
    for cfg in (tiny_cfg(), tiny_cfg("TEST.IMS_PER_BATCH", 3, "SEED", 9, leaf=BASELINE)):
        name, query = example_query(cfg, "SynthOcc", settings)
        pictures = [
            query.cover(kind, side, 0.5, range(1))
            for kind in settings.kinds
            for side in ("left", "right", "top", "bottom")
        ]
        found.append((name, np.concatenate(pictures)))
    assert found[0][0] == found[1][0] and np.array_equal(found[0][1], found[1][1])
    assert len({picture.tobytes() for picture in found[0][1]}) == 8


def test_a_batch_of_another_size_finds_the_same(tiny_cfg, on_synthocc):
    curves = [
        measure_robustness(
            tiny_cfg("SEED", 3, "TEST.IMS_PER_BATCH", size, leaf=BASELINE), "SynthOcc", QUICK, "a"
        )
        for size in (5, 128)
    ]
    for metric in ("Rank-1", "mAP"):
        one, other = (curve.per_query.percentages(metric) for curve in curves)
        np.testing.assert_allclose(one, other, atol=0.01)


def test_people_are_gallery_images_of_others(tiny_cfg, on_synthocc):
    plan = plan_queries(tiny_cfg(), "SynthOcc", RobustnessSettings())
    gallery = {path: pid for path, pid, _ in plan.chosen.gallery}
    assert set(plan.people) == {"left", "right", "top", "bottom"}
    for paths in plan.people.values():
        for path, (_, pid, _) in zip(paths, plan.chosen.queries, strict=True):
            assert gallery[path] not in (pid, 0)
    assert plan_queries(tiny_cfg(), "SynthOcc", RobustnessSettings(kinds=("objects",))).people == {}


def test_the_drawn_set_of_tests_shares_no_crop_with_the_one_trained_with():
    trained_with = {crop.tobytes() for crop in drawn_occluders()}
    tested_with = {crop.tobytes() for crop in RobustnessSettings().load_occluders()}
    assert len(tested_with) == 120 and not trained_with & tested_with


def test_the_card_keeps_it_apart_from_the_plain_set_and_from_other_settings(
    tiny_cfg, on_synthocc, grey_folder
):
    cfg = tiny_cfg(leaf=BASELINE)
    plain = ProtocolCard.from_json(dump_test_set(cfg, "SynthOcc", {}).about["card"])
    cards = [
        ProtocolCard.from_json(measure_robustness(cfg, "SynthOcc", settings, "a").card)
        for settings in (
            RobustnessSettings((0.5,), ("objects",)),
            RobustnessSettings((0.5,), ("objects",), occluders=grey_folder),
            RobustnessSettings((0.5,), ("objects",), seed=1),
            RobustnessSettings((0.25,), ("objects",)),
            RobustnessSettings((0.5,), ("objects",)),
        )
    ]
    assert "dataset" in {one.field for one in protocol_differences(plain, cards[0])}
    for other in cards[1:4]:
        assert [one.field for one in protocol_differences(cards[0], other)] == ["dataset"]
    assert protocol_differences(cards[0], cards[4]) == []
    assert str(Path(grey_folder).parent) not in str(cards[1])  # no path of this machine


def test_progress_counts_images_to_the_end(tiny_cfg, on_synthocc):
    said = []
    settings = RobustnessSettings((0.5,), ("people",), queries=4)
    cfg = tiny_cfg("TEST.IMS_PER_BATCH", 10, leaf=BASELINE)
    measure_robustness(cfg, "SynthOcc", settings, "a", lambda *numbers: said.append(numbers))
    assert said[-1] == (22 + 4 * 5, 22 + 4 * 5)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"visible_shares": (0.5, 0.75)}, "--visible 0.5 0.75: expected shares between 0 and 1"),
        ({"visible_shares": (1.0, 0.5)}, "--visible"),
        ({"visible_shares": ()}, "--visible"),
        ({"kinds": ("cars",)}, "--kinds cars: expected some of objects, people"),
        ({"kinds": ()}, "--kinds"),
        ({"seed": -1}, "--seed -1: expected 0 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RobustnessSettings(**wrong)


def test_a_distance_that_is_none_is_refused_before_anything_is_read(tiny_cfg):
    cfg = tiny_cfg("TEST.METRIC", "jaccard", leaf=BASELINE)
    with pytest.raises(ValueError, match=r"TEST\.METRIC='jaccard': expected cosine or euclidean"):
        measure_robustness(cfg, "nowhere", QUICK, "mine")
