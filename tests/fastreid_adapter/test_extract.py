from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter.embedder import Embedder
from fed_plugin.fastreid_adapter.extract import dump_test_set
from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.result import METRICS

LEAVES = ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"]
RESNET = [
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
    *("MODEL.BACKBONE.NORM", "BN", "MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.BACKBONE.LAST_STRIDE", 1),
    *("MODEL.BACKBONE.WITH_IBN", False, "MODEL.BACKBONE.PRETRAIN", False),
    *("MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.HEADS.NUM_CLASSES", 0),
]


@pytest.fixture
def save_weights(tmp_path):
    """Save a config's randomly initialised model as the trainer would; set MODEL.WEIGHTS to it."""

    def save(cfg, name="model_final", **extra):
        torch.manual_seed(0)
        model = DefaultTrainer.build_model(cfg)
        for module in model.modules():  # statistics and scales that a training would leave
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        Checkpointer(model, str(tmp_path)).save(name, **extra)
        cfg.MODEL.WEIGHTS = str(tmp_path / f"{name}.pth")
        return cfg

    return save


@pytest.fixture(scope="module")
def opened():
    """Files that this process opens, while the list is in the set ``listening``."""
    files, listening = [], []

    def note(event, arguments):
        if listening and event == "open" and isinstance(arguments[0], str):
            files.append(os.path.realpath(arguments[0]))

    sys.addaudithook(note)  # cannot be removed, so that it is switched off at the end
    listening.append(True)
    yield files
    listening.clear()


@pytest.mark.parametrize("command", ["dump", "export", "embedder", "robustness"])
def test_a_command_reads_a_checkpoint_once(
    tiny_cfg, on_synthocc, save_weights, tmp_path, opened, command
):
    cfg = save_weights(tiny_cfg())
    weights = cfg.MODEL.WEIGHTS
    config = tmp_path / "config.yml"
    config.write_text(cfg.dump())
    words = ["--config-file", str(config), "--dataset", "SynthOcc"]
    from_file = ["--weights", weights, "-o", str(tmp_path / "out.npz")]
    opened.clear()
    if command == "dump":
        assert main(["dump", *words, *from_file]) == 0
    elif command == "export":
        assert main(["export", *words, *from_file, "--format", "torchscript"]) == 0
    elif command == "embedder":
        embedder = Embedder(config, weights, "cpu")
        hashes = [embedder.model_identity["weights_sha256"] for _ in range(2)]
        assert hashes == [sha256(Path(weights).read_bytes()).hexdigest()] * 2
        opened.remove(os.path.realpath(weights))  # the line above
    else:
        out = str(tmp_path / "curve.json")
        few = ["--visible", "0.5", "--kinds", "objects", "--queries", "4", "--out", out]
        assert main(["robustness", *words, *few, "MODEL.WEIGHTS", weights]) == 0
    assert opened.count(os.path.realpath(weights)) == 1


