"""Benchmarks and own data under the names that ``DATASETS.NAMES`` and ``DATASETS.TESTS`` take.

Every benchmark is one row of ``fed_plugin.datasets.layouts``. The names differ from the names of
fast-reid's ``projects/PartialReID``, therefore one process can hold both.
"""

from __future__ import annotations

import filecmp
import logging
import os
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset

from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.own_data import OwnData, read_own_data
from fed_plugin.datasets.own_split import SplitRule
from fed_plugin.datasets.splits import MARKET_NAMES, Item, Layout, list_split
from fed_plugin.fastreid_adapter.config import check_keys, table_values
from fed_plugin.fastreid_adapter.config_checks import check_p_dukemtmc, p_dukemtmc_protocol
from fed_plugin.fastreid_adapter.loaders import current_config

TrainItem = tuple[str, str, str]

logger = logging.getLogger("fastreid.fed_plugin.datasets")


class FolderDataset(ImageDataset):
    """Dataset with the folders of a layout, whose splits are listed at their first use.

    Training identities and cameras are strings that begin with the dataset's name, as everywhere in
    the host. Therefore several training sets never share one. Identities and cameras of queries and
    gallery are ints.

    With ``combineall`` queries and gallery join the training images. A gallery file that is also a
    query file (same name, same bytes) joins once, and the log has the number of such files.

    Args:
        root: folder that holds the dataset's folder; the host passes ``FASTREID_DATASETS``.
        mode: split behind ``data``: ``"train"``, ``"query"`` or ``"gallery"``.
        combineall: whether to train on queries and gallery, too.
        queries: name of a query set, for a dataset with several (Partial-REID).
        **kwargs: further arguments of the host's ``ImageDataset``.

    Raises:
        FileNotFoundError: at the first use of a split, the split is not there.
        ValueError: ``mode`` or ``queries`` is unknown; or, at the first use, a dataset for testing
            only has no training images.
    """

    layout: Layout
    dataset_name: str  # the host's word for the prefix of training identities

    def __init__(
        self,
        root: str = "datasets",
        mode: str = "train",
        combineall: bool = False,
        queries: str | None = None,
        **kwargs: Any,
    ) -> None:
        # The host's constructor lists the split that `mode` names: it gets empty splits.
        super().__init__([], [], [], mode=mode, combineall=False, **kwargs)
        if queries is not None:
            self.layout = self.layout.with_queries(queries)
        self.root = root
        self.combineall = combineall
        self._train = self._list_combined if combineall else self._list_train
        self._query = partial(self._list, "query")
        self._gallery = partial(self._list, "gallery")

    @property
    def data(self) -> list:
        """The split that ``mode`` names."""
        return getattr(self, self.mode)

    @data.setter
    def data(self, _: list) -> None:
        """Ignore the empty split of the host's constructor."""

    def combine_all(self) -> None:
        """Add queries and gallery to the training images."""
        self._train = self._list_combined

    def _list(self, split: str) -> list[Item]:
        return list_split(self.layout, self.root, split, log=logger)

    def _list_train(self) -> list[TrainItem]:
        if "train" not in self.layout.splits:
            raise ValueError(
                f"DATASETS.NAMES={self.layout.name}: expected a dataset with training images, this "
                "one is for testing only; try naming it in DATASETS.TESTS and training on another, "
                "such as Market1501"
            )
        return self._prefixed(self._list("train"), self.dataset_name)

    def _list_combined(self) -> list[TrainItem]:
        train = self._list_train() if "train" in self.layout.splits else []
        test = [*self.query, *self._gallery_files_that_are_no_query_files()]
        test = [item for item in test if item[1] not in self.layout.distractor_pids]
        return train + self._prefixed(test, f"{self.dataset_name}_test")

    def _gallery_files_that_are_no_query_files(self) -> list[Item]:
        queries = {os.path.basename(path): path for path, _, _ in self.query}

        def is_query(path: str) -> bool:
            twin = queries.get(os.path.basename(path))
            return twin is not None and filecmp.cmp(path, twin, shallow=False)

        kept = [item for item in self.gallery if not is_query(item[0])]
        if len(kept) < len(self.gallery):
            logger.info(
                "%s: DATASETS.COMBINEALL takes %d of %d gallery files once, as queries only",
                *(self.layout.name, len(self.gallery) - len(kept), len(self.gallery)),
            )
        return kept

    @staticmethod
    def _prefixed(items: list[Item], prefix: str) -> list[TrainItem]:
        return [(path, f"{prefix}_{pid}", f"{prefix}_{camid}") for path, pid, camid in items]


