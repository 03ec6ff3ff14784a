"""Photos in, the evaluation's own descriptors out."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer
from PIL import Image

from fed_plugin import Embedder
from fed_plugin.fastreid_adapter import embedder as embedder_module
from fed_plugin.fastreid_adapter.embedder import BrokenPhotoError
from fed_plugin.fastreid_adapter.extract import describe_test_set


@pytest.fixture
def trained(tiny_cfg, tmp_path):
    """Save a config and weights of its model: ``trained(*overrides, leaf=...)`` -> (cfg, words)."""

    def make(*overrides, leaf="synthocc_vit_tiny"):
        cfg = tiny_cfg(*overrides, leaf=leaf)
        torch.manual_seed(0)
        Checkpointer(DefaultTrainer.build_model(cfg), str(tmp_path)).save("model_final")
        (tmp_path / "config.yaml").write_text(cfg.dump())
        cfg.MODEL.WEIGHTS = str(tmp_path / "model_final.pth")
        return cfg, (tmp_path / "config.yaml", tmp_path / "model_final.pth", "cpu")

    return make


@pytest.fixture
def photos():
    """Seven drawn photos of different sizes, RGB."""
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (60 + 9 * i, 31 + 4 * i, 3), np.uint8) for i in range(7)]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"])
def test_descriptors_are_those_of_the_evaluation(trained, on_synthocc, leaf, flip):
    cfg, words = trained("TEST.FLIP.ENABLED", flip, leaf=leaf)
    expected = describe_test_set(cfg, "SynthOcc")
    said = Embedder(*words)(expected.paths)
    lengths = np.linalg.norm(expected.features, axis=1, keepdims=True)
    assert np.abs(said.descriptors - expected.features / lengths).max() < 1e-6
    assert np.abs(np.linalg.norm(said.descriptors, axis=1) - 1).max() < 1e-5
    assert (said.visibility is None) == (expected.visibility is None)
    if said.visibility is not None:
        assert np.array_equal(said.visibility, expected.visibility)
    assert np.ptp(said.descriptors, axis=0).max() > 1e-3  # not one row again and again


def test_every_way_to_hold_a_photo_gives_the_same_bits(trained, photos, tmp_path):
    embed = Embedder(*trained()[1])
    path = tmp_path / "photo.png"
    Image.fromarray(photos[0]).save(path)
    bgr = cv2.imread(str(path))
    expected = embed(photos[0]).descriptors
    assert expected.shape[0] == 1
    for photo in (str(path), path, Image.open(path), bgr[..., ::-1], photos[0][None], [path]):
        assert np.array_equal(embed(photo).descriptors, expected)
    assert not np.array_equal(embed(bgr).descriptors, expected)
    grey = photos[0][..., 0]
    assert np.array_equal(embed(grey).descriptors, embed(np.dstack([grey, grey, grey])).descriptors)


def test_iterators_are_read_batch_by_batch_and_progress_is_told(trained, photos):
    embed = Embedder(*trained()[1], batch_size=3)
    told, taken = [], []
    generator = (taken.append(i) or photo for i, photo in enumerate(photos))
    said = embed(generator, progress=lambda *args: told.append((*args, len(taken))))
    assert told == [(3, None, 6), (6, None, 7), (7, None, 7)]
    singly = np.concatenate([embed(photo).descriptors for photo in photos])
    assert np.abs(said.descriptors - singly).max() < 1e-6
    embed(photos, progress=lambda *args: told.append(args))
    assert told[-1] == (7, 7)


def test_no_photo_is_no_row(trained):
    embed = Embedder(*trained()[1])
    said = embed([])
    assert said.descriptors.shape == (0, embed(np.zeros((9, 9, 3), np.uint8)).descriptors.shape[1])
    assert said.visibility.shape == (0, 4)


def test_broken_photos_are_told_by_index(trained, photos, tmp_path):
    embed = Embedder(*trained()[1], batch_size=2)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    bad = {1: broken, 4: photos[0].astype(np.float32), 5: None, 6: tmp_path / "missing.png"}
    mixed = [bad.get(i, photo) for i, photo in enumerate(photos)]
    with pytest.raises(BrokenPhotoError, match=r"photo 1: .*broken\.jpg") as error:
        embed(mixed)
    assert set(error.value.reasons) == {1}
    said = embed(mixed, skip_errors=True)
    assert set(said.failures) == set(bad)
    assert "float32" in said.failures[4] and "missing.png" in said.failures[6]
    good = [i for i in range(7) if i not in bad]
    assert np.isnan(said.descriptors[list(bad)]).all() and np.isnan(said.visibility[1]).all()
    assert np.abs(said.descriptors[good] - embed(photos).descriptors[good]).max() < 1e-6


@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"])
def test_bf16_is_near_and_not_the_same(trained, photos, leaf):
    words = trained(leaf=leaf)[1]
    exact, near = (Embedder(*words, precision=p)(photos).descriptors for p in ("fp32", "bf16"))
    assert near.dtype == np.float32 and 0 < np.abs(exact - near).max() < 0.05


def test_wrong_arguments_are_refused(trained, tmp_path):
    config, weights, device = trained()[1]
    with pytest.raises(FileNotFoundError, match="weights"):
        Embedder(config, tmp_path / "none.pth", device)
    with pytest.raises(FileNotFoundError, match="installed configs"):
        Embedder("nonsense", weights, device)
    with pytest.raises(ValueError, match="fp16"):
        Embedder(config, weights, device, precision="fp16")
    for size in (0, 2.5, "4"):
        with pytest.raises(ValueError, match=f"batch_size {size!r}: expected a whole number"):
            Embedder(config, weights, device, batch_size=size)
    for words in (["TEST.FLIP.ENABLED"], "TEST.FLIP.ENABLED True", {"TEST.FLIP.ENABLED": True}):
        with pytest.raises(ValueError, match=r"overrides .*: expected \[KEY, VALUE, \.\.\.\]"):
            Embedder(config, weights, device, overrides=words)
    with pytest.raises(KeyError, match=r"overrides: .*TEST\.FLP"):
        Embedder(config, weights, device, overrides=["TEST.FLP", True])
    for name in ("banana", "meta", 1.5):
        with pytest.raises(ValueError, match=f"device {name!r}: expected one that this PyTorch"):
            Embedder(config, weights, name)
    embed = Embedder(config, weights, device)
    with (tmp_path / "config.yaml").open("rb") as file:
        for photos, kind in ((3, "int"), (b"123", "bytes"), ({"a": 1}, "dict"), (file, "Buffered")):
            with pytest.raises(TypeError, match=f"photos are {kind}"):
                embed(photos)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_model_that_went_to_the_cpu_says_so_and_computes_as_asked(trained, photos):
    config, weights, device = trained()[1]
    embed = Embedder(config, weights, "cuda", precision="bf16")
    assert embed.device == torch.device("cpu")
    near = Embedder(config, weights, device, precision="bf16")(photos).descriptors
    assert np.array_equal(embed(photos).descriptors, near)


def test_numbers_that_are_not_finite_are_no_descriptors(trained, photos):
    config, weights, device = trained()[1]
    content = torch.load(weights, weights_only=True)
    content["model"]["heads.bottleneck.weight"] *= float("nan")
    torch.save(content, weights)
    embed = Embedder(config, weights, device)
    for skip in (False, True):
        with pytest.raises(
            ValueError, match=r"model_final\.pth: the model's descriptors are not fin"
        ):
            embed(photos, skip_errors=skip)


def test_photos_of_several_sizes_name_the_key_that_leaves_them(trained, photos):
    _, (config, weights, device) = trained(
        *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
        *("MODEL.BACKBONE.NORM", "BN", "MODEL.BACKBONE.FEAT_DIM", 512),
        *("MODEL.BACKBONE.PRETRAIN", False, "MODEL.HEADS.POOL_LAYER", "GlobalAvgPool"),
        *("MODEL.HEADS.NUM_CLASSES", 0, "INPUT.SIZE_TEST", [64]),
        leaf="synthocc_vit_tiny_baseline",
    )
    with pytest.raises(ValueError, match=r"INPUT\.SIZE_TEST=\[64\]: leaves photos of several"):
        Embedder(config, weights, device)(photos)
    assert len(Embedder(config, weights, device, batch_size=1)(photos)) == 7


def test_a_run_is_described_without_its_data_set_and_by_a_relative_base(
    trained, photos, tmp_path, monkeypatch
):
    config, weights, device = trained("DATASETS.TESTS", ("Nowhere",))[1]
    expected = Embedder(config, weights, device)(photos).descriptors
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "mine.yml").write_text("_BASE_: ../config.yaml\n")
    monkeypatch.setenv("FASTREID_DATASETS", str(tmp_path / "gone"))
    monkeypatch.chdir(tmp_path / "below")
    for path in ("mine.yml", tmp_path / "below" / "mine.yml"):
        assert np.array_equal(Embedder(path, weights, device)(photos).descriptors, expected)


def test_importing_the_package_imports_nothing_else():
    code = "import sys, fed_plugin; print({'torch', 'fastreid', 'numpy'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_the_identity_of_a_model_counts_what_changes_its_descriptors(trained, monkeypatch):
    from fastreid.config import CfgNode, defaults

    cfg, (config, weights, device) = trained()
    sizes = {embedder_module._config_hash(cfg)}
    cfg.INPUT.SIZE_TEST = [48, 24]  # which this model of one size refuses
    assert embedder_module._config_hash(cfg) not in sizes

    def identity(*overrides):
        return Embedder(config, weights, device, overrides=overrides).model_identity

    before = identity()
    for same in (
        ["SOLVER.BASE_LR", 0.5],
        ["MODEL.LOSSES.TRI.MARGIN=0.9"],
        ["MODEL.FED.MEMORY.MOMENTUM", 0.5],
        ["MODEL.FED.PRECISION", "bf16"],
        ["DATASETS.TESTS", ("Market1501",)],
    ):
        assert identity(*same)["config_sha256"] == before["config_sha256"], same
    for other in (
        ["TEST.FLIP.ENABLED", True],
        ["MODEL.FED.NORMALIZE_OUTPUT", False],
        ["MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0]],
        ["MODEL.PIXEL_STD", [1.0, 2.0, 3.0]],
    ):
        assert identity(*other)["config_sha256"] != before["config_sha256"], other
    with monkeypatch.context() as patch:  # a project is installed
        patch.setitem(defaults._C.MODEL, "STRIPES", CfgNode({"NUM_STRIPES": 4}))
        patch.setitem(defaults._C.INPUT, "FOG", CfgNode({"PROB": 0.5}))
        assert identity() == before == identity("MODEL.STRIPES.NUM_STRIPES", 3)
        embedder = Embedder(config, weights, device)
        assert "STRIPES" not in embedder.cfg.dump() and "FOG" not in embedder.cfg.dump()
    assert identity() == before


def test_keys_of_another_project_count_where_its_code_is_in_the_model(trained, monkeypatch):
    from fastreid.config import CfgNode, defaults

    config, weights, device = trained()[1]
    monkeypatch.setitem(defaults._C.MODEL, "STRIPES", CfgNode({"NUM_STRIPES": 4}))
    monkeypatch.setattr(embedder_module, "_KNOWN_CODE", {"torch", "fastreid", "timm"})  # not ours
    usual = Embedder(config, weights, device).model_identity["config_sha256"]
    words = ["MODEL.STRIPES.NUM_STRIPES", 3]
    other = Embedder(config, weights, device, overrides=words).model_identity["config_sha256"]
    assert usual != other


def test_a_former_hash_vouches_for_a_config_whose_project_is_gone(trained, monkeypatch):
    from fastreid.config import CfgNode, defaults

    cfg, _ = trained()
    with monkeypatch.context() as patch:
        patch.setitem(defaults._C.MODEL, "STRIPES", CfgNode({"NUM_STRIPES": 4}))
        made = defaults._C.clone()
        made.merge_from_other_cfg(cfg)
        text, sha256 = made.dump(), embedder_module.former_config_hash(made)
    assert "STRIPES" in text
    known = embedder_module.config_of_former_hash(text, sha256)
    assert "STRIPES" not in known and "NUM_PARTS" in known
    edited = text.replace("NUM_PARTS: 4", "NUM_PARTS: 2")
    assert edited != text and embedder_module.config_of_former_hash(edited, sha256) is None
    for broken in ("", "- 1", "MODEL: 1", "{"):
        assert embedder_module.config_of_former_hash(broken, sha256) is None
