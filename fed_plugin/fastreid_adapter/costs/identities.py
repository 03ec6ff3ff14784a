"""How many identities a config trains on, which decides the size of its classifiers."""

from __future__ import annotations

from typing import Any

from fed_plugin.fastreid_adapter.loader_config import training_items


def count_identities(cfg: Any) -> int:
    """Count the training identities of ``DATASETS.NAMES``, or take the config's own number.

    Raises:
        ValueError: a data set is not there or not whole.
    """
    if cfg.MODEL.HEADS.NUM_CLASSES > 0:
        return int(cfg.MODEL.HEADS.NUM_CLASSES)
    try:
        return len({pid for _, pid, _ in training_items(cfg)})
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(
            f"DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}: {text}; classifiers and memories have a "
            "row per training identity, so try --identities N, such as 702 for Occluded_Duke"
        ) from error
