"""Rows 14 and 17: a seed, and mixed precision without CUDA."""

from __future__ import annotations

import functools
import inspect
import logging
import warnings
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import cuda_is_available, mend, mentions, replace

logger = logging.getLogger("fastreid.compat")


@mend(
    row=14,
    after="fastreid.engine.defaults",
    reason="there is no seed key: two runs of one config differ",
)
def default_setup_honours_the_seed(module: ModuleType) -> bool:
    """Seed Python, NumPy and PyTorch with ``SEED`` + rank when ``default_setup`` has run.

    Samplers draw their seed, loaders their workers' seeds and models their weights after that.
    ``SEED`` -1, or no such key, leaves a run unseeded.
    """
    stock = module.default_setup
    if mentions(stock, "SEED"):
        return False

    @functools.wraps(stock)
    def default_setup(cfg: Any, args: Any) -> Any:
        result = stock(cfg, args)
        seed = cfg.get("SEED", -1)
        if seed >= 0:
            seed += module.comm.get_rank()
            module.seed_all_rng(seed)
            logger.info("Random numbers of this rank start from SEED + rank = %d", seed)
        return result

    replace(module, "default_setup", default_setup)
    return True


@mend(
    row=17,
    after="fastreid.engine.train_loop",
    reason="AMPTrainer asserts CUDA, and nearly every shipped config turns AMP on",
)
def amp_trains_in_fp32_without_cuda(module: ModuleType) -> bool:
    """Let ``AMPTrainer`` take the steps of ``SimpleTrainer`` where there is no CUDA."""
    trainer, simple = module.AMPTrainer, module.SimpleTrainer
    if cuda_is_available() or not mentions(trainer.run_step, "is_available"):
        return False
    signature = inspect.signature(trainer.__init__)
    stock = trainer.__init__

    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        bound = signature.bind(self, *args, **kwargs)
        if bound.arguments.get("grad_scaler") is None:
            bound.arguments["grad_scaler"] = _disabled_scaler()
        logger.warning(
            "SOLVER.AMP.ENABLED=True needs CUDA, which this machine does not have: training goes "
            "on in fp32"
        )
        stock(*bound.args, **bound.kwargs)

    trainer.__init__, trainer.run_step = __init__, simple.run_step
    return True


def _disabled_scaler() -> Any:
    """Return a gradient scaler that passes losses and steps through."""
    import torch

    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler("cpu", enabled=False)
    return torch.cuda.amp.GradScaler(enabled=False)


# Row 22: what the host's writers of progress divide by.


@mend(
    row=22,
    after="fastreid.utils.events",
    reason="a training of three steps or fewer ends in a ZeroDivisionError after its last one",
)
def short_trainings_write_their_progress(module: ModuleType) -> bool:
    """Let the terminal's writer say what it knows when it is asked twice at one step."""
    stock = module.CommonMetricPrinter.write
    if not mentions(stock, "_last_write"):
        return False

    @functools.wraps(stock)
    def write(self: Any) -> None:
        last = self._last_write
        if last is not None and last[0] == module.get_event_storage().iter:
            self._last_write = None  # nothing went on since: no time to estimate from
        stock(self)

    module.CommonMetricPrinter.write = write
    return True


# Row 23: ONNX export.


@mend(
    row=23,
    after="fastreid.modeling.meta_arch.build",
    reason="torch >= 2.9 exports by another exporter, which needs onnxscript",
)
def onnx_export_takes_the_exporter_it_was_written_for(module: ModuleType) -> bool:
    """Let an export that names an ``operator_export_type`` take the exporter that knows the word.

    tools/deploy/onnx_export.py calls ``torch.onnx.export`` itself. Calls without that argument, and
    calls that choose an exporter, go through unchanged.
    """
    import torch

    stock = torch.onnx.export
    dynamo = inspect.signature(stock).parameters.get("dynamo")
    if dynamo is None or dynamo.default is not True or hasattr(stock, "chooses_its_exporter"):
        return False

    @functools.wraps(stock)
    def export(*args: Any, **kwargs: Any) -> Any:
        if "operator_export_type" in kwargs:
            kwargs.setdefault("dynamo", False)
        return stock(*args, **kwargs)

    export.chooses_its_exporter = True  # type: ignore[attr-defined]
    torch.onnx.export = export
    return True


# Beside row 22: warnings that every process repeats and no user can act on.

MESSAGE = "TypedStorage is deprecated"


@mend(
    row=22,
    after="fastreid.data.transforms.functional",
    reason="every process and loader worker warns about the storage class to_tensor uses",
)
def deprecated_storage_warns_nobody(module: ModuleType) -> bool:
    """Silence that one warning where this PyTorch gives it."""
    torch = module.torch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.ByteTensor(torch.ByteStorage.from_buffer(b"0"))
    if not any(MESSAGE in str(warning.message) for warning in caught):
        return False
    warnings.filterwarnings("ignore", message=MESSAGE, category=UserWarning)
    return True
