"""What makes descriptors comparable: the weights, and the config's keys that decide them."""

from __future__ import annotations

import hashlib
from typing import Any

from fed_plugin.datasets.fingerprints import content_hash


def model_identity(cfg: Any) -> dict[str, str]:
    """Return what decides a model's descriptors, as hashes.

    Args:
        cfg: config.

    Returns:
        ``weights_sha256``, empty without weights, and ``config_sha256``.
    """
    weights = cfg.MODEL.WEIGHTS
    return {
        "weights_sha256": content_hash(weights) if weights else "",
        "config_sha256": hashlib.sha256(_deciding_keys(cfg).encode()).hexdigest(),
    }


def _deciding_keys(cfg: Any) -> str:
    """Return the keys that can change a descriptor; not where it is computed and how exactly."""
    decides = cfg.clone()
    decides.defrost()
    decides.MODEL.WEIGHTS = decides.MODEL.DEVICE = decides.MODEL.BACKBONE.PRETRAIN_PATH = ""
    decides.MODEL.HEADS.NUM_CLASSES = 0  # of the classifier, which evaluation leaves out
    if "FED" in decides.MODEL:
        decides.MODEL.FED.PRECISION = "fp32"
    size, crop = cfg.INPUT.SIZE_TEST, cfg.INPUT.CROP
    seed = "" if cfg.MODEL.WEIGHTS else cfg.get("SEED", -1)
    return f"{decides.MODEL.dump()}\n{list(size)} {crop.dump()} {cfg.TEST.FLIP.ENABLED} {seed}"
