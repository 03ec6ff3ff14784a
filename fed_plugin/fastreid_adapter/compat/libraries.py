"""Rows 11 and 22: arguments and names that torchvision, NumPy and PyTorch have taken back."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mending import Overlay, mend


@mend(
    row=11,
    after="fastreid.data.transforms.build",
    reason="RandomAffine(resample=, fillcolor=) is a TypeError: INPUT.AFFINE cannot be turned on",
)
def random_affine_takes_its_old_arguments(module: ModuleType) -> bool:
    """Translate ``resample`` and ``fillcolor`` for the host; torchvision itself stays as it is."""
    transforms = module.T
    try:
        transforms.RandomAffine(degrees=0, resample=False, fillcolor=0)
    except TypeError:
        pass
    else:
        return False

    def RandomAffine(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 - torchvision's name
        if "resample" in kwargs:
            kwargs["interpolation"] = _interpolation(kwargs.pop("resample"))
        if "fillcolor" in kwargs:
            kwargs["fill"] = kwargs.pop("fillcolor")
        return transforms.RandomAffine(*args, **kwargs)

    module.T = Overlay(transforms, RandomAffine=RandomAffine)
    return True


def _interpolation(resample: Any) -> Any:
    """Return torchvision's word for one of Pillow's numbers; False means nearest."""
    from torchvision.transforms import InterpolationMode

    words = {0: "nearest", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming", 1: "lanczos"}
    return InterpolationMode(words[int(resample)])


@mend(
    row=22,
    after="fastreid.evaluation.rank",
    reason="np.bool does not exist in NumPy 1.24 to 1.26: the CUHK03 protocol fails",
)
def ranking_finds_np_bool(module: ModuleType) -> bool:
    """Let the host's ranking say ``np.bool``."""
    if hasattr(module.np, "bool"):
        return False
    module.np = Overlay(module.np, bool=bool)
    return True


@mend(
    row=22,
    after="fastreid.data.transforms.functional",
    reason="np.array(copy=False) is an error in NumPy 2 where a copy is needed",
)
def to_tensor_copies_where_it_must(module: ModuleType) -> bool:
    """Let ``copy=False`` mean what it meant before NumPy 2: copy only where it is needed."""
    numpy = module.np
    try:
        numpy.array([1], numpy.float32, copy=False)
    except ValueError:
        pass
    else:
        return False

    def array(content: Any, dtype: Any = None, *, copy: Any = True, **kwargs: Any) -> Any:
        if copy is False and not kwargs:
            return numpy.asarray(content, dtype)
        return numpy.array(content, dtype, copy=copy, **kwargs)

    module.np = Overlay(numpy, array=array)
    return True


@mend(
    row=22,
    after="fastreid.engine.hooks",
    reason="profile(use_cuda=) does not exist any more: AutogradProfiler fails",
)
def profiler_takes_use_cuda(module: ModuleType) -> bool:
    """Translate the profiler's ``use_cuda`` for the host's hooks."""
    torch = module.torch
    stock = torch.autograd.profiler.profile
    try:
        stock(enabled=False, use_cuda=False)
    except TypeError:
        pass
    else:
        return False

    def profile(*args: Any, use_cuda: bool = False, **kwargs: Any) -> Any:
        if use_cuda and torch.cuda.is_available():
            kwargs.setdefault("use_device", "cuda")
        return stock(*args, **kwargs)

    profiler = Overlay(torch.autograd.profiler, profile=profile)
    module.torch = Overlay(torch, autograd=Overlay(torch.autograd, profiler=profiler))
    return True


@mend(
    row=22,
    after="fastreid.solver.optim.swa",
    reason="SWA never calls Optimizer.__init__, whose hooks torch 2 looks for",
)
def swa_is_a_whole_optimizer(module: ModuleType) -> bool:
    """Complete what ``SWA`` lacks of an optimizer, and leave zeroing to the one it wraps."""
    import torch

    probe = module.SWA(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), 1, 0.5)
    if hasattr(probe, "_optimizer_step_pre_hooks") or not hasattr(
        probe.optimizer, "_optimizer_step_pre_hooks"
    ):
        return False
    stock = module.SWA.__init__

    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        stock(self, *args, **kwargs)
        torch.optim.Optimizer.__setstate__(self, {})

    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        """Zero as the wrapped optimizer does: it may hold flat buffers."""
        self.optimizer.zero_grad(set_to_none)

    module.SWA.__init__, module.SWA.zero_grad = __init__, zero_grad
    return True
