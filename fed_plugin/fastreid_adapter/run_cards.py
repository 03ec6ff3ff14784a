"""The protocol card of an evaluation by the host: from its config and the images it ranked."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastreid
import numpy
import torch
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch import META_ARCH_REGISTRY

import fed_plugin
from fed_plugin.retrieval.card_lists import Item, describe_lists
from fed_plugin.retrieval.protocol_card import (
    CAMERA_RULE,
    NO_SIDE_INFORMATION,
    OFF,
    ProtocolCard,
)

OWN_DATA = "FolderReID"
SECONDS_FOR_GIT = 5


def describe_evaluation(
    cfg: Any, dataset_name: str, query: Sequence[Item], gallery: Sequence[Item], **known: Any
) -> ProtocolCard:
    """Fill a card with what a config and the ranked images say.

    Args:
        cfg: config of the evaluation. What it says of training is believed.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        query: (path, pid, camid) of every query, as it was ranked.
        gallery: likewise.
        **known: fields of the card that are known better, such as ``epoch`` and ``epoch_choice``.
    """
    sets = tuple(cfg.DATASETS.NAMES)
    fields = {
        "dataset": _display_name(cfg, dataset_name),
        **describe_lists(query, gallery),
        "camera_rule": CAMERA_RULE,
        "input_size": input_size(cfg),
        "distance": str(cfg.TEST.METRIC),
        "flip": bool(cfg.TEST.FLIP.ENABLED),
        "rerank": _rerank(cfg.TEST.RERANK),
        "query_expansion": _query_expansion(cfg.TEST.AQE),
        "side_information": side_information(cfg),
        "training_sets": tuple(_display_name(cfg, name) for name in sets),
        "supervision": "supervised" if dataset_name in sets else "transfer",
        "combineall": bool(cfg.DATASETS.COMBINEALL),
        "seed": cfg.SEED if cfg.get("SEED", -1) >= 0 else None,
        "versions": software_versions(),
        "commit": checkout_commit(fed_plugin.__file__),
    }
    return ProtocolCard(**{**fields, **known})


def input_size(cfg: Any) -> tuple[int, int] | None:
    """Return the (height, width) that the stock test pipeline yields, None where images differ."""
    size = list(cfg.INPUT.SIZE_TEST)
    if cfg.INPUT.CROP.ENABLED:
        size = list(cfg.INPUT.CROP.SIZE) * (2 if len(cfg.INPUT.CROP.SIZE) == 1 else 1)
    return (int(size[0]), int(size[1])) if len(size) == 2 and size[0] > 0 else None


def side_information(cfg: Any) -> str | None:
    """Return what the model is told at test time beyond the pixels, None where nobody knows.

    ``TEST.SIDE_INFORMATION`` says so. Left at "auto", it is "none" for models whose architecture,
    backbone and head are all fast-reid's or this plugin's, for none of those is told anything.
    """
    said = str(cfg.TEST.get("SIDE_INFORMATION", "auto"))
    if said != "auto":
        return said or None
    parts = (
        (META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE),
        (BACKBONE_REGISTRY, cfg.MODEL.BACKBONE.NAME),
        (REID_HEADS_REGISTRY, cfg.MODEL.HEADS.NAME),
    )
    try:
        rooms = {registry.get(name).__module__.partition(".")[0] for registry, name in parts}
    except KeyError:  # a model that was not built from the registries
        return None
    return NO_SIDE_INFORMATION if rooms <= {"fastreid", "fed_plugin"} else None


def software_versions() -> dict[str, str]:
    """Return the versions of what an evaluation runs on."""
    return {
        "fed_plugin": fed_plugin.__version__,
        "fastreid": _host_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


@functools.cache
def checkout_commit(package_file: str) -> str | None:
    """Return the commit of the checkout a package is used from, with ``-dirty`` if it was changed.

    None where the package is installed, git is missing, or it does not answer.

    Args:
        package_file: the ``__init__.py`` of a package at the top of its repository.
    """
    root = Path(package_file).resolve().parents[1]
    if not (root / ".git").exists():
        return None  # a repository around an installed package is somebody else's
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        answer = subprocess.run(
            [*command, "--exclude=*"],
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},  # only looking
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_GIT,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _display_name(cfg: Any, name: str) -> str:
    if name != OWN_DATA:
        return name
    return cfg.DATASETS.get("FOLDER_REID", {}).get("NAME", "") or name


def _rerank(keys: Any) -> str:
    if not keys.ENABLED:
        return OFF
    return f"k-reciprocal, k1 {keys.K1}, k2 {keys.K2}, lambda {keys.LAMBDA:g}"


def _query_expansion(keys: Any) -> str:
    if not keys.ENABLED:
        return OFF
    return f"alpha query expansion, {keys.QE_TIME} times, k {keys.QE_K}, alpha {keys.ALPHA:g}"


def _host_version() -> str:
    """Return the installed version, or that of a clone with its commit."""
    file = str(fastreid.__file__)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        installed = importlib.metadata.distribution("fastreid")
        if os.path.realpath(str(installed.locate_file("fastreid/__init__.py"))) == (
            os.path.realpath(file)
        ):
            return installed.version
    commit = checkout_commit(file)
    return fastreid.__version__ + (f" at {commit}" if commit else "")
