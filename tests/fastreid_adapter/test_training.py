"""FED through the stock trainer: weights move, memory survives, ranks agree."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path

import pytest
import torch
from fastreid.engine import DefaultTrainer

from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.splits import read_splits
from fed_plugin.retrieval.card_files import read_card

ROOT = Path(__file__).parents[2]


def tiny_overrides(folder):
    return [
        *("MODEL.DEVICE", "cpu", "MODEL.BACKBONE.FEAT_DIM", "32"),
        *("MODEL.FED.VIT.NUM_LAYERS", "1", "MODEL.FED.VIT.EMBED_DIM", "32"),
        *("MODEL.FED.VIT.NUM_HEADS", "2", "MODEL.FED.FDM.NUM_NEIGHBORS", "3"),
        *("MODEL.FED.VIT.PATCH_SIZE", "8", "MODEL.BACKBONE.STRIDE_SIZE", "(8, 8)"),
        *("INPUT.SIZE_TRAIN", "[64, 32]", "INPUT.SIZE_TEST", "[64, 32]"),
        *("SOLVER.IMS_PER_BATCH", "8", "SOLVER.WARMUP_ITERS", "2", "SOLVER.MAX_EPOCH", "2"),
        *("SOLVER.CHECKPOINT_PERIOD", "1", "TEST.EVAL_PERIOD", "1"),
        *("OUTPUT_DIR", str(folder)),
    ]


@pytest.fixture
def run_cli(run_python, synthocc_root):
    """Run ``fed-plugin``, which has to end well."""
    return partial(run_python, "-m", "fed_plugin", root=synthocc_root)


def test_the_stock_trainer_moves_weights_and_memory_and_saves_both(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("MODEL.HEADS.NUM_CLASSES", 0)
    Path(cfg.OUTPUT_DIR).mkdir()  # default_setup does so in a script
    trainer = DefaultTrainer(cfg)
    model = trainer.model
    before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    trainer.resume_or_load(resume=False)
    results = trainer.train()
    assert {"Rank-1", "mAP", "mINP"} <= results.keys()
    still = [n for n, p in model.named_parameters() if n in before and torch.equal(p, before[n])]
    assert still == []
    saved = torch.load(Path(cfg.OUTPUT_DIR) / "model_final.pth", weights_only=False)
    assert len(saved["optimizer"]["state"]) > 0
    assert saved["model"]["heads.memories.erased.initialized"]
    assert torch.equal(
        saved["model"]["heads.memories.erased.features"], model.heads.memory("erased").features
    )

    cfg.SOLVER.MAX_EPOCH = 3
    resumed = DefaultTrainer(cfg)
    resumed.model._compute_centroids = pytest.fail  # a resumed run keeps its memory
    resumed.resume_or_load(resume=True)
    assert resumed.start_epoch == 2
    assert torch.equal(
        resumed.model.heads.memory("erased").features, model.heads.memory("erased").features
    )
    resumed.train()


def test_train_resume_and_evaluate_from_the_command_line(run_cli, tmp_path):
    config = ["--config-file", "configs/FED/synthocc_vit_tiny.yml"]
    overrides = tiny_overrides(tmp_path / "run")
    run_cli("train", *config, *overrides, "DATALOADER.NUM_WORKERS", "1")
    resumed = run_cli("train", *config, "--resume", *overrides, "SOLVER.MAX_EPOCH", "3")
    assert "Starting training from epoch 2" in resumed.stdout
    weights = str(tmp_path / "run" / "model_final.pth")
    evaluated = run_cli(
        *("train", *config, "--eval-only", *overrides, "MODEL.WEIGHTS", weights),
    )
    table = [line for line in resumed.stdout.splitlines() if line.startswith("| SynthOcc  |")]
    assert table[-1] in evaluated.stdout
    card = read_card(tmp_path / "run" / "cards" / "SynthOcc_model_final.json")
    assert (card.epoch, card.epoch_choice, card.side_information) == (3, "last", "none")


TWO_RANKS = """
    import sys

    import projects_registry
    import torch
    from fastreid.config import get_cfg
    from fastreid.engine import DefaultTrainer, default_setup, launch
    from fastreid.utils import comm


    def main(config_file, overrides):
        torch.set_num_threads(1)
        cfg = get_cfg()
        cfg.merge_from_file(config_file)
        cfg.merge_from_list(overrides)
        default_setup(cfg, None)
        trainer = DefaultTrainer(cfg)
        model = trainer.model.module
        before = model.backbone.cls_token.detach().clone()
        trainer.train()
        assert not torch.equal(model.backbone.cls_token, before), "nothing was trained"
        state = {n: t for n, t in model.state_dict().items() if "running" not in n}
        for rank, other in enumerate(comm.all_gather(state)):
            for name, tensor in state.items():
                assert torch.equal(tensor, other[name]), f"{name} differs on rank {rank}"
        if comm.is_main_process():
            print(f"{comm.get_world_size()} ranks agree on {len(state)} tensors")


    if __name__ == "__main__":
        launch(main, 2, dist_url="auto", args=(sys.argv[1], sys.argv[2:]))
"""


def test_two_gloo_processes_train_and_hold_the_same_bits(run_python, synthocc_root, tmp_path):
    script = tmp_path / "two_ranks.py"
    script.write_text(textwrap.dedent(TWO_RANKS))
    result = run_python(
        *(script, ROOT / "configs/FED/synthocc_vit_tiny.yml", *tiny_overrides(tmp_path / "run")),
        *("DATALOADER.NUM_WORKERS", "1"),
        root=synthocc_root,
        env={"CUDA_VISIBLE_DEVICES": ""},
    )
    assert "2 ranks agree on" in result.stdout
    cards = [read_card(tmp_path / "run" / "cards" / f"SynthOcc_{epoch}.json") for epoch in (1, 2)]
    splits = read_splits(LAYOUTS["SynthOcc"], str(synthocc_root))
    assert {card.gallery.images for card in cards} == {len(splits.gallery)}
