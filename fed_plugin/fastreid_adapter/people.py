"""Other people of the training set, as occluders: who they are and where their images lie."""

from __future__ import annotations

from typing import Any

from fed_plugin import transforms
from fed_plugin.fastreid_adapter.loader_config import training_items


def training_people(cfg: Any) -> transforms.PeopleSet:
    """List the training images of ``DATASETS.NAMES``, as the stock train loader would.

    No image is decoded here; each loader worker decodes what it needs.

    Raises:
        FileNotFoundError: a data set is not there.
        ValueError: the data sets have fewer than two training identities together.
    """
    items = training_items(cfg)
    paths, pids = [item[0] for item in items], [item[1] for item in items]
    return transforms.PeopleSet(paths, pids, key="INPUT.NPO.PEOPLE.PROB")
