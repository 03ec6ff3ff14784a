"""docs/extending.md, run in a copy: the example project is installed, and trains what it brings."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fastreid.config import CfgNode
from fastreid.modeling.heads import REID_HEADS_REGISTRY

from fed_plugin.cli import COMMANDS
from fed_plugin.fastreid_adapter import TRANSFORM_REGISTRY

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "third_party_project"
PAGE = ROOT / "docs" / "extending.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's block has run; pip builds in a copy of the example."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(EXAMPLE, folder / "examples" / EXAMPLE.name)
    (block,) = re.findall(r"<!-- run -->\n```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-euc", block],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return folder


def weights(folder, run):
    """What a training held after the first two steps, and after the next two."""
    paths = (folder / "logs" / run / name for name in ("model_0000.pth", "model_final.pth"))
    return [torch.load(path, weights_only=True)["model"] for path in paths]


def test_it_is_installed_as_a_package_that_names_its_entry_point(folder):
    (info,) = (folder / "site").glob("stripe_reid-*.dist-info")
    assert "[fastreid.projects]\nStripes = stripe_reid" in (info / "entry_points.txt").read_text()
    assert (folder / "site" / "stripe_reid" / "head.py").is_file()


@pytest.mark.parametrize("run", ["stripes_resnet18", "shared_visibility"])
def test_the_log_names_both_projects(folder, run):
    assert "Projects: FED, Stripes;" in (folder / "logs" / run / "log.txt").read_text()


def test_the_stock_trainer_trains_the_head_by_its_keys(folder):
    before, after = weights(folder, "stripes_resnet18")
    head = {name for name in after if name.startswith("heads.")}
    assert {"heads.bottleneck.weight", "heads.classifier.weight"} <= head
    assert after["heads.classifier.weight"].shape == (8, 3 * 512)  # NUM_STRIPES 3 in the config
    for name in ("heads.bottleneck.weight", "heads.classifier.weight", "backbone.conv1.weight"):
        assert not torch.equal(before[name], after[name]), name


def test_fed_trains_the_visibility_module_in_place_of_its_own(folder):
    before, after = weights(folder, "shared_visibility")
    erasing = {name for name in after if name.startswith("heads.oem.")}
    assert erasing == {"heads.oem.score.weight", "heads.oem.score.bias"}
    for name in erasing:
        assert not torch.equal(before[name], after[name]), name


def load(name, registry, monkeypatch):
    """A module of the example, its names in a registry that holds nothing else for now."""
    monkeypatch.setattr(registry, "_obj_map", {})  # "Fog" is nobody's in other tests
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / "stripe_reid" / f"{name}.py")
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module


def test_the_transform_lays_fog_on_a_copy(monkeypatch):
    module = load("fog", TRANSFORM_REGISTRY, monkeypatch)
    assert TRANSFORM_REGISTRY.get("Fog") is module.Fog
    cfg = CfgNode({"INPUT": {"FOG": {"PROB": 1.0, "DENSITY": 0.5}}})
    image = torch.full((3, 4, 2), 55.0)
    foggy = torch.stack([module.Fog(cfg)(image) for _ in range(20)])
    assert (image == 55).all() and foggy.min() > 55 and foggy.max() <= 155
    cfg.INPUT.FOG.PROB = 0.0
    assert module.Fog(cfg)(image) is image


def test_the_head_joins_stripes_from_head_to_foot(monkeypatch):
    module = load("head", REID_HEADS_REGISTRY, monkeypatch)
    head = module.StripeHead(num_stripes=2, feat_dim=3, num_classes=5)
    rows = torch.arange(4.0).view(1, 1, 4, 1).expand(6, 3, 4, 2)  # (B, C, rows, columns)
    trained = head(rows, torch.zeros(6, dtype=torch.int64))
    assert trained["features"][0].tolist() == [0.5, 2.5] * 3
    assert trained["cls_outputs"].shape == (6, 5)
    assert head.eval()(rows).shape == (6, 6)


def test_the_head_refuses_to_have_no_stripe(monkeypatch):
    module = load("head", REID_HEADS_REGISTRY, monkeypatch)
    cfg = CfgNode({"MODEL": {"STRIPES": {"NUM_STRIPES": 0}}})
    with pytest.raises(ValueError, match=r"^MODEL.STRIPES.NUM_STRIPES=0: expected 1 or more; try"):
        module.StripeHead.from_config(cfg)


CONFIG = "examples/third_party_project/configs/stripes_resnet18.yml"
STRIPES = ["--config-file", CONFIG, "--weights", "{weights}"]
NO_STRIPE = ["MODEL.STRIPES.NUM_STRIPES", "0"]
SHORT = ["SOLVER.MAX_EPOCH", "2", "SOLVER.WARMUP_ITERS=1"]
NONE = "MODEL.STRIPES.NUM_STRIPES=0: expected 1 or more; try 4"
KNOWS_THE_KEY = {
    "train": (["--config-file", CONFIG, *NO_STRIPE, *SHORT, "OUTPUT_DIR", "{new}"], NONE),
    "dump": ([*STRIPES, "-o", "{new}.npz", *NO_STRIPE], NONE),
    "export": ([*STRIPES, "--format", "torchscript", "-o", "{new}", *NO_STRIPE], NONE),
    "robustness": ([*STRIPES, "--out", "{new}", *NO_STRIPE], NONE),
    "costs": (["{plan}", "--rounds", "1", "--out", "{new}"], NONE),
    "benchmark": (["{plan}", "--dry-run"], "stripes_resnet18.yml"),
    "index": (["{photos}", "-o", "{new}.npz", *STRIPES], "photos described"),
    "search": (["{index}", "{photo}"], "similarity"),
    "show augment": (["--config-file", CONFIG, "--out", "{new}.png", *NO_STRIPE], "stock loader"),
    "show neighbors": ([*STRIPES, "--out", "{new}.png"], "diffuses no neighbours"),
    "show visibility": (["{photo}", *STRIPES, "--out", "{new}.png"], "estimates no visibility"),
    "weights inspect": (["{weights}", "--for", CONFIG], '"layout"'),
    "demo": (["--size", "tiny", "--out", "{new}", *NO_STRIPE, "SEED=x"], "SEED=x: expected int"),
}
READ_NO_CONFIG = {
    *("convert", "evaluate", "calibrate", "report", "cards diff", "cards show"),
    *("data synth", "data occluders", "data check", "show ranking", "show curves"),
    *("data build-occluded-duke", "data build-occluded-posetrack"),
    *("weights list", "weights fetch"),
}


def run_beside(folder, words, *, installed=True):
    """Run a command with the project installed, or as if the project had been removed."""
    site = [str(folder / "site")] * installed
    return subprocess.run(
        [sys.executable, "-m", "fed_plugin", *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*site, str(ROOT)]),
            "FASTREID_DATASETS": "datasets",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_command_is_known_to_read_configs_or_none():
    assert KNOWS_THE_KEY.keys() | READ_NO_CONFIG == COMMANDS.keys()
    assert not KNOWS_THE_KEY.keys() & READ_NO_CONFIG


@pytest.fixture(scope="module")
def known(folder):
    """Words that the commands of ``KNOWS_THE_KEY`` take."""
    plan = f"datasets: [SynthOcc]\nmethods: {{none: {{config: {CONFIG}, overrides: "
    plan += "{MODEL.STRIPES.NUM_STRIPES: 0}}}\n"
    (folder / "0.yml").write_text(plan)
    photos = folder / "datasets" / "SynthOcc" / "query"
    weights = folder / "logs" / "stripes_resnet18" / "model_final.pth"
    words = ["index", str(photos), "-o", "stripes.npz", "--config-file", CONFIG]
    assert run_beside(folder, [*words, "--weights", str(weights)]).returncode == 0
    return {
        **{"weights": weights, "plan": "0.yml", "photos": photos, "index": "stripes.npz"},
        "photo": sorted(photos.glob("*.jpg"))[0],
    }


@pytest.mark.parametrize("command", KNOWS_THE_KEY)
def test_every_command_that_reads_a_config_knows_the_projects_keys(folder, known, command):
    words, expected = KNOWS_THE_KEY[command]
    new = folder / f"new_{command.replace(' ', '_')}"
    line = [word.format(**known, new=new) for word in words]
    done = run_beside(folder, [*command.split(), *line])
    said = done.stdout + done.stderr
    assert expected in said and "Non-existent" not in said and "Traceback" not in said, said


def test_an_index_stays_usable_when_a_project_comes_or_goes(folder, known):
    made = ROOT / "tests" / "made_by_0_1_0"
    weights = ["--weights", str(made / "model_final.pth")]
    for made_with in (True, False):
        index = f"made_{made_with}.npz"
        words = ["index", str(known["photos"]), "-o", index, "--config-file", made / "config.yaml"]
        assert run_beside(folder, [*map(str, words), *weights], installed=made_with).returncode == 0
        done = run_beside(folder, ["search", index, str(known["photo"])], installed=not made_with)
        assert done.returncode == 0, done.stderr
    words = ["search", str(made / "gallery.npz"), str(known["photo"]), *weights]
    done = run_beside(folder, words)
    assert done.returncode == 0, done.stderr
