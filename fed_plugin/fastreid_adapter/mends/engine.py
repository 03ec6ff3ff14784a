"""Mends of the host's engine: processes, devices, seed, precision, progress and export."""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import (
    Call,
    add_step,
    cuda_is_available,
    mend,
    mentions,
)
from fed_plugin.pool import started_rank

logger = logging.getLogger("fastreid.compat")


def run_a_gloo_rank(
    local_rank: int,
    main_func: Callable[..., Any],
    world_size: int,
    ranks_per_machine: int,
    machine_rank: int,
    dist_url: str,
    args: tuple[Any, ...],
) -> None:
    """Join the process group over gloo, take a share of the threads, run ``main_func(*args)``.

    ``mp.spawn`` starts this function by name in every new process, in place of the host's worker.
    """
    import torch
    import torch.distributed as dist
    from fastreid.utils import comm

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // ranks_per_machine))
    rank = machine_rank * ranks_per_machine + local_rank
    try:
        dist.init_process_group("gloo", init_method=dist_url, world_size=world_size, rank=rank)
    except Exception:
        logger.error(
            "Rank %d of %d could not join the process group at %s", rank, world_size, dist_url
        )
        raise
    for first in range(0, world_size, ranks_per_machine):  # every rank takes part in every group
        group = dist.new_group(list(range(first, first + ranks_per_machine)))
        if first == machine_rank * ranks_per_machine:
            comm._LOCAL_PROCESS_GROUP = group
    comm.synchronize()
    del group
    main_func(*args)
    comm.synchronize()  # rank 0 holds the store, which the other ranks need to leave
    # The interpreter would free a group that the host still holds, with threads in it that nobody
    # joined: now and then the process would abort after its work.
    comm._LOCAL_PROCESS_GROUP = None
    comm._get_global_gloo_group.cache_clear()
    dist.destroy_process_group()


@mend("Several processes need CUDA", after="fastreid.engine.launch")
def launch_works_without_cuda(module: ModuleType) -> bool:
    """Start the ranks of ``--num-gpus N`` over gloo where there is no CUDA."""
    if cuda_is_available() or not mentions(module._distributed_worker, "cuda"):
        return False
    module._distributed_worker = run_a_gloo_rank
    return True


@mend("torchrun starts lone trainings", after="fastreid.engine.launch")
def launch_takes_the_environment_of_torchrun(module: ModuleType) -> bool:
    """Let each process that torchrun started become one rank, in place of a training of its own.

    ``--num-machines`` says that the flags describe all machines: the environment is not read.
    """

    def join(call: Call) -> Iterator[None]:
        started, machines = started_rank(), call.argument("num_machines", 1)
        if started is None or machines > 1:
            yield
            return
        gpus = call.argument("num_gpus_per_machine")
        if gpus > 1:
            raise ValueError(
                f"--num-gpus {gpus}: {started}, and each would start {gpus} more; try --num-gpus "
                f"without {started.launcher}"
            )
        local_rank, size, machine = started.place()
        main, args = call.argument("main_func"), call.argument("args", ())
        rank = (local_rank, main, started.ranks, size, machine, "env://", args)
        call.args, call.kwargs = (module._distributed_worker, 1), {"args": rank}
        yield
        if call.error is None and module.dist.is_initialized():
            module.dist.destroy_process_group()

    return not mentions(module.launch, "WORLD_SIZE") and add_step(module, "launch", join)


@mend("DistributedDataParallel refuses models on the CPU", after="fastreid.engine.defaults")
def ddp_takes_cpu_models(module: ModuleType) -> bool:
    """Drop ``device_ids`` for models on the CPU, where PyTorch raises an error for them.

    The class itself is changed, because tools/plain_train_net.py takes the class from PyTorch
    before it imports the host. A call that PyTorch accepts is not changed.
    """

    def drop(call: Call) -> Iterator[None]:
        model, device_ids = call.argument("module"), call.argument("device_ids")
        if device_ids and all(p.device.type == "cpu" for p in model.parameters()):
            if len(call.args) > 2:
                call.args = (*call.args[:2], None, *call.args[3:])
            else:
                call.kwargs = {**call.kwargs, "device_ids": None}
        yield

    return not cuda_is_available() and add_step(module.DistributedDataParallel, "__init__", drop)


@mend("MODEL.DEVICE is cuda on every machine", after="fastreid.modeling.meta_arch.build")
def models_go_to_the_cpu_without_cuda(module: ModuleType) -> bool:
    """Build a model on the CPU where ``MODEL.DEVICE`` asks for CUDA and there is none; warn."""
    if cuda_is_available() or mentions(module.build_model, "is_available"):
        return False

    def on_cpu(call: Call) -> Iterator[None]:
        cfg = call.argument("cfg")
        if str(cfg.MODEL.DEVICE).startswith("cuda"):
            logger.warning(
                "MODEL.DEVICE=%s needs CUDA, which this machine does not have: the model goes to "
                "the CPU",
                cfg.MODEL.DEVICE,
            )
            cfg = cfg.clone()
            cfg.defrost()
            cfg.MODEL.DEVICE = "cpu"
            call.args, call.kwargs = (cfg,), {}
        yield

    return add_step(module, "build_model", on_cpu)


@mend("There is no seed key", after="fastreid.engine.defaults")
def default_setup_honours_the_seed(module: ModuleType) -> bool:
    """Seed Python, NumPy and PyTorch with ``SEED`` + rank when ``default_setup`` has run.

    Samplers draw their seed afterwards, loaders the seeds of their workers and models their
    weights. ``SEED`` -1, or no such key, leaves a run unseeded.
    """

    def seed(call: Call) -> Iterator[None]:
        first, stock = call.argument("cfg").get("SEED", -1), module.seed_all_rng
        if first < 0:
            yield
            return
        first += module.comm.get_rank()
        module.seed_all_rng = lambda: stock(first)  # without a seed, the stock one draws another
        yield
        module.seed_all_rng = stock
        if call.error is None:
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
    """Write the progress line without an estimate if no step was taken since the last line."""

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
