"""What the import hook may meet; `hook_judge` says what the fields mean."""

from __future__ import annotations

from hook_environment import PTH, Files
from hook_judge import LOADS, USE, Situation

STOCK = "[]\n"
WITHOUT = "Drawn was not loaded, fastreid goes on without it: "
PTH_BROKEN = r"Remainder of file ignored"
NO_SUCH = r"ModuleNotFoundError: No module named "
REPORT = """if True:
    import fastreid.config, projects_registry
    print(projects_registry.report())
"""
FED_IS_KNOWN = "import projects_registry; print(*projects_registry.available())"
HOOKS = """if True:
    import fastreid.config, sys
    hooks = ("ProjectsRegistryHook", "_Finder")
    print([type(f).__name__ for f in sys.meta_path if type(f).__name__ in hooks])
    print(fastreid.config.keys)
"""
THREADS = """if True:
    import importlib, sys, threading
    sys.setswitchinterval(1e-6)
    names = ["fastreid.config", "fastreid.layers", "fastreid.utils.logger", "fastreid"] * 4
    threads = [threading.Thread(target=importlib.import_module, args=[n]) for n in names]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    import fastreid.config
    print(fastreid.config.keys if not any(t.is_alive() for t in threads) else "hangs")
"""
POOL = """
import multiprocessing
def keys(_):
    import fastreid.config
    return fastreid.config.keys
if __name__ == "__main__":
    with multiprocessing.get_context("METHOD").Pool(1) as pool:
        print(pool.map(keys, [0])[0])
"""
INTERRUPTED = """if True:
    try:
        import fastreid.config
    except KeyboardInterrupt:
        print("interrupted")
    import fastreid.layers
    print(fastreid.config.keys)
"""
ONCE_INTERRUPTED = """
    import builtins
    if not hasattr(builtins, "interrupted"):
        builtins.interrupted = True
        raise KeyboardInterrupt
    import fastreid.config; fastreid.config.keys.append("drawn")
"""


def project(entry: str, module: str = "") -> Files:
    """Draw somebody's project: its entry point and its module."""
    entries = f"[fastreid.projects]\nDrawn = {entry}\n"
    return {"drawn-1.0.dist-info/entry_points.txt": entries, "drawn.py": module}


HOSTS = (
    Situation("fast-reid as it should be"),
    Situation(
        "fast-reid has a syntax error",
        {"fastreid/config.py": "def get_cfg(:\n"},
        prints="",
        reads=r"^SyntaxError: ",
        ends=1,
    ),
    Situation(
        "fast-reid raises ImportError",
        {"fastreid/config.py": "from collections import Mapping"},
        prints="",
        reads=r"^ImportError: cannot import name 'Mapping' from 'collections'",
        ends=1,
    ),
    Situation(
        "the package itself raises",
        {"fastreid/__init__.py": "raise RuntimeError('no GPU')"},
        prints="",
        reads=r"^RuntimeError: no GPU$",
        ends=1,
    ),
    Situation(
        "fast-reid exits the process (its rank extension does)",
        {"fastreid/config.py": "import sys; sys.exit('make failed')"},
        prints="",
        reads=r"^make failed$",
        ends=1,
    ),
    Situation(
        "no fast-reid",
        {"fastreid": None},
        prints="",
        reads=NO_SUCH + "'fastreid'$",
        ends=1,
    ),
    Situation(
        "a folder named fastreid without __init__.py",
        {"fastreid": None, "fastreid/logs/log.txt": ""},
        prints="",
        reads=NO_SUCH + r"'fastreid\.config'$",
        ends=1,
    ),
    Situation(
        "fast-reid lost its __init__.py and works as a namespace",
        {"fastreid/__init__.py": None},
    ),
    Situation(
        "two fast-reids on the path",
        {"second/fastreid/__init__.py": "", "second/fastreid/config.py": ""},
        words=("-c", REPORT),
        env={"PYTHONPATH": "{HOST}:{HOST}/second"},
        prints="Projects: Drawn; fastreid of {HOST}, not of {HOST}/second\n",
    ),
    Situation(
        "no torch",
        {"fastreid/config.py": "import torch"},
        prints="",
        reads=NO_SUCH + "'torch'$",
        ends=1,
    ),
    Situation(
        "fast-reid in a zip file",
        words=("-c", f"import sys; sys.path.insert(0, '{{HERE}}/host.zip'); {USE}"),
        zipped=True,
    ),
)

