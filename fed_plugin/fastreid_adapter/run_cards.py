"""Protocol cards of evaluations by the host, from the config and the ranked images."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import numbers
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import fastreid
import numpy
import torch
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch import META_ARCH_REGISTRY
from fastreid.utils import comm
from fastreid.utils.checkpoint import Checkpointer
from fastreid.utils.events import get_event_storage

import fed_plugin
from fed_plugin.arguments import UNTRAINED
from fed_plugin.datasets.fingerprints import same_photos
from fed_plugin.fastreid_adapter.mends.evaluator import OWN_PHOTOS
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step
from fed_plugin.fastreid_adapter.seeding import drawn_under
from fed_plugin.retrieval.card_files import write_card
from fed_plugin.retrieval.protocol_card import (
    BEST_ON_TEST,
    LAST,
    NO_SIDE_INFORMATION,
    OFF,
    Item,
    ProtocolCard,
    describe_lists,
)

logger = logging.getLogger("fastreid.fed_plugin.cards")

OWN_DATA = "FolderReID"
SECONDS_FOR_GIT = 5


def describe_evaluation(
    cfg: Any, dataset_name: str, query: Sequence[Item], gallery: Sequence[Item], **known: Any
) -> ProtocolCard:
    """Fill a card from a config and the ranked images.

    Args:
        cfg: config of the evaluation; its keys of training are taken as true.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        query: (path, pid, camid) of every ranked query.
        gallery: (path, pid, camid) of every ranked gallery image.
        **known: fields of the card that replace the fields from the config, such as ``epoch``.
    """
    sets, rerank, expansion = tuple(cfg.DATASETS.NAMES), cfg.TEST.RERANK, cfg.TEST.AQE
    drawn, own = drawn_under(dataset_name), {row for row, _ in same_photos(query, gallery)}
    fields = {
        "dataset": _display_name(cfg, dataset_name)
        + ("" if drawn is None else f", lists drawn with seed {drawn}"),
        **describe_lists(query, gallery, len(own)),
        "input_size": input_size(cfg),
        "distance": str(cfg.TEST.METRIC),
        "flip": bool(cfg.TEST.FLIP.ENABLED),
        "rerank": f"k-reciprocal, k1 {rerank.K1}, k2 {rerank.K2}, lambda {rerank.LAMBDA:g}"
        if rerank.ENABLED
        else OFF,
        "query_expansion": f"alpha query expansion, {expansion.QE_TIME} times, "
        f"k {expansion.QE_K}, alpha {expansion.ALPHA:g}"
        if expansion.ENABLED
        else OFF,
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
    """Return the (height, width) of the stock test pipeline, None if the sizes of images differ."""
    size = list(cfg.INPUT.SIZE_TEST)
    if cfg.INPUT.CROP.ENABLED:
        size = list(cfg.INPUT.CROP.SIZE) * (2 if len(cfg.INPUT.CROP.SIZE) == 1 else 1)
    return (int(size[0]), int(size[1])) if len(size) == 2 and size[0] > 0 else None


def side_information(cfg: Any) -> str | None:
    """Return the model's input at test time beyond the pixels, None if it is not known.

    ``TEST.SIDE_INFORMATION`` names the input. The value "auto" means "none" for models whose
    architecture, backbone and head are all fast-reid's or this plugin's: all of them see pixels
    alone.
    """
    declared = str(cfg.TEST.get("SIDE_INFORMATION", "auto"))
    if declared != "auto":
        return declared or None
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
    """Return the versions of the software of an evaluation."""
    return {
        "fed_plugin": fed_plugin.__version__,
        "fastreid": _host_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


@functools.cache
def checkout_commit(package_file: str) -> str | None:
    """Return the commit of a package's checkout, with ``-dirty`` for a changed one.

    The file is the ``__init__.py`` of a package at the top of its repository. The result is None
    for an installed package, and if git is missing or does not answer.
    """
    root = Path(package_file).resolve().parents[1]
    if not (root / ".git").exists():
        return None  # a repository around an installed package is not the package's
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        answer = subprocess.run(
            [*command, "--exclude=*"],
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},  # git writes nothing
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


def _host_version() -> str:
    """Return the installed version, or the version of a clone with the commit."""
    file = str(fastreid.__file__)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        installed = importlib.metadata.distribution("fastreid")
        if os.path.realpath(str(installed.locate_file("fastreid/__init__.py"))) == (
            os.path.realpath(file)
        ):
            return installed.version
    commit = checkout_commit(file)
    return fastreid.__version__ + (f" at {commit}" if commit else "")


_CHOICES = {"model_final": LAST, "model_best": BEST_ON_TEST}  # names of the host's checkpoints


LEARNT = ("training_sets", "supervision", "combineall")
"""Fields of a card about what the weights were trained on."""


def names_weights(path: str) -> bool:
    """Return whether ``MODEL.WEIGHTS`` is the path of weights, and no word for random ones."""
    return path not in ("", UNTRAINED)


class EvaluatedEpoch(NamedTuple):
    """Epoch of the weights of an evaluated model.

    Args:
        epoch: epochs of training, None if not known.
        choice: ``"last"``, ``"best on test"`` or None, as on a protocol card.
        label: distinguishes the evaluations of a run: the epoch, or the name of the checkpoint;
            empty if both are not known.
        trained: whether there was a training; False for weights that are drawn.
    """

    epoch: int | None = None
    choice: str | None = None
    label: str = ""
    trained: bool = True


def evaluated_epoch(cfg: Any, model: Any) -> EvaluatedEpoch:
    """Return the evaluated epoch.

    Within a training, the evaluated epoch is the epoch that just ended. Outside a training, the
    checkpoint ``MODEL.WEIGHTS`` has the epoch, if the model holds the weights of the checkpoint.
    """
    try:
        index = getattr(get_event_storage(), "epoch", None)  # set by the trainer, counted from 0
    except AssertionError:  # the host's way to say that nothing is being trained
        return _of_weights(cfg.MODEL.WEIGHTS, model)
    if index is None:
        return EvaluatedEpoch()
    epoch = int(index) + 1
    return EvaluatedEpoch(epoch, LAST if epoch == cfg.SOLVER.MAX_EPOCH else None, str(epoch))


def _of_weights(path: str, model: Any) -> EvaluatedEpoch:
    if not names_weights(path):
        return EvaluatedEpoch(0, trained=False) if path else EvaluatedEpoch()
    try:
        content = Checkpointer(model)._load_file(path)
    except (OSError, ValueError) as error:
        logger.warning("MODEL.WEIGHTS=%s: the card will not name its epoch: %s", path, error)
        return EvaluatedEpoch()
    fits = holds(model, content["model"])
    return epoch_of_checkpoint(path, content) if fits else EvaluatedEpoch()


def epoch_of_checkpoint(path: str, content: Mapping[str, Any]) -> EvaluatedEpoch:
    """Return the epoch of a checkpoint from its content and its name."""
    index = content.get("epoch")
    stem = os.path.splitext(os.path.basename(path))[0]
    known = isinstance(index, numbers.Integral) and -1 <= index < 1 << 31
    return EvaluatedEpoch(int(index) + 1 if known else None, _CHOICES.get(stem), stem)


@torch.no_grad()
def holds(model: Any, state: dict[str, Any]) -> bool:
    """Return whether all tensors of a model equal a checkpoint's tensors of equal name and shape.

    Args:
        model: bare, or wrapped for distributed training.
        state: values of the checkpoint by name.
    """
    own = getattr(model, "module", model).state_dict()
    theirs = {name: torch.as_tensor(state[name]) for name in own if name in state}
    same_shape = [
        name
        for name in theirs
        # a memory of other identities does not take over the mark of a filled memory
        if own[name].shape == theirs[name].shape and not name.endswith(".initialized")
    ]
    return bool(same_shape) and all(
        torch.equal(own[name].cpu(), theirs[name].to(own[name].dtype)) for name in same_shape
    )


# Every evaluation by the host leaves a protocol card: ``OUTPUT_DIR/cards/<dataset>_<epoch>.json``.
#
# The host's evaluators do not know the data set. Therefore a test loader gets an attribute with its
# data set when the loader is built. The host's function that runs a model over a loader writes the
# card after the evaluator has returned its numbers. This covers evaluators of other projects, and
# changes no number.

FOLDER = "cards"


@dataclass(frozen=True)
class _TestSet:
    cfg: Any
    name: str
    num_query: int


_ATTRIBUTE = "_fed_test_set"  # of a loader


def card_path(cfg: Any, dataset_name: str, label: str) -> Path:
    """Return the path of an evaluation's card; the label is that of the ``EvaluatedEpoch``."""
    return Path(cfg.OUTPUT_DIR, FOLDER, "_".join(filter(None, (dataset_name, label))) + ".json")


