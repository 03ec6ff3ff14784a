"""Somebody's own images as the dataset ``FolderReID``: config keys say where, no Python needed."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import Any

from fed_plugin.datasets.layouts import Item, Layout
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.names import MARKET_NAMES
from fed_plugin.datasets.own import OwnData, SplitRule, read_own_data
from fed_plugin.fastreid_adapter.datasets import FolderDataset, TrainItem, register_unless_taken
from fed_plugin.fastreid_adapter.key_checks import check_value
from fed_plugin.fastreid_adapter.loader_config import current_config

NAME = "FolderReID"
_KEYS = "DATASETS.FOLDER_REID"

logger = logging.getLogger("fastreid.fed_plugin.datasets")
_explained: set[tuple[str, ...]] = set()


class FolderReID(FolderDataset):
    """List own data, found and divided as the keys of ``DATASETS.FOLDER_REID`` say.

    Folders, names and tables are what :func:`fed_plugin.datasets.own.read_own_data` takes; its
    explanation is logged once per process. Training identities begin with the key ``NAME``. With
    ``combineall`` somebody who is in training and in testing stays one identity.

    Args:
        root: folder that holds ``NAME/`` where the key ``ROOT`` is empty; the host passes
            ``FASTREID_DATASETS``.
        mode: as for the benchmarks, like ``combineall``.
        combineall: train on queries and gallery, too.
        **kwargs: what the host's ``ImageDataset`` takes.

    Raises:
        ValueError: A key's value is wrong; at the first use of a split, the data cannot be read or
            have no image in it.
        FileNotFoundError: At the first use of a split, nothing is there.
    """

    layout = Layout(
        name=NAME,
        folders=(NAME,),
        splits={split: (split,) for split in ("train", "query", "gallery")},
        names=MARKET_NAMES,
    )
    dataset_name = NAME

    def __init__(
        self, root: str = "datasets", mode: str = "train", combineall: bool = False, **kwargs: Any
    ) -> None:
        cfg = current_config()
        keys = cfg.DATASETS.FOLDER_REID if cfg is not None else {}
        self.dataset_name = keys.get("NAME", NAME)
        check_value(f"{_KEYS}.NAME", self.dataset_name)
        self.path = keys.get("ROOT", "") or os.path.join(root, self.dataset_name)
        self.rule = SplitRule(
            keys.get("TEST_SHARE", SplitRule.test_share),
            keys.get("QUERIES", SplitRule.queries),
            keys.get("SPLIT_SEED", SplitRule.seed),
        )
        super().__init__(root=root, mode=mode, combineall=combineall, **kwargs)

    @cached_property
    def own(self) -> OwnData:
        """What was read, with its explanation."""
        own = read_own_data(self.path, self.rule)
        if own.explanation not in _explained:
            _explained.add(own.explanation)
            level = logging.WARNING if own.warnings else logging.INFO
            logger.log(level, "%s\n  %s", self.dataset_name, "\n  ".join(own.explanation))
        return own

    def _list(self, split: str) -> list[Item]:
        items = getattr(self.own, split)
        if not items:
            key, other = ("NAMES", "TESTS") if split == "train" else ("TESTS", "NAMES")
            raise ValueError(
                f"DATASETS.{key}={NAME}: expected {split} images in {printable(self.path)} "
                f"({_KEYS}.ROOT), got none. {self.own.explanation[-1]} Try adding some, or naming "
                f"{NAME} in DATASETS.{other} only"
            )
        return items

    def _list_combined(self) -> list[TrainItem]:
        images = {item[0]: item for item in self.own.train + self.own.query + self.own.gallery}
        people = [item for item in images.values() if item[1] not in self.own.distractor_pids]
        return self._prefixed(people, self.dataset_name)


register_unless_taken(FolderReID)
