"""Also seen beside row 17: ``MODEL.DEVICE`` is "cuda" by default, whatever the machine has."""

from __future__ import annotations

import functools
import logging
from types import ModuleType
from typing import Any

from .mending import cuda_is_available, mend, mentions, replace

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
