"""A tiny FED config, a tiny SynthOcc, and the host mended."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fastreid.config import get_cfg

CONFIGS = Path(__file__).parents[2] / "configs" / "FED"


@pytest.fixture
def tiny_cfg(tmp_path):
    """Build a FED config small enough for milliseconds; keywords are merged as KEY VALUE."""

    def make(*overrides, leaf="synthocc_vit_tiny"):
        cfg = get_cfg()
        cfg.merge_from_file(str(CONFIGS / f"{leaf}.yml"))
        options = {
            "MODEL.DEVICE": "cpu",
            "MODEL.BACKBONE.FEAT_DIM": 32,
            "MODEL.BACKBONE.STRIDE_SIZE": (8, 8),
            "MODEL.FED.VIT.NUM_LAYERS": 1,
            "MODEL.FED.VIT.EMBED_DIM": 32,
            "MODEL.FED.VIT.NUM_HEADS": 2,
            "MODEL.FED.VIT.PATCH_SIZE": 8,
            "MODEL.HEADS.NUM_CLASSES": 6,
            "MODEL.FED.FDM.NUM_NEIGHBORS": 3,
            "INPUT.SIZE_TRAIN": [64, 32],
            "INPUT.SIZE_TEST": [64, 32],
            "SOLVER.IMS_PER_BATCH": 8,
            "SOLVER.MAX_EPOCH": 2,
            "SOLVER.WARMUP_ITERS": 2,
            "SOLVER.CHECKPOINT_PERIOD": 1,
            "TEST.EVAL_PERIOD": 1,
            "DATALOADER.NUM_WORKERS": 0,
            "OUTPUT_DIR": str(tmp_path / "run"),
        }
        cfg.merge_from_list([item for pair in options.items() for item in pair])
        cfg.merge_from_list(list(overrides))
        return cfg

    return make


@pytest.fixture
def batch():
    """Two views of four images of two identities, the second view with a white band."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 1, 3, 64, 32), generator=generator).float()
    images = images.repeat(1, 2, 1, 1, 1)
    images[:, 1, :, 16:32] = 255
    return {
        "images": images,
        "targets": torch.tensor([0, 0, 3, 3]),
        "camids": torch.tensor([0, 1, 0, 2]),
    }
