"""A feature dump of a data set by a config's model, with a protocol card in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.fastreid_adapter.card import describe_evaluation
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.description import Description, describe_test_set
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import OFF

logger = logging.getLogger(__name__)


def dump_test_set(
    cfg: Any,
    dataset_name: str,
    about: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> FeatureDump:
    """Describe a data set's queries and gallery with a config's model, and say how.

    Args:
        cfg: config; ``MODEL.WEIGHTS`` names the checkpoint, empty takes random weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        about: what else to say, such as ``method`` and ``config``.
        progress: called with images done and images in all.

    Raises:
        ValueError: As :func:`describe_test_set` and ``FeatureDump``.
    """
    if cfg.TEST.RERANK.ENABLED or cfg.TEST.AQE.ENABLED:
        logger.warning(
            "TEST.RERANK or TEST.AQE is on: a dump holds descriptors, which are ranked as they are"
        )
    description = describe_test_set(cfg, dataset_name, progress)
    weights = cfg.MODEL.WEIGHTS
    card = describe_evaluation(
        cfg,
        dataset_name,
        *_items(description),
        rerank=OFF,
        query_expansion=OFF,
        **known_of_weights(cfg, description.epoch, description.epoch_choice),
    )
    return description.to_dump(
        {
            "dataset": card.dataset,
            "weights_sha256": content_hash(weights) if weights else None,
            "seed": card.seed,
            "epoch": card.epoch,
            "distance": card.distance,
            "million_parameters": description.num_parameters / 1e6,
            **about,
            "card": card.to_json(),
        }
    )


def known_of_weights(cfg: Any, epoch: int | None, epoch_choice: str | None) -> dict[str, Any]:
    """Return the fields of a card that follow from where a model's weights come from.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` took random weights, which learnt from nothing.
        epoch: of the checkpoint, None if not known.
        epoch_choice: who chose it, as on a card.
    """
    weights = cfg.MODEL.WEIGHTS
    seed = seed_of_training(weights) if weights else cfg.get("SEED", -1)
    known = {"epoch": epoch, "epoch_choice": epoch_choice}
    if not weights:
        known = {"epoch": 0, **dict.fromkeys(("training_sets", "supervision", "combineall"))}
    return {"seed": None if seed is None or seed < 0 else seed, **known}


def seed_of_training(weights: str) -> int | None:
    """Return the ``SEED`` of the run that left a checkpoint, by the ``config.yaml`` beside it."""
    file = Path(weights).with_name("config.yaml")
    if not file.is_file():
        return None
    try:
        return int(read_config(str(file), []).get("SEED", -1))
    except (KeyError, ValueError, AssertionError) as error:
        logger.warning("%s: does not say the seed (%s)", file, error)
        return None


def _items(description: Description) -> tuple[list[Any], list[Any]]:
    items = list(
        zip(
            description.paths,
            description.pids.tolist(),
            description.camids.tolist(),
            strict=True,
        )
    )
    return items[: description.num_query], items[description.num_query :]