@host_step("fastreid.data.build", "build_reid_test_loader")
def remember_test_sets(call: Call) -> Iterator[None]:
    """Note on a test loader which data set of which config it loads."""
    cfg, name = call.cfg, call.kwargs.get("dataset_name")
    yield
    # An empty OUTPUT_DIR: the host writes nothing.
    if call.error is None and name and cfg is not None and cfg.OUTPUT_DIR:
        loader, num_query = call.result
        if num_query:
            with contextlib.suppress(AttributeError):  # a loader that takes no attributes
                setattr(loader, _ATTRIBUTE, _TestSet(cfg, name, num_query))


@host_step("fastreid.evaluation.evaluator", "inference_on_dataset")
def leave_cards(call: Call) -> Iterator[None]:
    """Leave the card of an evaluation when the evaluator has returned its numbers."""
    test_set = getattr(call.argument("data_loader"), _ATTRIBUTE, None)
    arguments = {
        name: call.argument(name) for name in ("model", "data_loader", "evaluator", "flip_test")
    }
    yield
    if call.error is None and test_set is not None and comm.is_main_process():
        _leave_card(test_set, arguments)


@host_step("fastreid.evaluation.evaluator", "inference_on_dataset")
def leave_own_photos_out(call: Call) -> Iterator[None]:
    """Tell the host's ranking which gallery images are the very photos of queries."""
    items = getattr(getattr(call.argument("data_loader"), "dataset", None), "img_items", ())
    count = getattr(call.argument("evaluator"), "_num_query", 0)
    ranked = [tuple(item[:3]) for item in items] if isinstance(count, int) else []
    own = same_photos(ranked[:count], ranked[count:]) if count else []
    if own:
        logger.warning(
            "%d of %d queries are gallery images, too, such as %s: each is left out of its own "
            "ranking",
            *(len({row for row, _ in own}), count, ranked[own[0][0]][0]),
        )
    token = OWN_PHOTOS.set([(row, count + other) for row, other in own])
    yield
    OWN_PHOTOS.reset(token)


