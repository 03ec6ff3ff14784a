"""Register one guarded function per defect of the host, and apply it around one host module.

A mend looks whether its defect is really there, by behaviour where that is cheap, and leaves the
host alone where it is not. ``FASTREID_COMPAT_SKIP=name,name`` leaves mends out by name.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import projects_registry

SKIP = "FASTREID_COMPAT_SKIP"
HOST = "fastreid"
_MARK = "__fed_mends__"


@dataclass
class Mend:
    """Describe one mend: the public record of what may be, and what was, done to the host.

    Attributes:
        name: The function's name, by which ``FASTREID_COMPAT_SKIP`` leaves it out.
        row: The defect's number in the table of host defects.
        host_modules: The host modules it works on.
        reason: What goes wrong without it, in one sentence.
        moment: ``"before"`` or ``"after"`` the body of the host module runs.
        apply: Guard and mend: call it with a host module; what it returns is true when it applied.
        applied: Whether it has been applied in this process.
    """

    name: str
    row: int
    host_modules: tuple[str, ...]
    reason: str
    moment: str
    apply: Callable[[ModuleType], Any]
    applied: bool = False


MENDS: dict[str, Mend] = {}


def mend(
    row: int,
    reason: str,
    *,
    before: str | tuple[str, ...] = (),
    after: str | tuple[str, ...] = (),
) -> Callable[[Callable[[ModuleType], Any]], Callable[[ModuleType], Any]]:
    """Register a guarded function as a mend of one or several host modules.

    Args:
        row: The defect's number in the table of host defects.
        reason: What goes wrong without the mend, in one sentence.
        before: Host modules whose body has not run yet when the function is called. Its result,
            if it can be called, is called when the body has ended.
        after: Host modules whose body has run. The function returns whether it applied.
    """
    moment, names = ("before", before) if before else ("after", after)
    host_modules = (names,) if isinstance(names, str) else tuple(names)

    def register(function: Callable[[ModuleType], Any]) -> Callable[[ModuleType], Any]:
        name = function.__name__

        @functools.wraps(function)
        def apply(module: ModuleType) -> Any:
            done = vars(module).setdefault(_MARK, set())
            if name in skipped() or name in done:
                return False
            result = function(module)
            if result:
                if moment == "after":
                    done.add(name)
                MENDS[name].applied = True
                projects_registry.note(name)
            return result

        MENDS[name] = Mend(name, row, host_modules, reason, moment, apply)
        return apply

    return register


def arm() -> None:
    """Hand every registered mend to the import hook; warn about names that no mend has."""
    unknown = sorted(skipped() - MENDS.keys())
    if unknown:
        import logging

        logging.getLogger("fastreid.compat").warning(
            "%s: expected names out of %s, got %s", SKIP, ", ".join(MENDS), ", ".join(unknown)
        )
    for host_module in {name for entry in MENDS.values() for name in entry.host_modules}:
        projects_registry.before(host_module, forget)
    for entry in MENDS.values():
        for host_module in entry.host_modules:
            getattr(projects_registry, entry.moment)(host_module, entry.apply)


def forget(module: ModuleType) -> None:
    """Forget what was applied to a module: its body is about to run, perhaps for a second time."""
    vars(module).pop(_MARK, None)


def skipped() -> set[str]:
    """Return the names of mends that the user leaves out."""
    return set(os.environ.get(SKIP, "").replace(",", " ").split())


def replace(module: ModuleType, attribute: str, new: Any) -> None:
    """Replace a name in a host module, and in every host module that had copied the very object."""
    old = getattr(module, attribute)
    setattr(module, attribute, new)
    rebind(old, new)


def rebind(old: Any, new: Any) -> None:
    """Exchange an object for another in every imported host module that holds the very object."""
    for name, module in list(sys.modules.items()):
        if module is None or not (name == HOST or name.startswith(f"{HOST}.")):
            continue
        for key in [key for key, value in vars(module).items() if value is old]:
            setattr(module, key, new)


class Overlay(ModuleType):
    """Look like a module, or another object, but for some of its names.

    It lets a host module go on saying ``np.bool`` or ``T.RandomAffine(resample=...)`` without
    anything being changed in the library itself.

    Args:
        base: The object everything else is read from.
        names: The names that differ.
    """

    def __init__(self, base: Any, **names: Any) -> None:
        super().__init__(getattr(base, "__name__", type(base).__name__))
        self.__dict__.update(names)
        self.__dict__["_base"] = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_base"], name)


def cuda_is_available() -> bool:
    """Tell whether this process can use a CUDA device."""
    import torch

    return torch.cuda.is_available()


def mentions(function: Callable[..., Any], text: str) -> bool:
    """Tell whether a Python function, unwrapped, uses a name or a string constant."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and text in repr((code.co_names, code.co_consts))
