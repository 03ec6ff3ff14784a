"""Every evaluation by the host leaves a card that is right, and none fails for its card."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build
from fastreid.engine import DefaultTrainer
from fastreid.evaluation import ReidEvaluator, evaluator, inference_on_dataset
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.datasets.findings import list_hash
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.splits import read_splits
from fed_plugin.fastreid_adapter import run_cards
from fed_plugin.fastreid_adapter.run_cards import card_path, holds
from fed_plugin.retrieval.card_files import read_card

STOCK = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.DEPTH": "18x",
    "MODEL.BACKBONE.FEAT_DIM": 512,
    "MODEL.BACKBONE.PRETRAIN": False,
    "MODEL.HEADS.NUM_CLASSES": 6,
    "INPUT.SIZE_TEST": [64, 32],
    "DATASETS.NAMES": ("Market1501",),
    "DATASETS.TESTS": ("SynthOcc",),
}


@pytest.fixture
def stock_cfg(tmp_path):
    """Build the config of a stock ResNet-18 that is tested on SynthOcc."""

    def make(**overrides):
        cfg = get_cfg()
        options = {**STOCK, "OUTPUT_DIR": str(tmp_path / "stock"), **overrides}
        cfg.merge_from_list([item for pair in options.items() for item in pair])
        return cfg

    return make


@pytest.fixture
def evaluate(on_synthocc):
    """Evaluate a config with random weights by the stock trainer; return where its card lies."""

    def run(cfg, model=None):
        results = DefaultTrainer.test(cfg, model or DefaultTrainer.build_model(cfg))
        assert results["mAP"] > 0
        return card_path(cfg, "SynthOcc", "")

    return run


@pytest.fixture
def said():
    """List the messages about cards, as (level, text), whatever the host does to its loggers."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append((record.levelname, record.getMessage()))
    logger = logging.getLogger("fastreid.fed_plugin.cards")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_a_training_leaves_a_card_per_evaluation_and_its_checkpoints_tell_theirs(
    tiny_cfg, on_synthocc
):
    cfg = tiny_cfg("SEED", 3, "MODEL.HEADS.NUM_CLASSES", 8)
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = DefaultTrainer(cfg)
    trainer.train()
    cards = Path(cfg.OUTPUT_DIR, "cards")
    assert sorted(path.name for path in cards.iterdir()) == ["SynthOcc_1.json", "SynthOcc_2.json"]
    first, last = read_card(cards / "SynthOcc_1.json"), read_card(cards / "SynthOcc_2.json")
    assert (first.epoch, first.epoch_choice) == (1, None)
    assert (last.epoch, last.epoch_choice, last.seed) == (2, "last", 3)

    splits = read_splits(LAYOUTS["SynthOcc"], str(on_synthocc))
    for card, items in ((last.query, splits.query), (last.gallery, splits.gallery)):
        assert card.images == len(items) > 0
        assert card.identities == len({pid for _, pid, _ in items})
        assert card.cameras == len({camid for _, _, camid in items})
        assert card.list_sha256 == list_hash(path for path, _, _ in items)
    assert last.same_camera_pairs == sum(
        q[1:] == g[1:] for q in splits.query for g in splits.gallery
    )
    assert last.query_in_gallery == 0
    assert last.dataset == "SynthOcc" and last.input_size == (64, 32)
    assert (last.distance, last.flip, last.rerank, last.query_expansion) == (
        *("cosine", False, "off", "off"),
    )
    assert (last.side_information, last.supervision, last.combineall) == (
        *("none", "supervised", False),
    )
    assert last.training_sets == ("SynthOcc",)
    assert last.versions["torch"] == torch.__version__ and len(last.versions) == 5

    for name, choice in (("model_final", "last"), ("model_best", "best on test")):
        cfg.MODEL.WEIGHTS = str(Path(cfg.OUTPUT_DIR, f"{name}.pth"))
        model = DefaultTrainer.build_model(cfg)
        Checkpointer(model).load(cfg.MODEL.WEIGHTS)
        DefaultTrainer.test(cfg, model)
        card = read_card(cards / f"SynthOcc_{name}.json")
        epoch = torch.load(cfg.MODEL.WEIGHTS, weights_only=False)["epoch"] + 1
        assert (card.epoch, card.epoch_choice) == (epoch, choice)
        assert card.query == last.query
    model.backbone.cls_token.data.add_(1)
    DefaultTrainer.test(cfg, model)
    card = read_card(cards / "SynthOcc.json")
    assert (card.epoch, card.epoch_choice) == (None, None), "weights are not the file's"


def test_a_stock_config_leaves_a_card_too(stock_cfg, evaluate):
    card = read_card(evaluate(stock_cfg()))
    assert (card.side_information, card.supervision, card.training_sets) == (
        *("none", "transfer", ("Market1501",)),
    )
    assert (card.epoch, card.epoch_choice, card.seed) == (None, None, None)


