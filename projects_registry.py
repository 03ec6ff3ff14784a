"""Find the projects that extend fast-reid and load them when a process imports ``fastreid``.

fast-reid has no plugin hook. Installing this project puts one ``.pth`` line beside fast-reid
(setup.py). The line waits for ``import fastreid`` and then imports this module. The finder of this
module on ``sys.meta_path`` sees the import of every ``fastreid.*`` module:

1. Before anything of the host runs, the ``mends`` module of every enabled project is imported. It
   calls `before` and `after` to have functions run around single host modules.
2. Whenever the outermost ``fastreid.<something>`` has run, enabled projects are loaded that are not
   loaded yet. A warning of one line names a project that raises an error or exits, and the host
   goes on without the project. Ctrl-C goes through, and the next import tries again.

``FASTREID_PROJECTS=off`` changes nothing in the host, ``FASTREID_PROJECTS=FED,Other`` chooses
projects. Other packages declare an entry point in the group ``fastreid.projects``, ``Name =
"module"`` or ``Name = "module:function"``: the module is imported and the function (``register``)
is called.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

HOST = "fastreid"
GROUP = "fastreid.projects"
SWITCH = "FASTREID_PROJECTS"
REGISTER = "register"
LOADING, LOADED = "loading", "loaded"

HostFunction = Callable[[ModuleType], object]
_logger = logging.getLogger(GROUP)


class Project(NamedTuple):
    """Project that extends the host: its modules, and its mends.

    Args:
        name: Name of the project in ``FASTREID_PROJECTS``.
        module: Module that registers the project when the module is imported.
        mends: Light module that calls `before` and `after`, imported before anything of the host
            runs; the module imports neither the host nor PyTorch.
        register: Function of ``module`` that is called once after the import; REGISTER may be
            absent.
    """

    name: str
    module: str
    mends: str | None = None
    register: str = REGISTER


BUILT_IN = (Project("FED", "fed_plugin.fastreid_adapter", "fed_plugin.fastreid_adapter.mends"),)


class _State:
    """State of this process, which outlives a reload of this module."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.thread = threading.local()  # depth in host imports and loads, names looked for
        self.before: dict[str, list[HostFunction]] = {}
        self.after: dict[str, list[HostFunction]] = {}
        self.running: set[str] = set()  # host modules whose body is running
        self.known: dict[str, Project] | None = None
        self.enabled: list[Project] | None = None
        self.status: dict[str, str] = {}  # project -> LOADING, LOADED or why it could not be loaded
        self.notes: list[str] = []
        self.announced = 0  # 1: on the console, 2: in a log file too


@contextlib.contextmanager
def _inside(what: str) -> Iterator[None]:
    """Count this thread as inside a host import (``host``) or a project (``load``)."""
    depth = getattr(_state.thread, what, 0)
    setattr(_state.thread, what, depth + 1)
    try:
        yield
    finally:
        setattr(_state.thread, what, depth)


def host_import_in_progress() -> bool:
    """Return whether this thread is importing something of the host."""
    return getattr(_state.thread, "host", 0) > 0


def available() -> dict[str, Project]:
    """List the known projects by name: the built-in ones, then those of entry points."""
    if _state.known is None:
        known = {project.name: project for project in BUILT_IN}
        try:
            entries = _entries() if _may_have_entries() else []
        except Exception as error:  # broken metadata of any installed package
            entries = []
            _logger.warning("Other packages' projects cannot be listed: %s", _one_line(error))
        for name, value in entries:
            module, _, function = value.replace(" ", "").partition(":")
            known.setdefault(name, Project(name, module, None, function or REGISTER))
        _state.known = known
    return dict(_state.known)


def _entries() -> list[tuple[str, str]]:
    from importlib.metadata import entry_points

    return [(entry.name, entry.value) for entry in entry_points(group=GROUP)]


def _may_have_entries() -> bool:
    """Return whether an installed package may name the group: 1 ms, while reading takes 15 ms."""
    for finder in sys.meta_path:
        standard = getattr(finder, "__module__", "") == "_frozen_importlib_external"
        if hasattr(finder, "find_distributions") and not standard:
            return True  # packages that are not in folders
    for folder in dict.fromkeys(sys.path):
        if os.path.isfile(folder):
            return True  # an archive
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        packages = [name for name in names if name.lower().endswith((".dist-info", "egg-info"))]
        if any(_names_the_group(os.path.join(folder, name)) for name in packages):
            return True
    return False


def _names_the_group(package: str) -> bool:
    try:
        with open(os.path.join(package, "entry_points.txt"), "rb") as file:
            return GROUP.encode() in file.read()
    except OSError:
        return False


