"""Mends of what the host takes from libraries: names and arguments that are gone, and YAML."""

from __future__ import annotations

import collections
import collections.abc
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Call, Overlay, add_step, mend
from fed_plugin.files import load_yaml

_borrowers: dict[str, int] = {}


def _lend(name: str, give: Callable[[], Any], take: Callable[[], Any]) -> Callable[..., None]:
    if not _borrowers.get(name):
        give()
    _borrowers[name] = _borrowers.get(name, 0) + 1

    def take_back(module: ModuleType | None = None) -> None:
        _borrowers[name] -= 1
        if not _borrowers[name]:
            take()

    return take_back


def _imports(module: ModuleType, pattern: str) -> bool:
    """Return whether a module has an unconditional import; True if its source is missing."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    source = loader.get_source(module.__name__) if hasattr(loader, "get_source") else None
    return source is None or re.search(rf"^{pattern}", source, re.MULTILINE) is not None


@mend(
    "collections.Mapping is gone from Python",
    before=("fastreid.data.build", "fastreid.evaluation.testing"),
)
def collections_mapping_exists(module: ModuleType) -> Callable[..., None] | None:
    """Let ``collections.Mapping`` exist while the body of a host module runs."""
    if not _borrowers.get("Mapping") and hasattr(collections, "Mapping"):
        return None  # somebody else has put the name back
    if not _imports(module, r"from collections import .*\bMapping\b"):
        return None
    return _lend(
        "Mapping",
        lambda: setattr(collections, "Mapping", collections.abc.Mapping),
        lambda: delattr(collections, "Mapping"),
    )


@mend("torch._six is gone from PyTorch", before="fastreid.data.build")
def torch_six_exists(module: ModuleType) -> Callable[..., None] | None:
    """Let ``torch._six.string_classes`` exist while the body of a host module runs."""
    if not _borrowers.get("torch._six") and "torch._six" in sys.modules:
        return None  # somebody else's stand-in
    if not _imports(module, r"from torch\._six import"):
        return None
    six = ModuleType("torch._six")
    six.string_classes = (str, bytes)  # type: ignore[attr-defined]
    return _lend(
        "torch._six",
        lambda: sys.modules.__setitem__("torch._six", six),
        lambda: sys.modules.pop("torch._six"),
    )


class Later(ModuleType):
    """Module that is imported when somebody asks it for a name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


@mend(
    "Every process imports scikit-learn for a figure that few ask for",
    before=("fastreid.evaluation.reid_evaluation", "fastreid.utils.visualizer"),
)
def sklearn_waits_until_it_is_asked(module: ModuleType) -> Callable[..., None] | None:
    """Let ``from sklearn import metrics`` give a module that is imported at its first use."""
    found = find_spec("sklearn") if "sklearn" not in sys.modules else None
    if not (found or _borrowers.get("sklearn")) or not _imports(
        module, r"from sklearn import metrics$"
    ):
        return None
    package = ModuleType("sklearn")
    package.__spec__, package.metrics = found, Later("sklearn.metrics")  # type: ignore[attr-defined]
    return _lend(
        "sklearn",
        lambda: sys.modules.__setitem__("sklearn", package),
        lambda: sys.modules.pop("sklearn"),
    )


@mend("fastreid.evaluation does not export evaluate_rank", after="fastreid.evaluation")
def evaluation_exports_evaluate_rank(module: ModuleType) -> bool:
    """Export ``evaluate_rank``, imported when somebody asks for it."""
    if hasattr(module, "evaluate_rank"):
        return False
    stock = vars(module).get("__getattr__")

    def __getattr__(name: str) -> Any:  # noqa: N807 - PEP 562
        if name == "evaluate_rank":
            from fastreid.evaluation.rank import evaluate_rank

            return evaluate_rank
        if stock is not None:
            return stock(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = __getattr__  # type: ignore[method-assign]
    return True


@mend("RandomAffine has lost two arguments", after="fastreid.data.transforms.build")
def random_affine_takes_its_old_arguments(module: ModuleType) -> bool:
    """Translate ``resample`` and ``fillcolor`` for the host; torchvision does not change."""
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
    """Return torchvision's mode for one of Pillow's numbers; False is the mode "nearest"."""
    from torchvision.transforms import InterpolationMode

    words = {0: "nearest", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming", 1: "lanczos"}
    return InterpolationMode(words[int(resample)])


@mend("np.bool is missing from NumPy 1.24 to 1.26", after="fastreid.evaluation.rank")
def ranking_finds_np_bool(module: ModuleType) -> bool:
    """Let the host's ranking find ``np.bool``."""
    if hasattr(module.np, "bool"):
        return False
    module.np = Overlay(module.np, bool=bool)
    return True


@mend("np.array(copy=False) is an error in NumPy 2", after="fastreid.data.transforms.functional")
def to_tensor_copies_where_it_must(module: ModuleType) -> bool:
    """Let ``copy=False`` copy only where a copy is needed, as before NumPy 2."""
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


@mend("The profiler has lost use_cuda", after="fastreid.engine.hooks")
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


@mend("SWA does not initialise its optimizer", after="fastreid.solver.optim.swa")
def swa_is_a_whole_optimizer(module: ModuleType) -> bool:
    """Complete what ``SWA`` lacks of an optimizer; the wrapped optimizer writes its own zeros."""
    import torch

    probe = module.SWA(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), 1, 0.5)
    if hasattr(probe, "_optimizer_step_pre_hooks"):
        return False

    def complete(call: Call) -> Iterator[None]:
        yield
        if call.error is None:
            torch.optim.Optimizer.__setstate__(call.args[0], {})

    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        """Zero as the wrapped optimizer does, which may hold flat buffers."""
        self.optimizer.zero_grad(set_to_none)

    module.SWA.zero_grad = zero_grad
    return add_step(module.SWA, "__init__", complete)


MOST_BASES = 20


@mend("A config can stand for more than memory holds", after="fastreid.config.config")
def configs_are_bounded(module: ModuleType) -> bool:
    """Read configs, and what stands under ``_BASE_``, with `load_yaml` and from plain files."""
    if isinstance(module.yaml, Overlay):
        return False
    stock, opened = module.CfgNode.load_yaml_with_base, list[str]()

    def load_yaml_with_base(filename: str, allow_unsafe: bool = False) -> Any:
        name = str(filename)
        place = name if "://" in name else os.path.realpath(os.path.expanduser(name))
        if os.path.exists(place) and not os.path.isfile(place):
            raise OSError(f"expected a file, got a folder, a pipe or a device, {name}")
        if place in opened or len(opened) == MOST_BASES:
            raise ValueError(
                f"{len(opened)} files stand on each other with _BASE_, the next is {name}; "
                f"expected {MOST_BASES} or fewer, none of them twice"
            )
        opened.append(place)
        try:
            return stock(filename, allow_unsafe=allow_unsafe)
        finally:
            opened.pop()

    module.yaml = Overlay(module.yaml, safe_load=load_yaml)
    module.CfgNode.load_yaml_with_base = staticmethod(load_yaml_with_base)
    return True
