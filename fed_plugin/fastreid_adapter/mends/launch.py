"""Rows 8 and 16: several processes without CUDA, over gloo."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import cuda_is_available, mend, mentions, replace


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

    It stands in for the host's worker: ``mp.spawn`` starts it by name in every new process.

    Raises:
        Exception: Whatever joining the group or ``main_func`` raises.
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
        logging.getLogger("fastreid.compat").error(
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
    comm.synchronize()  # rank 0 holds the store that the others leave through
    # A group that the host still holds is freed when the interpreter ends, with threads in it
    # that nobody joined: now and then the process then aborts after its work.
    comm._LOCAL_PROCESS_GROUP = None
    comm._get_global_gloo_group.cache_clear()
    dist.destroy_process_group()


@mend(
    row=8,
    after="fastreid.engine.launch",
    reason="launch asserts CUDA and NCCL: no run with several processes on CPU",
)
def launch_works_without_cuda(module: ModuleType) -> bool:
    """Start the ranks of ``--num-gpus N`` over gloo where there is no CUDA."""
    if cuda_is_available() or not mentions(module._distributed_worker, "cuda"):
        return False
    module._distributed_worker = run_a_gloo_rank
    return True


def _refuses_device_ids_on_cpu(wrapper: type) -> bool:
    return not getattr(wrapper.__init__, "drops_device_ids_on_cpu", False)  # type: ignore[misc]


@mend(
    row=16,
    after="fastreid.engine.defaults",
    reason="DistributedDataParallel(device_ids=[rank]) refuses parameters on the CPU",
)
def ddp_takes_cpu_models(module: ModuleType) -> bool:
    """Drop ``device_ids`` for models on the CPU, where PyTorch raises for them.

    The class itself is mended, and only a call that would raise changes: tools/plain_train_net.py
    takes the class from PyTorch before it imports anything of the host.
    """
    wrapper = module.DistributedDataParallel
    if cuda_is_available() or not _refuses_device_ids_on_cpu(wrapper):
        return False
    stock = wrapper.__init__

    @functools.wraps(stock)
    def __init__(  # noqa: N807
        self: Any, module: Any, device_ids: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        if device_ids and all(p.device.type == "cpu" for p in module.parameters()):
            device_ids = None
        stock(self, module, device_ids, *args, **kwargs)

    __init__.drops_device_ids_on_cpu = True  # type: ignore[attr-defined]
    wrapper.__init__ = __init__
    return True


# Also seen beside row 17: ``MODEL.DEVICE`` is "cuda" by default, whatever the machine has.

logger = logging.getLogger("fastreid.compat")


@mend(
    row=17,
    after="fastreid.modeling.meta_arch.build",
    reason="MODEL.DEVICE defaults to cuda: no model can be built without it",
)
def models_go_to_the_cpu_without_cuda(module: ModuleType) -> bool:
    """Build a model on the CPU where ``MODEL.DEVICE`` asks for CUDA and there is none; warn."""
    stock = module.build_model
    if cuda_is_available() or mentions(stock, "is_available"):
        return False

    @functools.wraps(stock)
    def build_model(cfg: Any) -> Any:
        if not str(cfg.MODEL.DEVICE).startswith("cuda"):
            return stock(cfg)
        logger.warning(
            "MODEL.DEVICE=%s needs CUDA, which this machine does not have: the model goes to the "
            "CPU",
            cfg.MODEL.DEVICE,
        )
        on_cpu = cfg.clone()
        on_cpu.defrost()
        on_cpu.MODEL.DEVICE = "cpu"
        return stock(on_cpu)

    replace(module, "build_model", build_model)
    return True
