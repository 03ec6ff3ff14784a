"""docs/dumps.md dumps a timm model: run with timm where it is installed, else with a stand-in."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

from fed_plugin.retrieval.feature_dump import FeatureDump

PAGE = Path(__file__).parents[1] / "docs" / "dumps.md"
NO_DOWNLOAD = {"pretrained=True": "pretrained=False", "vit_base_": "vit_tiny_"}
STAND_IN = """
from types import SimpleNamespace
import torch
from torchvision.transforms import Compose, Resize, ToTensor

def create_model(name, *, pretrained, num_classes):
    assert num_classes == 0, "a timm model with classes returns scores, not features"
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten())

data = SimpleNamespace(
    resolve_model_data_config=lambda model: {"input_size": (3, 224, 224)},
    create_transform=lambda input_size: Compose([Resize(input_size[1:]), ToTensor()]),
)
"""


@pytest.fixture
def example():
    """The block of the page, without what has to be downloaded."""
    (text,) = [
        block
        for block in re.findall(r"python - <<'END'\n(.*?)\nEND\n", PAGE.read_text(), re.DOTALL)
        if "timm.create_model" in block
    ]
    for words, others in NO_DOWNLOAD.items():
        assert words in text
        text = text.replace(words, others)
    return text


def check(example, run_python, synthocc_root, folder, path=""):
    (folder / "datasets").symlink_to(synthocc_root)
    (folder / "example.py").write_text(f"import os\nos.chdir({str(folder)!r})\n{example}")
    names = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH"), os.getcwd()]))
    run_python(folder / "example.py", root=synthocc_root, env={"PYTHONPATH": names})
    dump = FeatureDump.load(folder / "timm.npz")
    assert dump.about["dataset"] == "SynthOcc" and dump.features.std() > 0
    scored = run_python("-m", "fed_plugin", "evaluate", folder / "timm.npz", root=synthocc_root)
    assert "| ViT-B/16, ImageNet |" in scored.stdout
    return dump


def test_the_example_runs_with_a_stand_in_for_timm(example, run_python, synthocc_root, tmp_path):
    (tmp_path / "stand_in" / "timm").mkdir(parents=True)
    (tmp_path / "stand_in" / "timm" / "__init__.py").write_text(STAND_IN)
    dump = check(example, run_python, synthocc_root, tmp_path, str(tmp_path / "stand_in"))
    assert dump.features.shape[1] == 48


@pytest.mark.skipif(
    importlib.util.find_spec("timm") is None,
    reason="timm is not installed, and no dependency; try `pip install timm` to run its example",
)
def test_the_example_runs_with_timm(example, run_python, synthocc_root, tmp_path):
    dump = check(example, run_python, synthocc_root, tmp_path)
    assert dump.features.shape[1] == 192  # of ViT-tiny
