"""Every evaluation by the host leaves a protocol card: ``OUTPUT_DIR/cards/<dataset>_<epoch>.json``.

The host's evaluators are not told which data set they get, its loaders not for whom they load. So
a test loader is remembered with its data set when it is built, and the host's function that runs a
model over a loader writes the card when the evaluator has returned its numbers. Evaluators of other
projects are covered, and the numbers are not touched.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fastreid.data import build
from fastreid.utils import comm

import projects_registry
from fed_plugin.fastreid_adapter.card import describe_evaluation
from fed_plugin.fastreid_adapter.compat import rebind
from fed_plugin.fastreid_adapter.evaluated_epoch import evaluated_epoch
from fed_plugin.retrieval.card_files import write_card
from fed_plugin.retrieval.protocol_card import ProtocolCard

FOLDER = "cards"

logger = logging.getLogger("fastreid.fed_plugin.cards")


@dataclass(frozen=True)
class _TestSet:
    cfg: Any
    name: str
    num_query: int


_ATTRIBUTE = "_fed_test_set"  # of a loader


def extend_stock_evaluations() -> None:
    """Have evaluations by the host leave their cards; twice is once."""
    if not getattr(build.build_reid_test_loader, "remembers_test_sets", False):
        _remember_test_sets(build.build_reid_test_loader)
    projects_registry.after("fastreid.evaluation.evaluator", _leave_cards)


def card_path(cfg: Any, dataset_name: str, label: str) -> Path:
    """Return where the card of an evaluation lies.

    Args:
        cfg: host config.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        label: epochs trained, within a training; else the checkpoint's name without its ending;
            empty if neither is known.
    """
    return Path(cfg.OUTPUT_DIR, FOLDER, "_".join(filter(None, (dataset_name, label))) + ".json")


def _remember_test_sets(stock: Callable[..., Any]) -> None:
    @functools.wraps(stock)
    def build_reid_test_loader(*args: Any, **kwargs: Any) -> Any:
        loader, num_query = stock(*args, **kwargs)
        cfg = args[0] if args else kwargs.get("cfg")
        wanted = hasattr(cfg, "DATASETS") and cfg.OUTPUT_DIR  # empty: the host writes nothing
        if wanted and num_query and kwargs.get("dataset_name"):
            with contextlib.suppress(AttributeError):  # a loader that takes no attributes
                setattr(loader, _ATTRIBUTE, _TestSet(cfg, kwargs["dataset_name"], num_query))
        return loader, num_query

    build_reid_test_loader.remembers_test_sets = True  # type: ignore[attr-defined]
    build.build_reid_test_loader = build_reid_test_loader
    rebind(stock, build_reid_test_loader)


def _leave_cards(module: ModuleType) -> None:
    stock = module.inference_on_dataset
    if getattr(stock, "leaves_cards", False):
        return
    signature = inspect.signature(stock)

    @functools.wraps(stock)
    def inference_on_dataset(*args: Any, **kwargs: Any) -> Any:
        results = stock(*args, **kwargs)
        call = signature.bind(*args, **kwargs).arguments
        test_set = getattr(call.get("data_loader"), _ATTRIBUTE, None)
        if test_set is not None and comm.is_main_process():
            _leave_card(test_set, call)
        return results

    inference_on_dataset.leaves_cards = True  # type: ignore[attr-defined]
    module.inference_on_dataset = inference_on_dataset
    rebind(stock, inference_on_dataset)


def _leave_card(test_set: _TestSet, call: Mapping[str, Any]) -> None:
    """Write the card of a finished evaluation; whatever goes wrong is a warning in the log.

    Args:
        test_set: what was ranked.
        call: arguments of the host's function by name.
    """
    path = Path(test_set.cfg.OUTPUT_DIR, FOLDER)
    try:
        where = evaluated_epoch(test_set.cfg, call["model"])
        path = card_path(test_set.cfg, test_set.name, where.label)
        card = _describe(
            test_set,
            call["evaluator"],
            call["data_loader"].dataset.img_items,
            flip=bool(call.get("flip_test", False)),
            epoch=where.epoch,
            epoch_choice=where.choice,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_card(card, path)
    except Exception as error:  # hours of evaluation must not be lost for a note about them
        logger.warning("%s: no protocol card: %s: %s", path, type(error).__name__, error)
    else:
        logger.info("Protocol card: %s", path)


def _describe(test_set: _TestSet, evaluator: Any, items: list[Any], **known: Any) -> ProtocolCard:
    """Fill the card; how images are ranked is known of the host's own evaluator alone."""
    from fastreid.evaluation import ReidEvaluator  # not earlier: loader workers do not need it

    cfg = getattr(evaluator, "cfg", test_set.cfg)
    if getattr(type(evaluator), "evaluate", None) is not ReidEvaluator.evaluate:
        ranking = ("camera_rule", "distance", "rerank", "query_expansion")
        known.update(dict.fromkeys(ranking))
    ranked = [tuple(item[:3]) for item in items]
    query, gallery = ranked[: test_set.num_query], ranked[test_set.num_query :]
    return describe_evaluation(cfg, test_set.name, query, gallery, **known)