def test_what_is_done_to_descriptors_stands_on_the_card(stock_cfg, evaluate):
    keys = {
        "TEST.FLIP.ENABLED": True,
        "TEST.RERANK.ENABLED": True,
        "TEST.AQE.ENABLED": True,
        "TEST.METRIC": "euclidean",
        "TEST.SIDE_INFORMATION": "camera ids",
        "DATASETS.COMBINEALL": True,
    }
    card = read_card(evaluate(stock_cfg(**keys)))
    assert card.flip and card.combineall and card.distance == "euclidean"
    assert card.rerank == "k-reciprocal, k1 20, k2 6, lambda 0.3"
    assert card.query_expansion == "alpha query expansion, 1 times, k 5, alpha 3"
    assert card.side_information == "camera ids"


def test_the_flip_that_was_done_counts_not_the_key(stock_cfg, on_synthocc):
    cfg = stock_cfg()
    loader, evaluator = DefaultTrainer.build_evaluator(cfg, "SynthOcc")
    inference_on_dataset(DefaultTrainer.build_model(cfg), loader, evaluator, flip_test=True)
    assert read_card(card_path(cfg, "SynthOcc", "")).flip is True


def test_what_an_evaluator_of_somebody_elses_does_is_not_known(stock_cfg, on_synthocc):
    class Theirs(ReidEvaluator):
        def evaluate(self):
            return super().evaluate()

    cfg = stock_cfg()
    loader, num_query = build.build_reid_test_loader(cfg, dataset_name="SynthOcc")
    model = DefaultTrainer.build_model(cfg)
    assert inference_on_dataset(model, loader, Theirs(cfg, num_query))["mAP"] > 0
    card = read_card(card_path(cfg, "SynthOcc", ""))
    assert card.camera_rule is card.distance is card.rerank is card.query_expansion is None
    assert card.flip is False and card.query.images == num_query


@pytest.mark.parametrize("obstacle", ["OUTPUT_DIR", "cards", "SynthOcc.json"])
def test_an_evaluation_that_cannot_leave_its_card_warns_and_returns_its_numbers(
    stock_cfg, evaluate, said, obstacle
):
    cfg = stock_cfg()
    path = {
        "OUTPUT_DIR": Path(cfg.OUTPUT_DIR),
        "cards": Path(cfg.OUTPUT_DIR, "cards"),
        "SynthOcc.json": Path(cfg.OUTPUT_DIR, "cards", "SynthOcc.json"),
    }[obstacle]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if obstacle == "SynthOcc.json" else path.write_text("in the way")
    evaluate(cfg)
    ((level, text),) = said
    assert level == "WARNING" and "SynthOcc.json: no protocol card: " in text


def test_a_read_only_output_folder_does_not_fail_an_evaluation(
    stock_cfg, evaluate, said, monkeypatch
):
    def read_only(*_, **__):
        raise PermissionError("[Errno 30] Read-only file system")

    cfg = stock_cfg()
    monkeypatch.setattr(Path, "mkdir", read_only)
    assert not evaluate(cfg).exists()
    assert "no protocol card: PermissionError" in said[0][1]


def test_a_loader_nobody_named_a_data_set_for_leaves_no_card_and_no_warning(said):
    class Counts(evaluator.DatasetEvaluator):
        def evaluate(self):
            return {"images": 2}

    class Batches(list):
        dataset = range(2)

    results = inference_on_dataset(torch.nn.Identity(), Batches([{}, {}]), Counts())
    assert results == {"images": 2} and said == []


def test_without_an_output_folder_there_is_no_card(
    stock_cfg, evaluate, tmp_path, monkeypatch, said
):
    monkeypatch.chdir(tmp_path)
    evaluate(stock_cfg(OUTPUT_DIR=""))
    assert said == [] and list(tmp_path.iterdir()) == []


def test_only_the_first_rank_leaves_a_card(stock_cfg, evaluate, monkeypatch):
    second = SimpleNamespace(is_main_process=lambda: False)
    monkeypatch.setattr(run_cards, "comm", second)
    assert not evaluate(stock_cfg()).exists()


def test_a_card_is_plain_json_with_every_field(stock_cfg, evaluate):
    content = json.loads(evaluate(stock_cfg()).read_text())
    assert content["format"] == "fed_plugin.card/1" and content["input_size"] == [64, 32]
    assert content["epoch_choice"] is None and content["query"]["images"] > 0


def test_a_checkpoint_is_told_by_all_its_values():
    model = torch.nn.Linear(2, 3)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert holds(model, state) and holds(model, {**state, "other": torch.zeros(1)})
    assert holds(model, {"weight": state["weight"], "bias": torch.zeros(7)}), "another shape"
    assert not holds(model, {**state, "bias": state["bias"] + 1})
    assert not holds(model, {"other": torch.zeros(1)})
    assert holds(torch.nn.DataParallel(model), state), "wrapped for several devices"
