"""A throw-away virtual environment with this checkout in it and a drawn-up fast-reid beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PTH = "projects_registry.pth"
BUILD = ("setup.py", "pyproject.toml", "LICENSE", "projects_registry.py", "fed_plugin", "configs")
HOST = {
    "fastreid/__init__.py": "",
    "fastreid/config.py": "keys = []",
    "fastreid/layers.py": "",
    "fastreid/utils/__init__.py": "",
    "fastreid/utils/logger.py": """
        import logging
        def setup_logger(output=None, name="fastreid"):
            logging.basicConfig(level=logging.INFO, format="%(message)s")
            return logging.getLogger(name)
        """,
    "drawn.py": "import fastreid.config; fastreid.config.keys.append('drawn')",
    "drawn-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: drawn\nVersion: 1.0\n",
    "drawn-1.0.dist-info/entry_points.txt": "[fastreid.projects]\nDrawn = drawn\n",
}
"""A fast-reid of a few lines, and somebody's project that adds a key to its config."""

Files = Mapping[str, str | bytes | None]


def copy_checkout(folder: Path) -> Path:
    """Copy what is needed to build this checkout into a folder of ``folder``."""
    copy = folder / "checkout"
    copy.mkdir(parents=True)
    for name in BUILD:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


def build_wheel(folder: Path) -> Path:
    """Build this checkout's wheel in ``folder``, from a copy."""
    words = ["-m", "pip", "-q", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, *words, "-w", str(folder), str(copy_checkout(folder))]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def write_files(folder: Path, files: Files) -> None:
    """Write texts and bytes; None takes the file, or the folder of files, away."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
        path.write_bytes(data)


class Environment:
    """An interpreter of its own.

    Args:
        folder: to be made.
        wheel: what is installed, by unpacking.
    """

    def __init__(self, folder: Path, wheel: Path | None) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        self.site = next(folder.glob("venv/lib/python*/site-packages"))
        self.host = folder / "host"
        write_files(self.host, HOST)
        if wheel is not None:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.site)

    def run(
        self,
        *words: object,
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run Python here, with the drawn-up host on the path, and nothing of the outside.

        Args:
            words: of its command line.
            env: more of the environment; ``{SITE}`` and ``{HOST}`` stand for the folders.
            before: words before the interpreter.
        """
        outside = ("FASTREID_", "PYTHON", "COV_")
        names = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
        names |= {"FASTREID_PROJECTS": "Drawn", "PYTHONPATH": "{HOST}", **(env or {})}
        names = {k: self.fill(v) for k, v in names.items()}
        command = [*before, str(self.python), *map(self.fill, map(str, words))]
        return subprocess.run(
            command, cwd=self.folder, env=names, capture_output=True, text=True, timeout=120
        )

    def see_packages(self, without: str | None = None) -> None:
        """Put the running interpreter's packages on the path, except those of a name."""
        for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            if without is None:
                with open(self.site / "shared.pth", "a", encoding="utf-8") as file:
                    file.write(f"{folder}\n")
                continue
            for path in Path(folder).iterdir():
                if without not in path.name and path.suffix != ".pth":
                    (self.folder / "packages").mkdir(exist_ok=True)
                    (self.folder / "packages" / path.name).symlink_to(path)
            (self.site / "shared.pth").write_text(f"{self.folder / 'packages'}\n")

    def fill(self, text: str) -> str:
        """Put this environment's folders into a text."""
        for name, path in self._folders:
            text = text.replace("{" + name + "}", str(path))
        return text

    def hide(self, text: str) -> str:
        """Take this environment's folders out of a text."""
        for name, path in self._folders:
            text = text.replace(str(path), name)
        return text.replace(sys.base_prefix, "PYTHON")

    @property
    def _folders(self) -> tuple[tuple[str, Path], ...]:
        return (("SITE", self.site), ("HOST", self.host), ("HERE", self.folder))
