"""fast-reid's own project with partial data sets, in the process in which ours are registered."""

from __future__ import annotations

from pathlib import Path

import fastreid
import pytest
from PIL import Image

PROJECT = Path(fastreid.__file__).parents[1] / "projects" / "PartialReID"
pytestmark = pytest.mark.skipif(not PROJECT.is_dir(), reason="the wheel has no projects")
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
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
    assert theirs.__module__.startswith("partialreid."), theirs
assert META_ARCH_REGISTRY.get("PartialBaseline") and META_ARCH_REGISTRY.get("FED")
ours = DATASET_REGISTRY.get("Partial_REID")(root=_root)
theirs = DATASET_REGISTRY.get("PartialREID")(root=_root)
for dataset in (ours, theirs):
    dataset.query.sort(), dataset.gallery.sort()
print([camid for _, _, camid in ours.query + ours.gallery])
print([camid for _, _, camid in theirs.query + theirs.gallery])
cfg = get_cfg()
for name in ("Partial_REID", "PartialREID"):
    loader, queries = build_reid_test_loader(cfg, dataset_name=name, num_workers=0)
    print(name, queries, len(loader.dataset))
"""
IMPORTS = ("import fed_plugin.fastreid_adapter", "import partialreid")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["ours first", "theirs first"])
def test_both_projects_work_in_one_process_and_only_ours_has_the_cameras_right(
    tmp_path, run_python, order
):
    for folder in ("partial_body_images", "whole_body_images"):
        for number in range(1, 6):
            path = tmp_path / "Partial_REID" / folder / f"001_0{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 16)).save(path)
    script = SCRIPT.format(first=IMPORTS[order[0]], second=IMPORTS[order[1]])
    lines = run_python("-c", script, PROJECT, root=tmp_path).stdout.splitlines()
    assert str([0] * 5 + [1] * 5) in lines
    assert str([1, 2, 3, 4, 5] * 2) in lines  # one of five right answers shares the query's camera
    assert "Partial_REID 5 10" in lines and "PartialREID 5 10" in lines
