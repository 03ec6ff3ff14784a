"""Other people of the training set, as occluders: who they are and where their images lie."""

from __future__ import annotations

from typing import Any

from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY

from fed_plugin import transforms
from fed_plugin.fastreid_adapter.loader_config import as_current


def training_people(cfg: Any) -> transforms.PeopleSet:
    """List the training images of ``DATASETS.NAMES``, as the stock train loader would.

    No image is decoded here; each loader worker decodes what it needs.

    Raises:
        FileNotFoundError: a data set is not there.
        ValueError: the data sets have fewer than two training identities together.
    """
    items: list[tuple[str, Any, Any]] = []
    with as_current(cfg):
        for name in cfg.DATASETS.NAMES:
            dataset = DATASET_REGISTRY.get(name)(
                root=build._root, combineall=cfg.DATASETS.COMBINEALL
            )
            items.extend(dataset.train)
    paths, pids = [item[0] for item in items], [item[1] for item in items]
    return transforms.PeopleSet(paths, pids, key="INPUT.NPO.PEOPLE.PROB")