def load(name: str) -> ModuleType:
    """Load one project, enabled or not, and return its module; a second load changes nothing.

    Raises:
        KeyError: No project has this name.
        Exception: Whatever the project raises while it is imported or registers.
    """
    known = available()
    if name not in known:
        raise KeyError(
            f"{name}: no such project; expected one of {', '.join(known)}; try installing the "
            f"package that declares it in the entry-point group {GROUP}"
        )
    project = known[name]
    with _inside("load"):
        if project.mends:
            with _inside("host"):  # the package around the mends must not import the host now
                import_module(project.mends)
        module = import_module(project.module)
        named = project.register != REGISTER or hasattr(module, REGISTER)
        if _state.status.get(name) != LOADED and named:
            getattr(module, project.register)()
    _state.status[name] = LOADED
    return module


def load_all() -> None:
    """Load every enabled project that is not loaded yet; warn once about each one that raises."""
    _prepare()
    if getattr(_state.thread, "load", 0):
        return  # a project that is being loaded imports the host itself
    for project in _state.enabled or ():
        if _initializing(project.module):
            return  # somebody imports this project; later projects may need it
        with _state.lock:
            if project.name in _state.status:
                continue
            _state.status[project.name] = LOADING
        try:
            load(project.name)
        except (Exception, SystemExit) as error:
            _give_up(project, error)
        except BaseException:
            del _state.status[project.name]
            raise


def load_others(module: str) -> None:
    """Load the other projects at the end of a project's body that was imported before the host.

    Args:
        module: Name of the module whose body calls this as its last act.
    """
    if (spec := sys.modules[module].__spec__) is not None:
        spec._initializing = False  # type: ignore[attr-defined] # as the import system does next
    load_all()


def arm() -> None:
    """Put the finder first on ``sys.meta_path``; catch up if the host was imported before."""
    if _finder not in sys.meta_path:
        waiting = [type(finder).__name__ == "ProjectsRegistryHook" for finder in sys.meta_path]
        if any(waiting):  # the .pth line's; replaced where it stands: others may be iterating
            sys.meta_path[waiting.index(True)] = _finder
        else:
            sys.meta_path.insert(0, _finder)
    if HOST in sys.modules and not host_import_in_progress():
        imported = [name for name in sys.modules if f"{name}.".startswith(f"{HOST}.")]
        if not any(map(_initializing, imported)):
            _prepare()
            if len(imported) > 1:
                load_all()


def before(host_module: str, function: HostFunction) -> None:
    """Have ``function(module)`` run when a host module exists but its body has not run.

    If the function returns a callable, the callable is called with the module when the body has
    ended, also by an error. Nothing happens for a module imported earlier, unless it is reloaded.
    """
    _state.before.setdefault(host_module, []).append(function)


def after(host_module: str, function: HostFunction) -> None:
    """Have ``function(module)`` run when the body of a host module has run; at once if it has."""
    _state.after.setdefault(host_module, []).append(function)
    if host_module in sys.modules and host_module not in _state.running:
        _call([function], sys.modules[host_module])


def note(text: str) -> None:
    """Record the name of something applied to the host, for `report`."""
    if text not in _state.notes:
        _state.notes.append(text)
        if _state.announced:
            _logger.info("Applied later: %s", text)


def report() -> str:
    """Return in one line which projects are loaded and what was applied to the host."""
    if _state.enabled is None:
        return f"Projects: none yet, {HOST} has not been imported"
    loaded = [name for name, how in _state.status.items() if how == LOADED]
    parts = [f"Projects: {', '.join(loaded) or 'none'}"]
    for name, how in _state.status.items():
        if how not in (LOADING, LOADED):
            parts.append(f"not loaded: {name} ({how})")
    parts += _which_host()
    if _state.notes:
        parts.append(f"applied: {', '.join(_state.notes)}")
    return "; ".join(parts)


def run_host_module(loader: Any, module: ModuleType) -> None:
    """Run the body of a host module between the functions registered for it.

    The projects are loaded afterwards if this is the outermost ``fastreid.<something>``.

    Args:
        loader: Loader that the import system would have used.
        module: Module of the loader; its body has not run.

    Raises:
        Exception: Whatever the body raises, unchanged.
    """
    name = module.__name__
    module.__loader__ = loader
    if module.__spec__ is not None:
        module.__spec__.loader = loader
    if name in _state.running:  # two hooks, for example of two installations
        return loader.exec_module(module)
    with _inside("host"):
        _prepare()
        _state.running.add(name)
        undo = _call(_state.before.get(name, []), module)
        try:
            loader.exec_module(module)
        finally:
            _state.running.discard(name)
            _call(undo, module)
        _call(_state.after.get(name, []), module)
    parent, _, child = name.rpartition(".")
    # If another thread imports the host, the other thread loads the projects: it may hold what the
    # projects import, and wait for this module.
    if parent and not host_import_in_progress() and not _state.running:
        # The import system does these two a moment later. Projects may use the full path now, and
        # other threads must not wait for an import that is complete.
        setattr(sys.modules[parent], child, module)
        if module.__spec__ is not None:
            module.__spec__._initializing = False  # type: ignore[attr-defined]
        load_all()