def _leave_card(test_set: _TestSet, call: Mapping[str, Any]) -> None:
    """Write the card of a finished evaluation; any error becomes a warning in the log."""
    path = Path(test_set.cfg.OUTPUT_DIR, FOLDER)
    try:
        where = evaluated_epoch(test_set.cfg, call["model"])
        path = card_path(test_set.cfg, test_set.name, where.label)
        card = _describe(
            test_set,
            call["evaluator"],
            call["data_loader"].dataset.img_items,
            flip=bool(call.get("flip_test", False)),
            **({} if where.trained else dict.fromkeys(LEARNT)),
            epoch=where.epoch,
            epoch_choice=where.choice,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_card(card, path)
    except Exception as error:  # a failed card must not lose hours of evaluation
        logger.warning("%s: no protocol card: %s: %s", path, type(error).__name__, error)
    else:
        logger.info("Protocol card: %s", path)


def _describe(test_set: _TestSet, evaluator: Any, items: list[Any], **known: Any) -> ProtocolCard:
    # the way of ranking is known for the host's own evaluator alone
    from fastreid.evaluation import ReidEvaluator  # here, as loader workers do not need evaluators

    cfg = getattr(evaluator, "cfg", test_set.cfg)
    if getattr(type(evaluator), "evaluate", None) is not ReidEvaluator.evaluate:
        ranking = ("camera_rule", "distance", "rerank", "query_expansion")
        known.update(dict.fromkeys(ranking))
    ranked = [tuple(item[:3]) for item in items]
    query, gallery = ranked[: test_set.num_query], ranked[test_set.num_query :]
    return describe_evaluation(cfg, test_set.name, query, gallery, **known)
