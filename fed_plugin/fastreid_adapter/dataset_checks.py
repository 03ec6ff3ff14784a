"""What a training would stumble over only at its first evaluation, looked at before it begins."""

from __future__ import annotations

import difflib
from typing import Any

from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY

from fed_plugin.fastreid_adapter.datasets import FolderDataset
from fed_plugin.fastreid_adapter.loader_config import as_current


def check_datasets(cfg: Any) -> None:
    """Refuse names that nobody registered, and list this project's test sets.

    Raises:
        ValueError: no training set, an unknown name in ``DATASETS.NAMES`` or ``DATASETS.TESTS``, or
            what listing a test set raises.
        FileNotFoundError: a test set is not there.
    """
    if not cfg.DATASETS.NAMES:
        raise ValueError("DATASETS.NAMES=(): expected a data set to train on; try SynthOcc")
    for key in ("NAMES", "TESTS"):
        for name in cfg.DATASETS[key]:
            _check_name(f"DATASETS.{key}", name)
    with as_current(cfg):
        for name in cfg.DATASETS.TESTS:
            kind = DATASET_REGISTRY.get(name)
            if isinstance(kind, type) and issubclass(kind, FolderDataset):
                dataset = kind(root=build._root)
                _ = dataset.query, dataset.gallery


def _check_name(key: str, name: str) -> None:
    known = sorted(DATASET_REGISTRY._obj_map)
    if name in known:
        return
    alike = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; try {alike[0]}" if alike else ""
    raise ValueError(f"{key}={name!r}: expected one of {', '.join(known)}{hint}")
