"""Mends of the trainer's surroundings: seed, mixed precision, progress, export, warnings."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType

from fed_plugin.fastreid_adapter.mends.mending import (
    Call,
    add_step,
    cuda_is_available,
    mend,
    mentions,
)

logger = logging.getLogger("fastreid.compat")


@mend("There is no seed key", after="fastreid.engine.defaults")
def default_setup_honours_the_seed(module: ModuleType) -> bool:
    """Seed Python, NumPy and PyTorch with ``SEED`` + rank when ``default_setup`` has run.

    Samplers draw their seed afterwards, loaders the seeds of their workers and models their
    weights. ``SEED`` -1, or no such key, leaves a run unseeded.
    """

    def seed(call: Call) -> Iterator[None]:
        cfg = call.argument("cfg")
        yield
        first = cfg.get("SEED", -1)
        if call.error is None and first >= 0:
            first += module.comm.get_rank()
            module.seed_all_rng(first)
            logger.info("Random numbers of this rank start from SEED + rank = %d", first)

    known = mentions(module.default_setup, "SEED")
    return not known and add_step(module, "default_setup", seed)


@mend("Mixed precision needs CUDA", after="fastreid.engine.train_loop")
def amp_trains_in_fp32_without_cuda(module: ModuleType) -> bool:
    """Let ``AMPTrainer`` take the steps of ``SimpleTrainer`` where there is no CUDA."""
    trainer = module.AMPTrainer
    if cuda_is_available() or not mentions(trainer.run_step, "is_available"):
        return False

    def without_scaler(call: Call) -> Iterator[None]:
        import torch

        logger.warning(
            "SOLVER.AMP.ENABLED=True needs CUDA, which this machine does not have: training goes "
            "on in fp32"
        )
        if call.argument("grad_scaler") is None:  # a scaler that passes losses and steps through
            scaler = torch.amp.GradScaler("cpu", enabled=False)
            call.args, call.kwargs = call.args[:5], {**call.kwargs, "grad_scaler": scaler}
        yield

    trainer.run_step = module.SimpleTrainer.run_step
    return add_step(trainer, "__init__", without_scaler)


@mend("A training of three steps ends in a division by zero", after="fastreid.utils.events")
def short_trainings_write_their_progress(module: ModuleType) -> bool:
    """Let the terminal's writer write, without an estimate, if it is asked twice at one step."""

    def forget_an_equal_step(call: Call) -> Iterator[None]:
        writer = call.args[0]
        if writer._last_write and writer._last_write[0] == module.get_event_storage().iter:
            writer._last_write = None  # no step since: no time to estimate from
        yield

    known = mentions(module.CommonMetricPrinter.write, "_last_write")
    return known and add_step(module.CommonMetricPrinter, "write", forget_an_equal_step)


@mend("ONNX export needs onnxscript", after="fastreid.modeling.meta_arch.build")
def onnx_export_takes_the_exporter_it_was_written_for(module: ModuleType) -> bool:
    """Let an export with an ``operator_export_type`` use the exporter that has this argument.

    tools/deploy/onnx_export.py calls ``torch.onnx.export`` itself. Calls without the argument, and
    calls that choose an exporter, are not changed.
    """
    import torch

    def choose(call: Call) -> Iterator[None]:
        if "operator_export_type" in call.kwargs:
            call.kwargs.setdefault("dynamo", False)
        yield

    dynamo = inspect.signature(torch.onnx.export).parameters.get("dynamo")
    needed = dynamo is not None and dynamo.default is True
    return needed and add_step(torch.onnx, "export", choose)


MESSAGE = "TypedStorage is deprecated"


@mend(
    "Every process warns of a deprecated storage class",
    after="fastreid.data.transforms.functional",
)
def deprecated_storage_warns_nobody(module: ModuleType) -> bool:
    """Silence this one warning where this PyTorch gives it."""
    torch = module.torch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.ByteTensor(torch.ByteStorage.from_buffer(b"0"))
    if not any(MESSAGE in str(warning.message) for warning in caught):
        return False
    warnings.filterwarnings("ignore", message=MESSAGE, category=UserWarning)
    return True
