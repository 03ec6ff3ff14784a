"""Weights of another model are refused on every path, and an evaluation names its weights."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer, default_setup
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter.embedder import Embedder
from fed_plugin.retrieval.card_files import read_card

BASELINE = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.DEPTH": "18x",
    "MODEL.BACKBONE.FEAT_DIM": 512,
    "MODEL.BACKBONE.PRETRAIN": False,
    "MODEL.HEADS.WITH_BNNECK": True,
    "MODEL.HEADS.NUM_CLASSES": 6,
}
DEEP = {"MODEL.BACKBONE.DEPTH": "34x"}
ONNX = ("--format", "onnx", "-o", "m.onnx")
NO_PLACE, LACKING = "have no place in it", "missing or have another shape"


def build(**changed):
    cfg = get_cfg()
    options = {**BASELINE, **{name.replace("__", "."): v for name, v in changed.items()}}
    cfg.merge_from_list([item for pair in options.items() for item in pair])
    return DefaultTrainer.build_model(cfg)


@pytest.fixture
def saved(tmp_path):
    """Save weights: ``saved(model, rename, drop, **further)`` returns the path."""

    def save(model, rename=str, drop=(), **further):
        weights = {rename(n): v for n, v in model.state_dict().items() if not n.startswith(drop)}
        torch.save({"model": {**weights, **further}}, tmp_path / "weights.pth")
        return str(tmp_path / "weights.pth")

    return save


def evaluates(model, path):
    Checkpointer(model).load(path)


def trains(model, path):
    Checkpointer(model).resume_or_load(path, resume=False)


DEEPER = {"MODEL__BACKBONE__DEPTH": "34x"}
IBN = {"MODEL__BACKBONE__WITH_IBN": True}
NARROW = {"MODEL__HEADS__EMBEDDING_DIM": 64}


@pytest.mark.parametrize(
    ("use", "of", "into", "why"),
    [
        (evaluates, DEEPER, {}, NO_PLACE),
        (trains, DEEPER, {}, NO_PLACE),
        (evaluates, {}, DEEPER, LACKING),
        (evaluates, IBN, {}, NO_PLACE),
        (trains, IBN, {}, NO_PLACE),
        (evaluates, {}, {"MODEL__HEADS__WITH_BNNECK": False}, NO_PLACE),
        (evaluates, {}, NARROW, LACKING),
    ],
)
def test_weights_of_another_stock_model_are_refused(saved, use, of, into, why):
    with pytest.raises(ValueError, match=rf"MODEL\.WEIGHTS=.*weights\.pth: not a .*{why}"):
        use(build(**into), saved(build(**of)))


MOCO = {"MODEL__META_ARCHITECTURE": "MoCo", "MODEL__QUEUE_SIZE": 64}
OLD_ZOO = {"pixel_mean": torch.zeros(1, 3, 1, 1), "heads.classifier.weight": torch.zeros(6, 512)}


@pytest.mark.parametrize("use", [evaluates, trains])
@pytest.mark.parametrize(
    ("of", "into", "written"),
    [
        ({}, {}, {}),
        ({}, {"MODEL__HEADS__NUM_CLASSES": 9}, {}),
        ({}, {}, {"rename": "module.{}".format}),
        ({}, {}, {"drop": ("heads.weight",), **OLD_ZOO}),
        (MOCO, {}, {}),
        ({}, MOCO, {}),
    ],
)
def test_identities_wrappers_old_files_and_memories_are_no_other_model(
    saved, use, of, into, written
):
    source, target = build(**of), build(**into)
    use(target, saved(source, **written))
    assert torch.equal(target.backbone.conv1.weight, source.backbone.conv1.weight)


@pytest.mark.parametrize(
    ("of", "written"),
    [({}, {"drop": ("heads.",)}), (NARROW, {}), ({"MODEL__HEADS__WITH_BNNECK": False}, {})],
)
def test_a_training_begins_with_a_backbone_alone_or_another_head(saved, caplog, of, written):
    source, target = build(**of), build()
    caplog.set_level(logging.WARNING, logger="fastreid.compat")
    logging.getLogger("fastreid.compat").addHandler(caplog.handler)
    trains(target, saved(source, **written))
    logging.getLogger("fastreid.compat").removeHandler(caplog.handler)
    assert torch.equal(target.backbone.conv1.weight, source.backbone.conv1.weight)
    assert "weights.pth: lacks" in caplog.text


@pytest.fixture(params=["FED", "ResNet"])
def deeper(request, tmp_path, saved):
    """A config file, and a checkpoint of a deeper model of the same kind."""
    common = "_BASE_: {}\nMODEL: {{DEVICE: cpu}}\nDATALOADER: {{NUM_WORKERS: 0}}\n"
    leaf, words = ("synthocc_vit_tiny", ("MODEL.FED.VIT.NUM_LAYERS", 2))
    if request.param == "ResNet":
        leaf = "synthocc_vit_tiny_baseline"
        words = [item for pair in BASELINE.items() for item in pair]
        words += ["MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.NORM", "BN"]
        words += ["MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.HEADS.NUM_CLASSES", 0]
    from fed_plugin.fastreid_adapter.config_files import find_config, read_config

    config = tmp_path / "config.yml"
    config.write_text(common.format(find_config(leaf)))
    words = [*words, "MODEL.FED.FDM.NUM_NEIGHBORS", 3, "OUTPUT_DIR", str(tmp_path / "run")]
    words += ["SOLVER.IMS_PER_BATCH", 8, "SOLVER.WARMUP_ITERS", 2, "SOLVER.MAX_EPOCH", 2]
    cfg = read_config(str(config), words)
    config.write_text(cfg.dump())
    cfg.merge_from_list(
        ["MODEL.BACKBONE.DEPTH", "34x"]
        if request.param == "ResNet"
        else ["MODEL.FED.VIT.NUM_LAYERS", 4]
    )
    cfg.MODEL.HEADS.NUM_CLASSES = 14
    return str(config), saved(DefaultTrainer.build_model(cfg))


@pytest.mark.parametrize(
    "command", ["train", "evaluation", "dump", "export", "embedder", "robustness"]
)
def test_no_command_takes_weights_of_a_deeper_model(deeper, on_synthocc, tmp_path, capsys, command):
    config, weights = deeper
    words = {
        "train": ("train", "--config-file", config, "MODEL.WEIGHTS", weights),
        "evaluation": ("train", "--config-file", config, "--eval-only", "MODEL.WEIGHTS", weights),
        "dump": ("dump", "--config-file", config, "--weights", weights, "-o", "d.npz"),
        "export": ("export", "--config-file", config, "--weights", weights, *ONNX),
        "robustness": ("robustness", "--config-file", config, "MODEL.WEIGHTS", weights),
    }
    if command == "embedder":
        with pytest.raises(ValueError, match=NO_PLACE):
            Embedder(config, weights, "cpu")
        return
    before = set(tmp_path.iterdir())
    where = {"d.npz": str(tmp_path / "d.npz"), "m.onnx": str(tmp_path / "m.onnx")}
    assert main([where.get(word, word) for word in words[command]]) == 1
    error = capsys.readouterr().err
    assert NO_PLACE in error and "weights.pth" in error and "Traceback" not in error
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "run"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "for --eval-only; try MODEL.WEIGHTS untrained for random weights"),
        (
            ("MODEL.WEIGHTS", "nowhere.pth"),
            "MODEL.WEIGHTS nowhere.pth: no such file; expected a checkpoint, or untrained",
        ),
    ],
)
def test_an_evaluation_without_weights_is_refused_before_it_writes(
    tmp_path, capsys, words, sentence
):
    command = ["train", "--config-file", "synthocc_vit_tiny", "--eval-only"]
    assert main([*command, "OUTPUT_DIR", str(tmp_path / "run"), *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert not (tmp_path / "run").exists()


def test_the_stock_script_is_refused_too(tmp_path):
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path / "run")
    with pytest.raises(ValueError, match="expected the file of a checkpoint for --eval-only"):
        default_setup(cfg, SimpleNamespace(config_file="", eval_only=True))
    assert not (tmp_path / "run").exists()
    default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))


def test_the_card_of_untrained_weights_names_no_training(tmp_path, on_synthocc):
    command = ["train", "--config-file", "synthocc_vit_tiny_baseline", "--eval-only"]
    run = tmp_path / "run"
    options = ["OUTPUT_DIR", str(run), "DATALOADER.NUM_WORKERS", "0", "MODEL.DEVICE", "cpu"]
    assert main([*command, *options, "MODEL.WEIGHTS", "untrained"]) == 0
    card = read_card(run / "cards" / "SynthOcc.json")
    assert (card.epoch, card.training_sets, card.supervision) == (0, None, None)