class TwoProtocols(FolderDataset):
    """Dataset that papers test in two ways (P-DukeMTMC-reID).

    ``DATASETS.P_DUKEMTMC.PROTOCOL`` names the protocol; the log names the protocol whenever the
    queries are listed for a config.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cfg = current_config()
        if cfg is not None:
            self._query = partial(self._list_queries, cfg)

    def _list_queries(self, cfg: Any) -> list[Item]:
        check_p_dukemtmc(cfg, tested=True)
        logger.info("%s: %s", self.layout.name, p_dukemtmc_protocol(cfg))
        return self._list("query")


def register_unless_taken(ours: type[FolderDataset]) -> type[FolderDataset]:
    """Register a class under its name, unless the name is taken; return the registered class.

    The host refuses a second registration of a name. A class of another project keeps the name, and
    the log has a warning.
    """
    try:
        there = DATASET_REGISTRY.get(ours.__name__)
    except KeyError:
        DATASET_REGISTRY.register(ours)
        return ours
    if there.__module__ == ours.__module__:
        return there
    logger.warning(
        "DATASET_REGISTRY: %s is already registered by %s, which keeps the name; the dataset of "
        "fed_plugin is left out",
        *(ours.__name__, there.__module__),
    )
    return ours


def _registered(layout: Layout) -> type[FolderDataset]:
    base = TwoProtocols if layout.protocols else FolderDataset
    name = (layout.people or layout.name).lower()
    body = {"layout": layout, "dataset_name": name, "__module__": __name__}
    return register_unless_taken(type(layout.name, (base,), body))


for _layout in LAYOUTS.values():
    if not _layout.checked_only:
        globals()[_layout.name] = _registered(_layout)


NAME = "FolderReID"
_KEYS = "DATASETS.FOLDER_REID"

_explained: set[tuple[str, ...]] = set()


class FolderReID(FolderDataset):
    """Own images as a dataset, with the place and the division that ``DATASETS.FOLDER_REID`` sets.

    :func:`fed_plugin.datasets.own_data.read_own_data` reads the folders; a process logs the
    explanation once. ``NAME/`` lies below ``root`` if the key ``ROOT`` is empty. Training
    identities begin with the key ``NAME``; with ``combineall`` a person in training and testing is
    one identity.

    Raises:
        ValueError: a key's value is wrong; or, at the first use of a split, the data cannot be
            read or the split has no image.
        FileNotFoundError: at the first use of a split, there is no such folder.
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
        if cfg is not None:
            check_keys(table_values(cfg), "")
        keys = cfg.DATASETS.FOLDER_REID if cfg is not None else {}
        self.dataset_name = keys.get("NAME", NAME)
        self.path = keys.get("ROOT", "") or os.path.join(root, self.dataset_name)
        self.rule = SplitRule(
            keys.get("TEST_SHARE", SplitRule.test_share),
            keys.get("QUERIES", SplitRule.queries),
            keys.get("SPLIT_SEED", SplitRule.seed),
        )
        super().__init__(root=root, mode=mode, combineall=combineall, **kwargs)

    @cached_property
    def own(self) -> OwnData:
        """Images that were read, with an explanation."""
        own = read_own_data(self.path, self.rule)
        if own.explanation not in _explained:
            if logger.hasHandlers():  # before a run's log is set up, nobody reads the explanation
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

    def other_division(self) -> tuple[int, list[TrainItem]] | None:
        """Return the first seed that leaves two or more people for training, and their images."""
        for seed in range(20):
            own = read_own_data(self.path, replace(self.rule, seed=seed))
            if len({item[1] for item in own.train}) > 1:
                return seed, self._prefixed(own.train, self.dataset_name)
        return None


register_unless_taken(FolderReID)