PROJECTS = (
    Situation(
        "a project raises when it registers",
        project("drawn:register", "def register(): raise ValueError('taken')"),
        prints=STOCK,
        reads=f"^{WITHOUT}ValueError: taken$",
    ),
    Situation(
        "an entry point names a module that does not exist",
        project("gone"),
        prints=STOCK,
        reads=f"^{WITHOUT}ModuleNotFoundError: No module named 'gone'$",
    ),
    Situation(
        "an entry point names a function that does not exist",
        project("drawn:enter"),
        prints=STOCK,
        reads=f"^{WITHOUT}AttributeError: module 'drawn' has no attribute 'enter'",
    ),
    Situation(
        "an entry point is no name",
        project("not a module!"),
        prints=STOCK,
        reads=f"^{WITHOUT}ModuleNotFoundError",
    ),
    Situation(
        "a project has a syntax error",
        project("drawn", "def ("),
        prints=STOCK,
        reads=f"^{WITHOUT}SyntaxError: ",
    ),
    Situation(
        "a project exits (SystemExit)",
        project("drawn", "import sys; sys.exit('needs CUDA')"),
        prints=STOCK,
        reads=f"^{WITHOUT}SystemExit: needs CUDA$",
    ),
    Situation(
        "Ctrl-C while a project is imported; a second import loads it",
        project("drawn", ONCE_INTERRUPTED),
        words=("-c", INTERRUPTED),
        prints=f"interrupted\n{LOADS}",
    ),
    Situation(
        "a project raises a BaseException",
        project("drawn", "class Stop(BaseException): pass\nraise Stop('at once')"),
        prints="",
        reads=r"^drawn\.Stop: at once$",
        ends=1,
    ),
    Situation(
        "a project's message has several lines",
        project("drawn", "raise ValueError('one\\ntwo')"),
        prints=STOCK,
        reads=f"^{WITHOUT}ValueError: one two$",
    ),
    Situation(
        "another package's metadata is not text",
        {"broken-1.0.dist-info/METADATA": "Name: broken\nVersion: 1.0\n"}
        | {"broken-1.0.dist-info/entry_points.txt": b"\xff\xfe[x]\n"},
        env={"FASTREID_PROJECTS": ""},
        words=("-c", FED_IS_KNOWN),
        prints="FED\n",
        reads="^Other packages' projects cannot be listed: UnicodeDecodeError",
    ),
    Situation(
        "FASTREID_PROJECTS=off, a project that raises",
        project("gone"),
        env={"FASTREID_PROJECTS": "off"},
        prints=STOCK,
    ),
)

LEFTOVERS = (
    Situation(
        "projects_registry.py is broken, its .pth is there",
        site={"projects_registry.py": "def ("},
        prints=STOCK,
        reads=r"^no project was loaded: .*projects_registry\.py, line 1",
    ),
    Situation(
        "projects_registry.py is empty",
        site={"projects_registry.py": ""},
        prints=STOCK,
        reads=r"^no project was loaded: cannot import name 'run_host_module'",
    ),
    Situation(
        "projects_registry.py is gone, its .pth is there",
        site={"projects_registry.py": None},
        prints=STOCK,
        reads=r"^no project was loaded: No module named 'projects_registry'$",
    ),
    Situation(
        "fed_plugin is gone, the rest is there",
        site={"fed_plugin": None},
        env={"FASTREID_PROJECTS": "FED"},
        prints=STOCK,
        reads=r"^FED was not loaded, .*No module named 'fed_plugin'$",
    ),
    Situation("the .pth is empty", site={PTH: ""}, prints=STOCK),
    Situation(
        "the .pth is cut off",
        site={PTH: 'import sys; "ProjectsRegistryHook" in [type(f).__name__ for'},
        prints=STOCK,
        start_reads=PTH_BROKEN,
    ),
    Situation(
        "the .pth holds letters beyond ASCII",
        site={PTH: "import sys; raise ImportError('é')\n"},
        prints=STOCK,
        start_reads=PTH_BROKEN,
    ),
)

FLAGS = (
    Situation(
        "python -I",
        words=("-c", f"import sys; sys.path.append('{{HOST}}'); {USE}"),
        flags=("-I",),
    ),
    Situation("python -S: no site-packages, no hook", flags=("-S",), prints=STOCK),
    Situation(
        "python -E",
        words=("-c", f"import sys; sys.path.append('{{HOST}}'); {USE}"),
        flags=("-E",),
    ),
    Situation("python -s", flags=("-s",)),
    Situation("python -B", flags=("-B",)),
    Situation("python -OO", flags=("-OO",)),
    Situation("python -W error", flags=("-W", "error")),
    Situation("python -X dev", flags=("-X", "dev")),
    Situation("python -X importtime", flags=("-X", "importtime"), noisy=True),
    Situation("python -X utf8=0 in the C locale", flags=("-X", "utf8=0"), env={"LC_ALL": "C"}),
    Situation(
        "a zipapp",
        {"app/__main__.py": USE},
        words=("{HOST}/app.pyz",),
        zipped=True,
    ),
)

SHARED = (
    Situation("16 threads import fast-reid at once", words=("-c", THREADS)),
    *(
        Situation(
            f"multiprocessing by {method}",
            {"main.py": POOL.replace("METHOD", method)},
            words=("{HOST}/main.py",),
        )
        for method in ("spawn", "forkserver", "fork")
    ),
    Situation(
        "site-packages seen twice",
        words=("-c", HOOKS),
        env={"PYTHONPATH": "{SITE}:{HOST}:{SITE}"},
        prints=f"['_Finder']\n{LOADS}",
    ),
    Situation(
        "the .pth runs again when fast-reid has been imported",
        words=("-c", f"import fastreid, site; site.addsitedir('{{SITE}}'); {USE}"),
    ),
    Situation(
        "sys.meta_path is another list after the start",
        words=("-c", f"import sys; sys.meta_path = sys.meta_path[:]; {USE}"),
    ),
    Situation(
        "somebody took the hook out",
        words=("-c", f"import sys; sys.meta_path[:] = sys.meta_path[1:]; {USE}"),
        prints=STOCK,
    ),
    Situation(
        "somebody stands before the hook",
        words=(
            "-c",
            f"import sys; f = sys.meta_path.pop(); sys.meta_path.insert(0, f); {USE}",
        ),
        prints=STOCK,
    ),
)

SITUATIONS = (*HOSTS, *PROJECTS, *LEFTOVERS, *FLAGS, *SHARED)
