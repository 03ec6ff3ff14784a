"""What a training would stumble over only at its first evaluation, looked at before it begins."""

from __future__ import annotations

import difflib
from typing import Any

from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY

from fed_plugin.fastreid_adapter.config_checks import check_config
from fed_plugin.fastreid_adapter.loader_config import as_current


def check_datasets(cfg: Any, *, training: bool = False) -> None:
    """Refuse names that nobody registered, and list the test sets.

    Args:
        cfg: a host config.
        training: list the training sets, too; a training does so by itself at once.

    Raises:
        ValueError: see ``check_config``; no training set, an unknown name in ``DATASETS.NAMES`` or
            ``DATASETS.TESTS``, or a set without images, or that cannot be listed.
        FileNotFoundError: a set of this project is not there.
    """
    check_config(cfg)
    if not cfg.DATASETS.NAMES:
        raise ValueError("DATASETS.NAMES=(): expected a data set to train on; try SynthOcc")
    for key in ("NAMES", "TESTS"):
        for name in cfg.DATASETS[key]:
            _check_name(f"DATASETS.{key}", name)
    if training:
        _list("NAMES", ("train",), cfg)
    _list("TESTS", ("query", "gallery"), cfg)


def _list(key: str, splits: tuple[str, ...], cfg: Any) -> None:
    """List splits of the data sets that a key names."""
    for name in cfg.DATASETS[key]:
        try:
            with as_current(cfg):
                dataset = DATASET_REGISTRY.get(name)(root=build._root)
                empty = [split for split in splits if not getattr(dataset, split)]
        except (RuntimeError, AssertionError) as error:  # the host's own data sets
            raise ValueError(f"DATASETS.{key}: {name}: {error}") from error
        if empty:
            raise ValueError(f"DATASETS.{key}: {name}: no {' and no '.join(empty)} images")


def _check_name(key: str, name: str) -> None:
    known = sorted(DATASET_REGISTRY._obj_map)
    if name in known:
        return
    alike = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; try {alike[0]}" if alike else ""
    raise ValueError(f"{key}={name!r}: expected one of {', '.join(known)}{hint}")
