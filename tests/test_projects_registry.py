"""Every test starts a fresh interpreter in a drawn-up world: no fast-reid, no site-packages.

How the installed ``.pth`` line arms the hook is the matter of test_packaging.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DIARY = "import builtins; diary = builtins.__dict__.setdefault('diary', []); diary.append({!r})\n"
WORLD = {
    "fastreid/__init__.py": DIARY.format("fastreid") + "__version__ = '1.3'",
    "fastreid/config/__init__.py": "from .config import get_cfg\n" + DIARY.format("config"),
    "fastreid/config/config.py": "def get_cfg():\n    return 'stock'\n",
    "fastreid/data/__init__.py": "from . import build\n" + DIARY.format("data"),
    "fastreid/data/build.py": "from collections import Gone\n" + DIARY.format("build"),
    "fastreid/modeling/__init__.py": "from fastreid.config import get_cfg\nparts = []\n",
    "fastreid/broken.py": "raise ImportError('broken on purpose')\n",
    "fastreid/utils/__init__.py": "",
    "fastreid/utils/logger.py": """
        import functools, logging, sys
        @functools.lru_cache()
        def setup_logger(output=None, distributed_rank=0, *, name="fastreid"):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
            handler = logging.FileHandler(output) if output else logging.StreamHandler(sys.stdout)
            logger.addHandler(handler)
            return logger
        """,
    "fed_plugin/__init__.py": "",
    "fed_plugin/fastreid_adapter/__init__.py": """
        import projects_registry
        from . import mends
        def register():
            import fastreid.modeling, fastreid.config.config
            diary.append("FED registered")
            fastreid.modeling.parts.append("FED")
        from builtins import diary
        if not projects_registry.host_import_in_progress():
            register()
        """,
    "fed_plugin/fastreid_adapter/mends.py": """
        import builtins, collections, sys
        import projects_registry
        diary = builtins.__dict__.setdefault("diary", [])
        def lend(module):
            collections.Gone = dict
            diary.append("before build")
            return lambda module: delattr(collections, "Gone")
        def mend(module):
            diary.append("after build")
            projects_registry.note("gone_lent")
        projects_registry.before("fastreid.data.build", lend)
        projects_registry.after("fastreid.data.build", mend)
        diary.append("mends, host there: %s" % ("fastreid.config" in sys.modules))
        """,
    "other/__init__.py": """
        import fastreid.modeling, builtins
        fastreid.modeling.parts.append("Other")
        """,
    "other-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
    "other-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nOther = other\n",
    "failing/__init__.py": "raise RuntimeError('no luck today')\n",
}


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


@pytest.fixture
def world(tmp_path):
    """Return a function that runs a script in the drawn-up world and gives its process."""
    _write(tmp_path, WORLD)

    def run(script, files=None, armed=True, **environment):
        _write(tmp_path, files or {})
        main = tmp_path / "main.py"
        text = textwrap.dedent(script)
        main.write_text(f"import projects_registry\n{text}" if armed else text)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTREID_", "PYTHONPATH"))}
        env |= {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", **environment}
        command = [sys.executable, "-S", str(main)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def says(world):
    """Return a function that runs a script and gives what it printed; it must not complain."""

    def run(script, **kwargs):
        done = world(script, **kwargs)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run


def test_importing_only_the_config_of_the_host_loads_every_project(says):
    script = """
        import fastreid.config
        import fastreid.modeling
        print(fastreid.modeling.parts, projects_registry.report())
    """
    assert says(script) == "['FED', 'Other'] Projects: FED, Other"


def test_mends_run_before_anything_of_the_host_and_projects_after_the_outermost_module(says):
    assert says("import fastreid.data; print(*diary, sep='; ')") == (
        "mends, host there: False; fastreid; before build; build; after build; data; config; "
        "FED registered"
    )


def test_the_bare_package_loads_no_project(says):
    script = """
        import fastreid, sys
        print("fastreid.modeling" in sys.modules, fastreid.__version__, diary)
    """
    assert says(script) == "False 1.3 ['mends, host there: False', 'fastreid']"


def test_what_a_before_function_lends_is_taken_back_also_when_the_body_fails(world):
    script = """
        import collections
        projects_registry.before("fastreid.broken", lambda module: lambda module: print("undone"))
        try:
            import fastreid.broken
        except ImportError as error:
            print(repr(error), projects_registry.host_import_in_progress())
        import fastreid.data
        print(hasattr(collections, "Gone"))
    """
    done = world(script)
    expected = ["undone", "ImportError('broken on purpose') False", "False"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_a_failing_host_import_reaches_the_user_unchanged(world):
    done = world("import fastreid.broken")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("\nImportError: broken on purpose")
    assert (
        world("import fastreid.absent")
        .stderr.strip()
        .endswith("ModuleNotFoundError: No module named 'fastreid.absent'")
    )


def test_switched_off_nothing_is_touched(says):
    script = """
        import fastreid.config, sys
        print(diary, [name for name in sys.modules if name in ("fed_plugin", "other")])
        print(type(fastreid.config.__loader__).__name__, projects_registry.report())
    """
    assert says(script, FASTREID_PROJECTS="off").splitlines() == [
        "['fastreid', 'config'] []",
        "SourceFileLoader Projects: none",
    ]


def test_a_project_switched_off_can_still_be_loaded_by_name(says):
    script = """
        projects_registry.load("FED")
        import fastreid.data, fastreid.modeling
        print(fastreid.modeling.parts, "after build" in diary)
    """
    assert says(script, FASTREID_PROJECTS="off") == "['FED'] True"


@pytest.mark.parametrize(("names", "loaded"), [("Other", ["Other"]), ("FED", ["FED"])])
def test_the_switch_narrows_to_the_projects_it_names(says, names, loaded):
    script = "import fastreid.config, fastreid.modeling; print(fastreid.modeling.parts)"
    assert says(script, FASTREID_PROJECTS=names) == str(loaded)


def test_an_unknown_name_in_the_switch_is_said_and_the_known_ones_load(world):
    script = "import fastreid.config, fastreid.modeling; print(fastreid.modeling.parts)"
    done = world(script, FASTREID_PROJECTS="FED, Fed2")
    assert done.stdout == "['FED']\n"
    assert "FASTREID_PROJECTS: expected off or some of FED, Other, got Fed2" in done.stderr


def test_an_entry_point_may_name_the_function_that_registers(says):
    files = {
        "late/__init__.py": "def enter():\n    import fastreid.modeling as m; m.parts.append('L')",
        "late-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: late\nVersion: 1.0\n",
        "late-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nLate = late : enter\n",
    }
    script = "import fastreid.config, fastreid.modeling; print(fastreid.modeling.parts)"
    assert says(script, files=files, FASTREID_PROJECTS="Late") == "['L']"


def test_a_package_in_an_archive_takes_part(says, tmp_path):
    with zipfile.ZipFile(tmp_path / "late.zip", "w") as archive:
        archive.writestr("late.py", "import fastreid.modeling as m; m.parts.append('late')")
        archive.writestr("late-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: late\n")
        archive.writestr(
            "late-1.0.dist-info/entry_points.txt", "[fastreid.projects]\nLate = late\n"
        )
    script = f"""
        import sys
        sys.path.append({str(tmp_path / "late.zip")!r})
        import fastreid.config, fastreid.modeling
        print(fastreid.modeling.parts)
    """
    assert says(script, FASTREID_PROJECTS="Late") == "['late']"


def test_a_package_that_only_a_finder_knows_takes_part(says):
    script = """
        import sys
        from importlib.metadata import Distribution

        class Kept(Distribution):
            metadata = {"Name": "kept"}
            def read_text(self, name):
                return "[fastreid.projects]\\nKept = kept\\n" * name.startswith("entry")
            def locate_file(self, path):
                return path

        class Finder:
            find_spec = staticmethod(lambda *_: None)
            find_distributions = staticmethod(lambda *_: [Kept()])

        sys.meta_path.append(Finder())
        import fastreid
        import projects_registry
        print("Kept" in projects_registry.available())
    """
    assert says(script, FASTREID_PROJECTS="off") == "True"


def test_metadata_is_not_read_where_no_package_names_the_group(says):
    script = "import fastreid, sys; print('importlib.metadata' in sys.modules)"
    files = {"other-1.0.dist-info/entry_points.txt": "[console_scripts]\n"}
    assert says(script, files=files, FASTREID_PROJECTS="") == "False"


def test_a_project_that_raises_is_named_once_and_the_host_goes_on(world):
    files = {"other-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nOther = failing\n"}
    script = """
        import fastreid.config, fastreid.modeling, fastreid.data
        print(fastreid.modeling.parts, projects_registry.report())
    """
    done = world(script, files=files)
    why = "RuntimeError: no luck today"
    assert done.stderr == f"Other was not loaded, fastreid goes on without it: {why}\n"
    assert done.stdout == (
        f"['FED'] Projects: FED; not loaded: Other ({why}); applied: gone_lent\n"
    )


def test_loading_a_project_by_name_raises_what_it_raises(world):
    files = {"other-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nOther = failing\n"}
    done = world("projects_registry.load('Other')", files=files)
    assert done.stderr.strip().endswith("RuntimeError: no luck today")


def test_loading_an_unknown_project_says_which_there_are(world):
    stderr = world("projects_registry.load('Fde')").stderr
    assert "KeyError: 'Fde: no such project; expected one of FED, Other; try installing" in stderr


def test_a_project_registers_once_however_often_it_is_loaded(says):
    script = """
        for _ in range(2):
            projects_registry.load("FED")
            projects_registry.load_all()
        import fastreid.data, fastreid.modeling
        print(diary.count("FED registered"), fastreid.modeling.parts)
    """
    assert says(script) == "1 ['FED', 'Other']"


def test_importing_the_adapter_by_hand_is_enough(says):
    script = """
        import fed_plugin.fastreid_adapter
        import fastreid.modeling, fastreid.data
        print(fastreid.modeling.parts.count("FED") > 0, "before build" in diary)
    """
    assert says(script, armed=False) == "True True"


def test_missing_mends_are_one_warning_and_the_host_imports(world):
    files = {"fed_plugin/fastreid_adapter/mends.py": "import torch_is_not_here\n"}
    done = world("import fastreid.config; print(fastreid.config.get_cfg())", files=files)
    assert done.stdout == "stock\n"
    assert done.stderr.count("\n") == 1
    assert "FED was not loaded" in done.stderr and "torch_is_not_here" in done.stderr


def test_a_failing_mend_is_named_and_the_host_imports(world):
    script = """
        def broken_mend(module):
            raise TypeError("not today")
        projects_registry.after("fastreid.config", broken_mend)
        import fastreid.config
    """
    done = world(script)
    assert done.returncode == 0
    assert "__main__.broken_mend failed on fastreid.config: TypeError: not today" in done.stderr


def test_a_function_for_a_module_that_has_run_is_called_at_once(says):
    script = """
        import fastreid.config
        projects_registry.after("fastreid.config", lambda module: print("at once", module.__name__))
        projects_registry.before("fastreid.config", lambda module: print("never"))
    """
    assert says(script) == "at once fastreid.config"


def test_a_host_imported_before_the_hook_is_caught_up_with(says):
    script = """
        import collections
        collections.Gone = dict
        import fastreid.data
        import projects_registry, fastreid.modeling
        print(fastreid.modeling.parts, "after build" in diary, "before build" in diary)
    """
    assert says(script, armed=False) == "['FED', 'Other'] True False"


def test_reloading_a_host_module_keeps_its_mends_and_registers_nothing_twice(says):
    script = """
        import importlib, fastreid.data, fastreid.modeling
        importlib.reload(fastreid.data.build)
        print(diary.count("before build"), diary.count("after build"), fastreid.modeling.parts)
    """
    assert says(script) == "2 2 ['FED', 'Other']"


def test_reloading_the_registry_forgets_nothing_and_adds_no_finder(says):
    script = """
        import importlib, sys
        import fastreid.config
        importlib.reload(projects_registry)
        import fastreid.data
        finders = [f for f in sys.meta_path if type(f).__module__ == "projects_registry"]
        print(len(finders), "after build" in diary, projects_registry.report())
    """
    assert says(script) == "1 True Projects: FED, Other; applied: gone_lent"


def test_host_modules_keep_their_loader_source_and_resources(says):
    script = """
        import importlib.resources, importlib.util, inspect, pkgutil
        spec = importlib.util.find_spec("fastreid.config")
        print(spec.loader.is_package(spec.name), "get_cfg" in spec.loader.get_source(spec.name))
        import fastreid.config.config as config
        print(type(config.__loader__).__name__, config.__spec__.loader is config.__loader__)
        print("stock" in inspect.getsource(config.get_cfg))
        print((importlib.resources.files("fastreid") / "broken.py").is_file())
        print(b"stock" in pkgutil.get_data("fastreid.config", "config.py"))
        import fastreid.modeling
        print(fastreid.modeling.parts)
    """
    lines = ["True True", "SourceFileLoader True", "True", "True", "True", "['FED', 'Other']"]
    assert says(script).splitlines() == lines


def test_looking_for_the_host_runs_nothing(says):
    script = """
        import importlib.util, sys
        print(importlib.util.find_spec("fastreid") is not None, "fed_plugin" in sys.modules)
    """
    assert says(script) == "True False"


def test_the_project_may_use_the_full_path_of_the_module_whose_import_loads_it(says):
    files = {
        "other/__init__.py": """
            import fastreid
            fastreid.config.get_cfg = lambda: "extended"
        """
    }
    script = "import fastreid.config; print(fastreid.config.get_cfg())"
    assert says(script, files=files) == "extended"


def test_the_report_is_logged_once_when_the_host_sets_up_its_log(says, tmp_path):
    script = """
        import fastreid.data
        from fastreid.utils.logger import setup_logger
        setup_logger(name="fvcore")
        setup_logger()
        setup_logger(name="fastreid")
        setup_logger(output="LOG")
        setup_logger("LOG")
        print("end")
    """.replace("LOG", str(tmp_path / "log.txt"))
    line = "Projects: FED, Other; applied: gone_lent"
    assert (tmp_path / "log.txt").exists() is False
    out = says(script).splitlines()
    assert out[0] == line and out[-1] == "end"
    assert (tmp_path / "log.txt").read_text() == line + "\n"


def test_a_run_with_a_log_file_says_the_report_once(says, tmp_path):
    log = tmp_path / "log.txt"
    script = f"""
        from fastreid.utils.logger import setup_logger
        for _ in range(3):
            setup_logger({str(log)!r})
        projects_registry.note("late_mend")
    """
    assert says(script) == ""
    assert log.read_text() == "Projects: FED, Other\nApplied later: late_mend\n"


@pytest.mark.parametrize(
    ("script", "warned"),
    [
        ("clone/tools/train_net.py", True),
        ("clone/projects/FastRetri/train_net.py", True),
        ("train_net.py", False),  # beside the host that is used
        ("clone/venv/lib/site-packages/fed_plugin/__main__.py", False),
    ],
)
def test_a_script_of_a_clone_that_runs_another_host_is_a_warning(tmp_path, script, warned):
    _write(tmp_path, WORLD)
    _write(tmp_path, {f"clone/{name}": WORLD[name] for name in WORLD if "fastreid/" in name})
    _write(tmp_path, {"clone/venv/lib/site-packages/fastreid/__init__.py": ""})
    log = tmp_path / "log.txt"
    text = f"import projects_registry\nfrom fastreid.utils.logger import *\nsetup_logger('{log}')"
    _write(tmp_path, {script: text})
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTREID_", "PYTHONPATH"))}
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    subprocess.run([sys.executable, "-S", str(tmp_path / script)], env=env, check=True, timeout=60)
    lines = log.read_text().splitlines()
    clone = tmp_path / "clone"
    expected = f"The script lies in {clone}, and runs fastreid of {tmp_path / 'fastreid'}, not"
    assert [line.startswith(expected) for line in lines[1:]] == [True] * warned


def test_two_threads_that_import_the_host_at_once_get_each_project_once(says):
    script = """
        import importlib, threading
        names = ["fastreid.config", "fastreid.data", "fastreid.modeling", "fastreid.utils.logger"]
        threads = [threading.Thread(target=importlib.import_module, args=[n]) for n in names]
        [thread.start() for thread in threads]
        [thread.join(30) for thread in threads]
        import fastreid.modeling
        print(any(thread.is_alive() for thread in threads), sorted(fastreid.modeling.parts))
    """
    assert says(script) == "False ['FED', 'Other']"


def test_a_finder_of_the_old_kind_is_passed_over(says):
    script = """
        import sys
        class Old:
            def find_module(self, name, path=None):
                return None
        sys.meta_path.insert(1, Old())
        import fastreid.config
        print("in")
    """
    assert says(script) == "in"


def test_a_finder_that_asks_the_whole_import_system_does_not_loop(says):
    script = """
        import importlib.util, sys
        class Asking:
            asked = set()
            def find_spec(self, name, path=None, target=None):
                if name in self.asked or not name.startswith("fastreid"):
                    return None
                self.asked.add(name)
                return importlib.util.find_spec(name)
        sys.meta_path.insert(1, Asking())
        import fastreid.config, fastreid.modeling
        print(fastreid.modeling.parts)
    """
    assert says(script) == "['FED', 'Other']"


def test_spawned_processes_load_the_projects_too(says):
    script = """
        import multiprocessing
        def parts(_):
            import fastreid.config, fastreid.modeling
            return fastreid.modeling.parts
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(parts, [0]))
    """
    assert says(script) == "[['FED', 'Other']]"


def test_importing_the_registry_imports_nothing_that_is_heavy(says):
    script = """
        import sys
        heavy = ("torch", "numpy", "fed_plugin", "fastreid", "other", "importlib.metadata")
        print([name for name in heavy if name in sys.modules])
    """
    assert says(script) == "[]"
