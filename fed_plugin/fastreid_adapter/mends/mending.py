"""Register one guarded function per defect of the host, and wrap each host function once.

A mend looks whether its defect is really there, by behaviour where the look is cheap, and leaves
the host alone where it is not. ``FASTREID_COMPAT_SKIP=name,name`` leaves mends out by name.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import projects_registry

SKIP = "FASTREID_COMPAT_SKIP"
HOST = "fastreid"
GONE = ("checkpoints_execute_nothing",)
"""Mends that earlier versions had: their defect ended with PyTorch 2.6."""

_MARK, _STEPS = "__fed_mends__", "__fed_steps__"
logger = logging.getLogger("fastreid.compat")


@dataclass
class Mend:
    """One mend: the public record of what may be, and what was, done to the host.

    Attributes:
        defect: What goes wrong without the mend: a heading of ``docs/host_defects.md``.
        moment: ``"before"`` or ``"after"`` the body of the host module runs.
        apply: Guard and mend in one function of the host module; true when the mend applied.
        applied: Whether the mend has been applied in this process.
    """

    name: str
    defect: str
    host_modules: tuple[str, ...]
    moment: str
    apply: Callable[[ModuleType], Any]
    applied: bool = False


MENDS: dict[str, Mend] = {}


def mend(
    defect: str, *, before: str | tuple[str, ...] = (), after: str | tuple[str, ...] = ()
) -> Callable[[Callable[[ModuleType], Any]], Callable[[ModuleType], Any]]:
    """Register a guarded function as a mend of one or several host modules.

    Args:
        defect: What goes wrong without the mend: a heading of ``docs/host_defects.md``.
        before: Host modules whose body has not run when the function is called. If the function
            returns a callable, the callable is called when the body has ended.
        after: Host modules whose body has run. The function returns whether the mend applied.
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

        MENDS[name] = Mend(name, defect, host_modules, moment, apply)
        return apply

    return register


def arm() -> None:
    """Hand every registered mend to the import hook; warn of names in the skip list without one."""
    gone = sorted(skipped() & set(GONE))
    unknown = sorted(skipped() - MENDS.keys() - set(GONE))
    if gone:
        logger.info("%s: %s: not needed any more, PyTorch >= 2.6 does it", SKIP, ", ".join(gone))
    if unknown:
        names = ", ".join(MENDS), ", ".join(unknown)
        logger.warning("%s: expected names out of %s, got %s", SKIP, *names)
    for host_module in {name for entry in MENDS.values() for name in entry.host_modules}:
        projects_registry.before(host_module, forget)
    for entry in MENDS.values():
        for host_module in entry.host_modules:
            getattr(projects_registry, entry.moment)(host_module, entry.apply)


def forget(module: ModuleType) -> None:
    """Forget which mends a module has: its body is about to run, perhaps for the second time."""
    vars(module).pop(_MARK, None)


def skipped() -> set[str]:
    """Return the names of mends that the user leaves out."""
    return set(os.environ.get(SKIP, "").replace(",", " ").split())


# One wrapper per host function. Mends and the adapter add steps to the wrapper.


@dataclass
class Call:
    """Call of a host function, which the steps around the function read and change.

    Attributes:
        function: Function to call; a step may put another function in its place.
        result: What the function returned.
        error: What the function or a step raised; a step may put another error in its place.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    error: BaseException | None = None

    def argument(self, name: str, default: Any = None) -> Any:
        """Return an argument by its name in the function's signature."""
        if name in self.kwargs:
            return self.kwargs[name]
        given = dict(zip(_parameters(self.function), self.args, strict=False))
        return given.get(name, default)

    @property
    def cfg(self) -> Any:
        """Config that the call begins with; None if the first argument is no config."""
        cfg = self.args[0] if self.args else self.kwargs.get("cfg")
        return cfg if hasattr(cfg, "DATASETS") else None


@functools.lru_cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


Step = Callable[[Call], Iterator[None]]
"""Generator with one ``yield``, at which the host function runs.

What stands before the ``yield`` runs before the host function. What stands behind runs afterwards,
also after an error, which is then in ``call.error``.
"""


def add_step(owner: Any, attribute: str, step: Step) -> bool:
    """Put a step around a function of a host module or class; the newest step is the outermost.

    All steps of a function share one wrapper, so that a traceback holds one frame of this project
    between two of the host. A step has the name of the function that defines it.

    Returns:
        Whether the step was added: False if a step of the same name is there.
    """
    function = getattr(owner, attribute)
    if _STEPS not in vars(function) or attribute not in vars(owner):
        wrapper, is_static = _wrap(function), isinstance(vars(owner).get(attribute), staticmethod)
        setattr(owner, attribute, staticmethod(wrapper) if is_static else wrapper)
        rebind(function, wrapper)
        function = wrapper
    if _name(step) in step_names(function):
        return False
    vars(function)[_STEPS].insert(0, step)
    return True


def step_names(function: Callable[..., Any]) -> list[str]:
    """List the names of the steps around a host function, the outermost first."""
    return [_name(step) for step in vars(function).get(_STEPS, ())]


def _name(step: Step) -> str:
    return step.__qualname__.partition(".")[0]


def _wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    steps: list[Step] = []

    @functools.wraps(function)
    def with_steps(*args: Any, **kwargs: Any) -> Any:
        call, running = Call(function, args, kwargs), []
        try:
            for step in steps:
                running.append(step(call))
                next(running[-1], None)
            call.result = call.function(*call.args, **call.kwargs)
        except BaseException as error:
            call.error = error
            _end(running, call)
            if call.error is error:
                raise
            raise call.error from error
        else:
            _end(running, call)
            if call.error is not None:
                raise call.error
            return call.result
        finally:
            call.error = None  # an error that refers to its own frame lives until a collection

    vars(with_steps)[_STEPS] = steps
    return with_steps


def _end(running: list[Iterator[None]], call: Call) -> None:
    """Let steps end, the innermost first; an error of a step is the call's for the steps around."""
    for step in reversed(running):
        try:
            next(step, None)
        except BaseException as error:
            call.error = error


def host_step(host_module: str, function: str) -> Callable[[Step], Step]:
    """Put a step of the adapter around a host function, now or when the host module is imported.

    Args:
        host_module: Name of the module that defines the function.
        function: Name of the function in the module, or ``"Class.method"``.
    """

    def register(step: Step) -> Step:
        def add(module: ModuleType) -> None:
            owner, _, method = function.rpartition(".")
            add_step(getattr(module, owner) if owner else module, method, step)

        projects_registry.after(host_module, add)
        return step

    return register


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
    """Module, or another object, with some names of its own in front of those of ``base``.

    A host module can go on with ``np.bool`` or ``T.RandomAffine(resample=...)``, and the library
    itself does not change.
    """

    def __init__(self, base: Any, **names: Any) -> None:
        super().__init__(getattr(base, "__name__", type(base).__name__))
        self.__dict__.update(names)
        self.__dict__["_base"] = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_base"], name)


def cuda_is_available() -> bool:
    """Return whether this process can use a CUDA device."""
    import torch

    return torch.cuda.is_available()


def mentions(function: Callable[..., Any], text: str) -> bool:
    """Return whether a Python function, unwrapped, uses a name or a string constant."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and text in repr((code.co_names, code.co_consts))