def _initializing(name: str) -> bool:
    """Return whether a module, or a package around the module, is still being imported."""
    while name:
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
            return True
        name = name.rpartition(".")[0]
    return False


def _which_host() -> list[str]:
    """Return which of several hosts on the path this process uses; empty if there is one."""
    own = getattr(sys.modules.get(HOST), "__file__", None)
    if own is None:
        return []
    own = os.path.realpath(own)
    files = {os.path.realpath(os.path.join(str(path), HOST, "__init__.py")) for path in sys.path}
    others = sorted(file for file in files - {own} if os.path.isfile(file))
    where, *unused = [os.path.dirname(os.path.dirname(file)) for file in (own, *others)]
    return [f"{HOST} of {where}, not of {', '.join(unused)}"] if unused else []


def _unused_clone() -> str | None:
    """Return the folder of a clone whose script runs while this process uses another host."""
    own = getattr(sys.modules.get(HOST), "__file__", None)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not own or not script or os.path.dirname(script) == os.path.dirname(sys.executable):
        return None
    folder = os.path.dirname(os.path.realpath(script))
    while not os.path.isfile(os.path.join(folder, HOST, "__init__.py")):
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)
    installed = os.path.basename(folder) in ("site-packages", "dist-packages")
    used = os.path.samefile(os.path.join(folder, HOST), os.path.dirname(own))
    return None if installed or used else folder


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _give_up(project: Project, error: BaseException) -> None:
    _state.status[project.name] = why = _one_line(error)
    _logger.warning("%s was not loaded, %s goes on without it: %s", project.name, HOST, why)


def _choose() -> list[Project]:
    """Read the switch: all known projects, none, or the named ones."""
    wanted = os.environ.get(SWITCH, "").replace(",", " ").split()
    if [name.lower() for name in wanted] == ["off"]:
        return []
    known = available()
    for name in wanted:
        if name not in known:
            have = ", ".join(known)
            _logger.warning("%s: expected off or some of %s, got %s", SWITCH, have, name)
    return [project for name, project in known.items() if name in wanted or not wanted]


def _prepare() -> None:
    """Import the mends of the enabled projects, once, before anything of the host runs."""
    with _state.lock:  # other threads wait: mends import nothing of the host, so this ends
        if _state.enabled is not None:
            return
        _state.enabled = []  # first, because the mends may come back here
        try:
            _state.enabled += _choose()
            for project in _state.enabled:
                try:
                    with _inside("host"):
                        if project.mends:
                            import_module(project.mends)
                except (Exception, SystemExit) as error:
                    _give_up(project, error)
        except BaseException:
            _state.enabled = None
            raise
        if _state.enabled:
            after(f"{HOST}.utils.logger", _announce_with_the_log)


def _call(functions: list[HostFunction], module: ModuleType) -> list[Any]:
    """Run functions around a host module; return those results that can be called."""
    results = []
    for function in list(functions):
        try:
            results.append(function(module))
        except Exception as error:
            what = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
            _logger.warning("%s failed on %s: %s", what, module.__name__, _one_line(error))
    return [result for result in results if callable(result)]


def _announce_with_the_log(module: Any) -> None:
    """Wrap the host's ``setup_logger``: the report goes to the console and to the log file once."""
    setup = module.setup_logger

    @functools.wraps(setup)
    def setup_logger(*args: Any, **kwargs: Any) -> Any:
        logger = setup(*args, **kwargs)
        reached = 2 if (args[0] if args else kwargs.get("output")) else 1
        if logger.name == HOST and reached > _state.announced:
            load_all()
            _state.announced = reached
            _logger.info(report())
            if clone := _unused_clone():
                used = os.path.dirname(sys.modules[HOST].__file__ or "")
                text = "The script lies in %s, and runs %s of %s, not its own; try PYTHONPATH=%s"
                _logger.warning(text, clone, HOST, used, clone)
        return logger

    module.setup_logger = setup_logger


class _Loader:
    """Loader of a host module until the module runs, with all else from the real loader."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_loader":  # a copy that is not filled yet
            raise AttributeError(attribute)
        return getattr(self._loader, attribute)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's body between the functions that are registered for the module."""
        run_host_module(self._loader, module)


class _Finder:
    """Finder of the host's modules, with the specs of the finders behind it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of the next finder, its loader wrapped; None for other names."""
        if name != HOST and not name.startswith(f"{HOST}."):
            return None
        asked = _state.thread.__dict__.setdefault("asked", set())
        if name in asked or self not in sys.meta_path:
            return None  # a finder further down asked the whole import system
        asked.add(name)
        try:
            for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
                find: Any = getattr(finder, "find_spec", None)  # very old finders have none
                spec = find(name, path, target) if find else None
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = _Loader(spec.loader)
                    return spec
        finally:
            asked.discard(name)
        return None


_state: _State = globals().get("_state") or _State()
_finder: _Finder = globals().get("_finder") or _Finder()
arm()
