"""Install the project into throw-away virtual environments and use it from there.

The environments see the running interpreter's packages through a ``.pth`` file of plain paths, so
nothing is downloaded; the host is a drawn-up package, so nothing heavy is imported.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PTH = "projects_registry.pth"
HOST = {
    "fastreid/__init__.py": "",
    "fastreid/config.py": "keys = []",
    "drawn_project.py": "import fastreid.config; fastreid.config.keys.append('drawn')",
    "drawn-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: drawn\nVersion: 1.0\n",
    "drawn-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nDrawn = drawn_project\n",
}
KEYS = "import fastreid.config; print(fastreid.config.keys)"


class Environment:
    """A virtual environment with a drawn-up host beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = next(folder.glob("venv/bin/python"))
        self.site = next(folder.glob("venv/lib/python*/site-packages"))
        shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (self.site / "shared.pth").write_text("\n".join(shared))
        for name, text in HOST.items():
            path = folder / "host" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: object, host: bool = True) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python away from the checkout."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTREID_", "PYTHONPATH"))}
        env["FASTREID_PROJECTS"] = "Drawn"
        if host:
            env["PYTHONPATH"] = str(self.folder / "host")
        command = [str(self.python), *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120
        )

    def says(self, *arguments: object) -> str:
        """Run Python, which must succeed without a complaint, and return what it printed."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def pip(self, *arguments: object) -> None:
        """Run pip of the shared packages for this environment."""
        flags = ["--no-deps", "--no-index", "--no-build-isolation"]
        verb, *rest = arguments
        flags = flags if verb == "install" else ["--yes"]
        done = self.run("-m", "pip", "-q", verb, *flags, *rest, host=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "LICENSE", "projects_registry.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("fed_plugin", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module", params=["normal", "editable"])
def installed(request, checkout, tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp(request.param))
    environment.pip("install", *(["-e"] if request.param == "editable" else []), checkout)
    environment.editable = request.param == "editable"
    return environment


def test_one_pth_line_stands_beside_the_project_and_in_its_record(installed):
    assert (installed.site / PTH).read_text().count("\n") == 1
    (info,) = installed.site.glob("fed_plugin-*.dist-info")
    with open(info / "RECORD", newline="") as file:
        assert PTH in [row[0] for row in csv.reader(file)]


def test_the_templates_of_the_report_are_installed(installed):
    root = ROOT if installed.editable else installed.site
    templates = root / "fed_plugin" / "report" / "templates"
    source = ROOT / "fed_plugin" / "report" / "templates"
    names = {path.name for path in source.iterdir()}
    assert {"report.html.j2", "report.md.j2", "page.css"} <= names
    assert {path.name for path in templates.iterdir()} == names


def test_the_console_script_is_the_module(installed):
    script = installed.folder / "venv" / "bin" / "fed-plugin"
    assert script.is_file()
    assert (
        installed.run(script, "--version").stdout
        == installed.run("-m", "fed_plugin", "--version").stdout
        != ""
    )


def test_the_interpreter_starts_with_nothing_but_the_hook(installed):
    script = """if True:
        import sys
        hooks = [f for f in sys.meta_path if type(f).__name__ == "ProjectsRegistryHook"]
        heavy = ("logging", "importlib.metadata", "re", "torch", "fed_plugin", "projects_registry")
        print(len(hooks), [name for name in heavy if name in sys.modules])
    """
    assert installed.says("-c", script) == "1 []"


@pytest.mark.parametrize("flags", [["-I"], ["-S"], ["-E", "-s"], ["-W", "error"]])
def test_the_interpreter_starts_silently_in_every_mode(installed, flags):
    assert installed.says(*flags, "-c", "print('up')") == "up"


def test_importing_only_the_host_config_loads_a_project(installed):
    assert installed.says("-c", KEYS) == "['drawn']"


def test_importing_the_registry_first_takes_the_place_of_the_hook(installed):
    script = "import projects_registry, sys; print(sys.meta_path[0] is projects_registry._finder)\n"
    assert installed.says("-c", script + KEYS) == "True\n['drawn']"


def test_spawned_processes_of_an_unaware_script_load_a_project(installed):
    script = installed.folder / "unaware.py"
    script.write_text(
        "import multiprocessing\n"
        "def keys(_):\n"
        "    import fastreid.config\n"
        "    return fastreid.config.keys\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(keys, [0]))\n"
    )
    assert installed.says(script) == "[['drawn']]"


def test_the_configs_are_found_from_the_package(installed):
    script = "import fed_plugin; print(fed_plugin.__file__)"
    package = Path(installed.says("-c", script)).parent
    folder = package.parent / "configs" / "FED" if installed.editable else package / "configs"
    expected = sorted(path.name for path in (ROOT / "configs" / "FED").glob("*.yml"))
    assert expected
    assert sorted(path.name for path in folder.glob("*.yml")) == expected


def test_an_editable_install_extends_the_path_and_adds_no_finder_of_setuptools(checkout, installed):
    pths = [
        p.read_text() for p in installed.site.glob("*.pth") if p.name.startswith("__editable__")
    ]
    assert pths == ([f"{checkout}\n"] if installed.editable else [])


def test_the_metadata_is_the_package_s_and_does_not_pin_the_host(installed):
    (info,) = installed.site.glob("fed_plugin-*.dist-info")
    metadata = HeaderParser().parsestr((info / "METADATA").read_text())
    version = installed.says("-c", "import fed_plugin; print(fed_plugin.__version__)")
    assert metadata["Version"] == version
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line.lower() for line in metadata.get_all("Requires-Dist")]
    assert any(line.startswith("torch>") for line in required)
    assert not any(line.startswith("fastreid") for line in required)


def test_a_project_that_is_gone_but_for_its_pth_line_lets_python_start(checkout, tmp_path):
    environment = Environment(tmp_path)
    environment.pip("install", checkout)
    (environment.site / "projects_registry.py").unlink()
    shutil.rmtree(environment.site / "__pycache__", ignore_errors=True)
    assert environment.says("-c", "print('up')") == "up"
    done = environment.run("-c", KEYS)
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert done.stderr == "no project was loaded: No module named 'projects_registry'\n"


@pytest.mark.parametrize("mode", [[], ["-e"]])
def test_uninstalling_removes_the_line_and_leaves_nothing(checkout, tmp_path, mode):
    environment = Environment(tmp_path)
    before = sorted(environment.site.rglob("*"))
    environment.pip("install", *mode, checkout)
    assert (environment.site / PTH).is_file()
    environment.says("-c", KEYS)
    environment.pip("uninstall", "fed_plugin")
    left = [path for path in environment.site.rglob("*") if path.name != "__pycache__"]
    assert sorted(left) == before
    assert environment.says("-c", KEYS) == "[]"


def test_a_source_distribution_builds_the_same_wheel(checkout, tmp_path):
    build = [sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=checkout, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    environment = Environment(tmp_path / "environment")
    environment.pip("install", archive)
    assert environment.says("-c", KEYS) == "['drawn']"
    configs = environment.site / "fed_plugin" / "configs"
    assert len(list(configs.glob("*.yml"))) == len(list((ROOT / "configs" / "FED").glob("*.yml")))
