"""Train and evaluate as fast-reid's ``tools/train_net.py`` does, and resolve benchmark configs.

The PyPI package of fast-reid ships no script; ``fed-plugin train`` calls this module instead.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import logging
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from fastreid.config import get_cfg
from fastreid.data import build, data_utils
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils import comm
from fastreid.utils.checkpoint import Checkpointer
from torch.optim import Optimizer

from fed_plugin.arguments import add_weights, find_config
from fed_plugin.fastreid_adapter.config import faults_of, report_faults
from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_training,
    config_faults,
    identity_faults,
    is_registered,
)
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.extract import with_the_trainings_seed
from fed_plugin.fastreid_adapter.loaders import as_current, check_shared_memory
from fed_plugin.fastreid_adapter.mends.loading import (
    check_balanced_identity_sampler,
    check_naive_identity_sampler,
    check_set_reweight_sampler,
)
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step
from fed_plugin.fastreid_adapter.mends.optimizer import check_schedule
from fed_plugin.fastreid_adapter.ranks import free_folder
from fed_plugin.files import flatten

logger = logging.getLogger("fastreid.fed_plugin.training")

# Mistakes of a config and of its data are refused together, before a training begins.

SECONDS = 3.0
"""Longest time to look for broken images before a training; ``data check`` reads all."""


def check_before_training(cfg: Any) -> None:
    """Refuse a training with all mistakes of its config and of its data, and what to try.

    Raises:
        ValueError: as ``check_config`` and :func:`check_datasets`; or images do not fit, or are
            broken.
        FileNotFoundError: see ``check_config``; or a set of this project is missing.
    """
    faults = config_faults(cfg, training=True)
    if not faults:
        ranks = comm.get_local_size()
        faults = faults_of(functools.partial(check_shared_memory, training=True, ranks=ranks), cfg)
    of_data, images = _list_all(cfg, training=True)
    broken = _unreadable([item[0] for items in images.values() for item in items])
    readable = [item for item in images["NAMES"] if item[0] not in broken]
    sentences, _ = fit_to_images(cfg, readable)
    if broken:
        more = f"; and {len(broken) - 20} more" if len(broken) > 20 else ""
        what = f"images that cannot be read: {'; '.join(list(broken.values())[:20])}{more}"
        sentences.append(f"{what}; try moving them out of the data")
    misfits = [ValueError(sentence) for sentence in sentences]
    report_faults([*faults, *of_data, *misfits])


def check_datasets(cfg: Any, *, training: bool = False) -> None:
    """Refuse names that nobody registered, and list the test sets; for training all sets.

    Raises:
        ValueError: See ``check_config``. Or a name is unknown, none is given to train on, or a set
            has no images or cannot be listed.
        FileNotFoundError: A set of this project is missing.
    """
    check_config(cfg)
    report_faults(_list_all(cfg, training)[0])


def _list_all(cfg: Any, training: bool) -> tuple[list[Exception], dict[str, list[Any]]]:
    """List data sets; return the mistakes, and the images of the sets without one by key."""
    faults: list[Exception] = []
    images: dict[str, list[Any]] = {"NAMES": [], "TESTS": []}
    if not cfg.DATASETS.NAMES:
        text = "DATASETS.NAMES=(): expected a data set to train on; try SynthOcc"
        faults.append(ValueError(text))
    for key, found in images.items():
        for name in cfg.DATASETS[key]:
            wrong = faults_of(_check_name, f"DATASETS.{key}", name)
            if not wrong and (training or key == "TESTS"):
                wrong = faults_of(_list, key, name, cfg, found)
            faults += wrong
    return faults, images


def _list(key: str, name: str, cfg: Any, found: list[Any]) -> None:
    trains = key == "NAMES"
    options = {"combineall": cfg.DATASETS.COMBINEALL} if trains else {}
    splits = ("train",) if trains else ("query", "gallery")
    try:
        with as_current(cfg):
            dataset = DATASET_REGISTRY.get(name)(root=build._root, **options)
            listed = {split: getattr(dataset, split) for split in splits}
    except (RuntimeError, AssertionError) as error:  # the host's own data sets
        raise ValueError(f"DATASETS.{key}: {name}: {error}") from error
    empty = [split for split, items in listed.items() if not items]
    if empty:
        raise ValueError(f"DATASETS.{key}: {name}: no {' and no '.join(empty)} images")
    found += [item for items in listed.values() for item in items]


def _unreadable(paths: list[str]) -> dict[str, str]:
    """Return why images cannot be read, by path, of those that the time suffices for."""
    stop, reasons = time.monotonic() + SECONDS, {}
    for path in dict.fromkeys(paths) if comm.is_main_process() else ():
        try:
            data_utils.read_image(path)
        except Exception as error:
            reasons[path] = str(error)
        if time.monotonic() > stop:
            break
    return reasons


def keys_that_fit(config: str, overrides: list[Any], items: list[Any]) -> dict[str, Any]:
    """Return the keys that an installed config needs, beside overrides, to train on images."""
    return fit_to_images(read_config(find_config(config), overrides, checked=False), items)[1]


_SAMPLER_CHECKS = {
    "NaiveIdentitySampler": check_naive_identity_sampler,
    "BalancedIdentitySampler": check_balanced_identity_sampler,
    "SetReWeightSampler": check_set_reweight_sampler,
}


def fit_to_images(cfg: Any, items: list[Any]) -> tuple[list[str], dict[str, Any]]:
    """Return what in a config does not fit the (path, pid, camid) of its training images.

    The second part are the keys that would fit. Nothing is said of no images.
    """
    cfg = cfg.clone()
    cfg.defrost()
    sentences, keys = [], {}

    def suggest(problem: str, more: dict[str, Any]) -> None:
        words = [str(word) for pair in more.items() for word in pair]
        cfg.merge_from_list([word for pair in more.items() for word in pair])
        keys.update(more)
        start = problem.partition("; try ")[0]
        sentences.append(f"{start}; try {' '.join(words) or 'more training images'}")

    if not items:
        return sentences, keys
    if len({item[1] for item in items}) == 1 and cfg.DATASETS.NAMES == ("FolderReID",):
        with as_current(cfg):
            division = DATASET_REGISTRY.get("FolderReID")(build._root).other_division()
        problem = (
            f"DATASETS.FOLDER_REID.SPLIT_SEED={cfg.DATASETS.FOLDER_REID.SPLIT_SEED}: leaves 1 "
        )
        if division:
            seed, items = division
            suggest(f"{problem}identity to train on", {"DATASETS.FOLDER_REID.SPLIT_SEED": seed})
    identities = len({item[1] for item in items})
    if 0 < cfg.MODEL.HEADS.NUM_CLASSES < identities:
        problem = f"MODEL.HEADS.NUM_CLASSES={cfg.MODEL.HEADS.NUM_CLASSES}: the data have "
        suggest(f"{problem}{identities} training identities", {"MODEL.HEADS.NUM_CLASSES": 0})
    counted = cfg.clone()
    counted.MODEL.HEADS.NUM_CLASSES = cfg.MODEL.HEADS.NUM_CLASSES or identities
    for fault in identity_faults(counted):
        fewer = {"MODEL.FED.FDM.NUM_NEIGHBORS": counted.MODEL.HEADS.NUM_CLASSES - 1}
        suggest(str(fault), fewer if identities > 1 else {"MODEL.FED.FDM.ENABLED": False})
    if cfg.TEST.EVAL_PERIOD < 1:
        problem = f"TEST.EVAL_PERIOD={cfg.TEST.EVAL_PERIOD}: expected epochs, 1 or more"
        suggest(problem, {"TEST.EVAL_PERIOD": cfg.SOLVER.MAX_EPOCH})
    images, instances = cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE
    if problem := _why_no_batch(cfg, items, images, instances):
        suggest(problem, _batch_that_fits(cfg, items))
    per_epoch = len(items) // cfg.SOLVER.IMS_PER_BATCH
    for fault in faults_of(check_schedule, cfg, per_epoch) if per_epoch else ():
        epochs = cfg.SOLVER.MAX_EPOCH // 5
        most = {"WARMUP_ITERS": epochs * per_epoch, "DELAY_EPOCHS": epochs}
        lower = {f"SOLVER.{key}": n for key, n in most.items() if cfg.SOLVER[key] > n}
        suggest(str(fault), lower)
    return sentences, keys


def _why_no_batch(cfg: Any, items: list[Any], images: int, instances: int) -> str:
    """Return why the sampler fills no batch of so many images; an empty string if it does."""
    check = _SAMPLER_CHECKS.get(cfg.DATALOADER.SAMPLER_TRAIN)
    share, weights = images // comm.get_world_size(), cfg.DATALOADER.SET_WEIGHT
    arguments = (items, share, instances, weights)
    if check is not None and (faults := faults_of(check, *arguments)):
        return str(faults[0])
    if images > len(items):
        return f"SOLVER.IMS_PER_BATCH={images}: expected at most the {len(items)} training images"
    return ""


def _batch_that_fits(cfg: Any, items: list[Any]) -> dict[str, Any]:
    """Return the batch nearest to the config's that its sampler fills, of 2 people if it can."""
    old = {
        "SOLVER.IMS_PER_BATCH": cfg.SOLVER.IMS_PER_BATCH,
        "DATALOADER.NUM_INSTANCE": cfg.DATALOADER.NUM_INSTANCE,
    }
    wanted, instances = old.values()
    ranks = comm.get_world_size()
    batches = range(2 * ranks, min(len(items), max(wanted, 64)) + 1, ranks)
    nearest = sorted(batches, key=lambda images: abs(images - wanted))
    each_of = sorted(range(1, max(instances, 4) + 1), key=lambda each: abs(each - instances))
    for people, least in ((2, 2), (1, 1)):
        for each, images in itertools.product(each_of, nearest):
            enough = each >= least and images >= ranks * people * each
            if enough and not _why_no_batch(cfg, items, images, each):
                new = dict(zip(old, (images, each), strict=True))
                return {key: value for key, value in new.items() if value != old[key]}
    return {}


