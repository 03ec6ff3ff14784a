"""Rows 2, 3 and 18: names that Python or PyTorch took away, or that the host does not export."""

from __future__ import annotations

import collections
import collections.abc
import importlib.util
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .mending import mend

_borrowers: dict[str, int] = {}


def _lend(name: str, give: Callable[[], Any], take: Callable[[], Any]) -> Callable[..., None]:
    """Give a name out until the last borrower, counted here, has returned it."""
    if not _borrowers.get(name):
        give()
    _borrowers[name] = _borrowers.get(name, 0) + 1

    def take_back(module: ModuleType | None = None) -> None:
        _borrowers[name] -= 1
        if not _borrowers[name]:
            take()

    return take_back


def _imports(module: ModuleType, pattern: str) -> bool:
    """Tell whether a module has an unconditional import; without a source, suppose so."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    source = loader.get_source(module.__name__) if hasattr(loader, "get_source") else None
    return source is None or re.search(rf"^{pattern}", source, re.MULTILINE) is not None


@mend(
    row=2,
    before=("fastreid.data.build", "fastreid.evaluation.testing"),
    reason="`from collections import Mapping` fails on Python 3.10 and later",
)
def collections_mapping_exists(module: ModuleType) -> Callable[..., None] | None:
    """Let ``collections.Mapping`` exist while the body of a host module runs."""
    if not _borrowers.get("Mapping") and hasattr(collections, "Mapping"):
        return None
    if not _imports(module, r"from collections import .*\bMapping\b"):
        return None
    return _lend(
        "Mapping",
        lambda: setattr(collections, "Mapping", collections.abc.Mapping),
        lambda: delattr(collections, "Mapping"),
    )


@mend(
    row=3,
    before="fastreid.data.build",
    reason="`from torch._six import string_classes` fails on torch 2 (fastreid 1.4.0)",
)
def torch_six_exists(module: ModuleType) -> Callable[..., None] | None:
    """Let ``torch._six.string_classes`` exist while the body of a host module runs."""
    if not _borrowers.get("torch._six") and importlib.util.find_spec("torch._six") is not None:
        return None
    if not _imports(module, r"from torch\._six import"):
        return None
    six = ModuleType("torch._six")
    six.string_classes = (str, bytes)  # type: ignore[attr-defined]
    return _lend(
        "torch._six",
        lambda: sys.modules.__setitem__("torch._six", six),
        lambda: sys.modules.pop("torch._six"),
    )


@mend(
    row=18,
    after="fastreid.evaluation",
    reason="demo/visualize_result.py imports evaluate_rank from here, where it is not exported",
)
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
