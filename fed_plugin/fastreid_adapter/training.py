"""Train and evaluate as fast-reid's ``tools/train_net.py`` does, and resolve benchmark configs.

The PyPI package of fast-reid ships no script; ``fed-plugin train`` calls this module instead.
"""

from __future__ import annotations

import difflib
import functools
import logging
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from fastreid.config import get_cfg
from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils.checkpoint import Checkpointer
from torch.optim import Optimizer

from fed_plugin.fastreid_adapter.config_checks import check_config, check_training, is_registered
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.loaders import as_current
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step

logger = logging.getLogger("fastreid.fed_plugin.training")

# Mistakes that a training would meet only at its first evaluation are refused before it begins.


def check_datasets(cfg: Any, *, training: bool = False) -> None:
    """Refuse names that nobody registered, and list the test sets.

    Args:
        cfg: Config of the host.
        training: Whether to list the training sets, too; a training lists them at once.

    Raises:
        ValueError: See ``check_config``. Or ``DATASETS.NAMES`` is empty, a name in
            ``DATASETS.NAMES`` or ``DATASETS.TESTS`` is unknown, or a set has no images or cannot
            be listed.
        FileNotFoundError: A set of this project is missing.
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


def parse_flags(words: list[str], prog: str) -> Namespace:
    """Parse the stock script's flags; ``prog`` is the name in its help."""
    parser = default_argument_parser()
    parser.prog = prog
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
    cfg = read_config(args.config_file, args.opts)
    cfg.freeze()
    (check_config if args.eval_only else check_training)(cfg)
    default_setup(cfg, args)
    if args.eval_only:
        return _evaluate(cfg)
    check_datasets(cfg)
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
    return DefaultTrainer.test(cfg, model)


# A benchmark's configs, resolved and checked before anything runs.

ALWAYS = ("DATASETS.NAMES", "DATASETS.TESTS", "SEED")
NEVER = ("OUTPUT_DIR",)
SCORED_WITHOUT = {
    "TEST.RERANK.ENABLED": False,
    "TEST.AQE.ENABLED": False,
}


@dataclass(frozen=True)
class ResolvedConfig:
    """Config with every key resolved.

    Attributes:
        text: The whole config, as YAML that the host reads.
        settings: Values that differ from the host's defaults, and the data sets and seed, by dotted
            key; values are those of JSON.
    """

    text: str
    settings: dict[str, Any]


def resolve_config(
    config_file: str, overrides: dict[str, Any], trained: bool = False
) -> ResolvedConfig:
    """Read a config, set keys in the config, and check the config without reading data.

    Args:
        config_file: Path of the config.
        overrides: Values by key.
        trained: Whether the needs of a training are checked, too.

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
    flat = _flatten(cfg)
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
    defaults = _flatten(get_cfg())
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


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _plain(value)
    return flat


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


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