def _check_name(key: str, name: str) -> None:
    known = sorted(DATASET_REGISTRY._obj_map)
    if name in known:
        return
    alike = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; try {alike[0]}" if alike else ""
    raise ValueError(f"{key}={name!r}: expected one of {', '.join(known)}{hint}")


def parse_flags(words: list[str], prog: str) -> Namespace:
    """Parse the stock script's flags; ``prog`` is the name in its help."""
    parser = default_argument_parser()
    parser.prog = prog
    add_weights(parser, untrained=True)
    return parser.parse_args(words)


def launch_ranks(main: Callable[[Namespace], Any], args: Namespace) -> None:
    """Call ``main(args)`` in as many processes as the flags say; one is this process."""
    launch(
        main,
        args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )


def train_or_evaluate(args: Namespace) -> Any:
    """Train in one rank, or evaluate with ``--eval-only``; return the results."""
    cfg = read_config(args.config_file, args.opts, checked=args.eval_only)
    cfg.freeze()
    if not args.eval_only:
        check_before_training(cfg)
    default_setup(cfg, args)
    if args.eval_only:
        try:
            return _evaluate(cfg)
        finally:
            free_folder(cfg.OUTPUT_DIR)
    trainer = DefaultTrainer(cfg)
    length = "Training %d epochs x %d iterations"  # benchmark.training_process reads this line
    logger.info(length, trainer.max_epoch, trainer.iters_per_epoch)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def _evaluate(cfg: Any) -> Any:
    cfg.defrost()
    cfg.MODEL.BACKBONE.PRETRAIN = False
    model = DefaultTrainer.build_model(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    return DefaultTrainer.test(with_the_trainings_seed(cfg), model)


# A benchmark's configs, resolved and checked before anything runs.

ALWAYS = ("DATASETS.NAMES", "DATASETS.TESTS", "SEED")
NEVER = ("OUTPUT_DIR",)
SCORED_WITHOUT = {
    "TEST.RERANK.ENABLED": False,
    "TEST.AQE.ENABLED": False,
}


@dataclass(frozen=True)
class ResolvedConfig:
    """Config with every key resolved, as YAML that the host reads.

    ``settings`` are JSON's values of the keys that differ from the host's, data sets and seed.
    """

    text: str
    settings: dict[str, Any]


def resolve_config(
    config_file: str, overrides: dict[str, Any], trained: bool = False
) -> ResolvedConfig:
    """Read a config with values by key on top, and check it, also for a training; read no data.

    Raises:
        ValueError: The file, a key or a value is wrong; the config asks for another scoring than
            that of the benchmark; or the config cannot be trained.
    """
    try:
        cfg = read_config(config_file, [word for pair in overrides.items() for word in pair])
        if trained:
            check_training(cfg)
    except (KeyError, ValueError, AssertionError, OSError) as error:
        raise ValueError(_message(error, config_file, overrides)) from error
    flat = flatten(cfg)
    for key, expected in SCORED_WITHOUT.items():
        if flat.get(key, expected) != expected:
            raise ValueError(
                f"{config_file}: {key}={flat[key]!r}: every method is scored alike, with "
                f"{expected!r}; try {key}: {expected} in overrides"
            )
    if not is_registered(META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE):
        raise ValueError(
            f"{config_file}: MODEL.META_ARCHITECTURE={cfg.MODEL.META_ARCHITECTURE!r}: not "
            "registered; a plugin that has it must be installed"
        )
    defaults = flatten(get_cfg())
    settings = {
        key: value
        for key, value in sorted(flat.items())
        if key in ALWAYS or (key not in NEVER and value != defaults.get(key, ...))
    }
    return ResolvedConfig(cfg.dump(), settings)


def check_benchmark_datasets(
    config_file: str, overrides: dict[str, Any], trained: bool = True
) -> None:
    """List the data sets of a config, so that a missing set is not met hours later.

    Raises:
        ValueError: A name is not registered, or a data set is missing or not whole.
    """
    cfg = read_config(config_file, [word for pair in overrides.items() for word in pair])
    try:
        check_datasets(cfg, training=trained)
    except (OSError, ValueError) as error:
        raise ValueError(f"datasets: {error}") from error


def _message(error: Exception, config_file: str, overrides: dict[str, Any]) -> str:
    """Return what is wrong with a config, beginning with where the value is."""
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if text.startswith((f"{config_file}: ", "overrides: ")):
        return text
    where = "overrides" if text.partition("=")[0] in overrides else config_file
    return f"{where}: {text}"


# ``SOLVER.FUSED``: an optimizer that reads weights, gradients and momenta once.
#
# PyTorch's default copies all gradients for the weight decay and reads them five times. With the
# host's flat buffers the copy is as large as the model, in every step. On the CPU the fused update
# takes a quarter of the time or less (benchmarks/speed/choices.py).


@host_step("fastreid.solver.build", "build_optimizer")
def fuse_if_configured(call: Call) -> Iterator[None]:
    """Let the host's ``build_optimizer`` read ``SOLVER.FUSED``."""
    cfg = call.argument("cfg")
    yield
    if call.error is None and cfg.SOLVER.FUSED:
        fuse(call.result[0] if isinstance(call.result, tuple) else call.result)


def fuse(optimizer: Optimizer) -> bool:
    """Let an optimizer update in one pass if PyTorch can; numbers agree up to rounding.

    Returns:
        Whether PyTorch can, for the class of the optimizer and the device of the weights.
    """
    kind = next(one for one in type(optimizer).__mro__ if one.__module__.startswith("torch.optim"))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not all(_can_fuse(kind, weight.device.type) for weight in weights):
        return False
    for group in optimizer.param_groups:
        group["fused"] = True
    return True


@functools.cache
def _can_fuse(kind: type[Optimizer], device: str) -> bool:
    """Try a step of one weight, as the optimizers and devices that can differ among versions."""
    weight = torch.zeros(1, device=device, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    try:
        kind([weight], lr=0.1, fused=True).step()  # type: ignore[call-arg]
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