def test_parts_are_described_without_a_hook(tiny_cfg, on_synthocc, save_weights, monkeypatch):
    cfg = save_weights(tiny_cfg())
    monkeypatch.delattr(torch.nn.Module, "register_forward_hook")
    assert dump_test_set(cfg, "SynthOcc", {}).part_features.shape == (28, 4, 32)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("leaf", "overrides"), [*((leaf, []) for leaf in LEAVES), (LEAVES[1], RESNET)]
)
def test_dump_and_evaluate_give_the_stock_evaluators_numbers(
    tiny_cfg, on_synthocc, save_weights, tmp_path, leaf, overrides, flip
):
    cfg = save_weights(tiny_cfg(*overrides, "TEST.FLIP.ENABLED", flip, leaf=leaf))
    dump_test_set(cfg, "SynthOcc", {}).save(tmp_path / "a.npz")
    model = DefaultTrainer.build_model(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    stock = DefaultTrainer.test(cfg, model)
    found = evaluate_dump(FeatureDump.load(tmp_path / "a.npz")).metrics
    assert len(set(np.round([metric.value for metric in found.values()], 3))) > 2  # not all 0 or 1
    for name in METRICS:
        assert found[name].value == pytest.approx(float(stock[name]), abs=1e-4), name


def test_fed_gives_its_parts_and_their_visibility(tiny_cfg, on_synthocc, save_weights):
    cfg = save_weights(tiny_cfg())
    dump = dump_test_set(cfg, "SynthOcc", {})
    model = DefaultTrainer.build_model(cfg).eval()
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    parts, visibility = (torch.from_numpy(a) for a in (dump.part_features, dump.visibility))
    with torch.no_grad():
        again, erased = model.heads.oem(parts)
        descriptors = model.heads.bottleneck(erased.flatten(1))
    torch.testing.assert_close(again, visibility)
    torch.testing.assert_close(
        torch.nn.functional.normalize(descriptors), torch.from_numpy(dump.features)
    )


def test_the_stock_baseline_has_no_parts(tiny_cfg, on_synthocc, save_weights):
    dump = dump_test_set(save_weights(tiny_cfg(leaf=LEAVES[1])), "SynthOcc", {})
    assert dump.part_features is None and dump.visibility is None


def test_a_dump_says_where_it_comes_from(tiny_cfg, on_synthocc, save_weights):
    cfg = save_weights(tiny_cfg(leaf=LEAVES[1]), epoch=11)
    Path(cfg.MODEL.WEIGHTS).with_name("config.yaml").write_text("SEED: 7\n")
    dump = dump_test_set(cfg, "SynthOcc", {"method": "mine"})
    content = Path(cfg.MODEL.WEIGHTS).read_bytes()
    assert dump.about["weights_sha256"] == sha256(content).hexdigest()
    about = {key: dump.about[key] for key in ("method", "dataset", "seed", "epoch", "distance")}
    assert about == {
        "method": "mine",
        "dataset": "SynthOcc",
        "seed": 7,  # of the training, not of this config
        "epoch": 12,
        "distance": "cosine",
    }
    card = card_of_dump(dump, "cosine")
    assert (card.epoch, card.epoch_choice, card.seed) == (12, "last", 7)
    assert card.input_size == (64, 32) and card.training_sets == ("SynthOcc",)
    assert dump.about["card"] == card.to_json()


def test_random_weights_come_from_the_seed_and_learnt_nothing(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("SEED", 3, leaf=LEAVES[1])
    first, again = (dump_test_set(cfg, "SynthOcc", {}) for _ in range(2))
    cfg.SEED = 4
    other = dump_test_set(cfg, "SynthOcc", {})
    assert np.array_equal(first.features, again.features)
    assert not np.allclose(first.features, other.features, atol=1e-3)
    card = card_of_dump(first, "cosine")
    assert (card.seed, card.epoch, card.training_sets) == (3, 0, None)
    assert first.about["weights_sha256"] is None


def test_progress_counts_the_images(tiny_cfg, on_synthocc):
    said = []
    cfg = tiny_cfg("TEST.IMS_PER_BATCH", 10, leaf=LEAVES[1])
    dump_test_set(cfg, "SynthOcc", {}, lambda *numbers: said.append(numbers))
    assert said == [(10, 28), (20, 28), (28, 28)]


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_checkpoint_of_another_model_is_refused(tiny_cfg, on_synthocc, save_weights, leaf):
    cfg = save_weights(tiny_cfg(leaf=LEAVES[not LEAVES.index(leaf)]))
    other = tiny_cfg("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS, leaf=leaf)
    if leaf == LEAVES[1]:  # its head is the part that the other model does not have
        message = "not a checkpoint of this config's model: .* first 'heads.bottleneck.0"
    else:
        message = "not a checkpoint of this FED model"
    with pytest.raises(ValueError, match=message):
        dump_test_set(other, "SynthOcc", {})


def test_weights_of_another_size_are_refused(tiny_cfg, on_synthocc, save_weights):
    cfg = save_weights(tiny_cfg(leaf=LEAVES[1]))
    cfg.MODEL.FED.VIT.EMBED_DIM = cfg.MODEL.BACKBONE.FEAT_DIM = 48
    with pytest.raises(ValueError, match="missing or have another shape"):
        dump_test_set(cfg, "SynthOcc", {})


@pytest.mark.parametrize(
    ("leaf", "unneeded"),
    [
        (LEAVES[0], ("heads.memories.", "heads.fdm.", "heads.erased_classifier.")),
        (LEAVES[1], ("heads.bottleneck.0.num_batches_tracked", "heads.weight")),
    ],
)
def test_what_evaluation_does_not_need_may_be_missing(
    tiny_cfg, on_synthocc, save_weights, leaf, unneeded
):
    cfg = save_weights(tiny_cfg(leaf=leaf))
    before = dump_test_set(cfg, "SynthOcc", {})
    weights = torch.load(cfg.MODEL.WEIGHTS)["model"]
    kept = {name: value for name, value in weights.items() if not name.startswith(unneeded)}
    assert len(kept) <= len(weights) - len(unneeded)
    torch.save({"model": kept}, cfg.MODEL.WEIGHTS)
    assert np.array_equal(dump_test_set(cfg, "SynthOcc", {}).features, before.features)


def test_more_training_identities_than_the_config_says_are_no_other_model(
    tiny_cfg, on_synthocc, save_weights
):
    cfg = save_weights(tiny_cfg("MODEL.HEADS.NUM_CLASSES", 8, leaf=LEAVES[1]))
    before = dump_test_set(cfg, "SynthOcc", {})
    cfg.MODEL.HEADS.NUM_CLASSES = 0
    assert np.array_equal(dump_test_set(cfg, "SynthOcc", {}).features, before.features)


def test_reranking_and_expansion_are_not_in_a_dump_and_that_is_said(
    tiny_cfg, on_synthocc, save_weights, caplog
):
    cfg = save_weights(tiny_cfg("TEST.RERANK.ENABLED", True, leaf=LEAVES[1]))
    dump = dump_test_set(cfg, "SynthOcc", {})
    assert "TEST.RERANK or TEST.AQE is on: a dump holds descriptors" in caplog.text
    assert dump.about["card"]["rerank"] == "off"
