"""fast-reid's own project with partial data sets, in the process in which ours are registered.

A wheel of fast-reid has no projects: FASTREID_CLONE names a clone whose project is to be taken.
Everywhere, a stand-in registers what the project registers and numbers cameras as it does.
"""

from __future__ import annotations

import os
from pathlib import Path

import fastreid
import pytest
from PIL import Image

CLONE = Path(os.environ.get("FASTREID_CLONE") or Path(fastreid.__file__).parents[1])
STAND_IN = """
import os
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.datasets.bases import ImageDataset
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY

def listed(folder):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [(os.path.join(folder, n), *map(int, n.split(".")[0].split("_"))) for n in names]

class Partial(ImageDataset):
    def __init__(self, root="datasets"):
        folder = os.path.join(root, "Partial_REID")
        queries, gallery = (listed(f"{folder}/{kind}_body_images") for kind in ("partial", "whole"))
        super().__init__([], queries, gallery)

for name in ("PartialREID", "PartialiLIDS", "OccludedREID"):
    DATASET_REGISTRY.register(type(name, (Partial,), {"__module__": __name__}))
META_ARCH_REGISTRY.register(type("PartialBaseline", (), {}))
"""
SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:]
import projects_registry
projects_registry.arm()
{first}
{second}
from fastreid.config import get_cfg
from fastreid.data.build import _root, build_reid_test_loader
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY

for name, others in (("Partial_REID", "PartialREID"), ("Occluded_REID", "OccludedREID")):
    ours, theirs = DATASET_REGISTRY.get(name), DATASET_REGISTRY.get(others)
    assert ours.__module__.startswith("fed_plugin."), ours
    assert theirs.__module__.startswith("partialreid"), theirs
assert META_ARCH_REGISTRY.get("PartialBaseline") and META_ARCH_REGISTRY.get("FED")
for name in ("Partial_REID", "PartialREID"):
    dataset = DATASET_REGISTRY.get(name)(root=_root)
    print(name, sorted(c for _, _, c in dataset.query), sorted(c for _, _, c in dataset.gallery))
    loader, queries = build_reid_test_loader(get_cfg(), dataset_name=name)
    print(name, queries, len(loader.dataset))
"""
IMPORTS = ("import fed_plugin.fastreid_adapter", "import partialreid")


def folders_of(kind, tmp_path):
    """Folders that have to be searched for ``partialreid``."""
    project = CLONE / "projects" / "PartialReID"
    if kind == "stand-in":
        (tmp_path / "partialreid.py").write_text(STAND_IN)
        return [tmp_path]
    if not project.is_dir():
        pytest.skip("this fast-reid is a wheel, without projects; FASTREID_CLONE names a clone")
    return [project, CLONE]


@pytest.mark.parametrize(
    ("kind", "first"), [("stand-in", 0), ("the project", 0), ("the project", 1)]
)
def test_both_projects_work_in_one_process_and_only_ours_has_the_cameras_right(
    tmp_path, run_python, kind, first
):
    partialreid = folders_of(kind, tmp_path)
    for folder in ("partial_body_images", "whole_body_images"):
        for number in range(1, 6):
            path = tmp_path / "Partial_REID" / folder / f"001_0{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 16)).save(path)
    script = SCRIPT.format(first=IMPORTS[first], second=IMPORTS[1 - first])
    lines = run_python("-c", script, *partialreid, root=tmp_path).stdout.splitlines()
    assert "Partial_REID [0, 0, 0, 0, 0] [1, 1, 1, 1, 1]" in lines
    # the same-camera rule takes one of five right answers from each of these queries
    assert "PartialREID [1, 2, 3, 4, 5] [1, 2, 3, 4, 5]" in lines
    assert "Partial_REID 5 10" in lines and "PartialREID 5 10" in lines
