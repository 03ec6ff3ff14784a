"""What a config says on a protocol card."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from fastreid.config import get_cfg
from fastreid.modeling.meta_arch import META_ARCH_REGISTRY

import fed_plugin
from fed_plugin.fastreid_adapter import run_cards
from fed_plugin.fastreid_adapter.run_cards import checkout_commit, describe_evaluation

QUERY, GALLERY = [("q/1.jpg", 1, 0)], [("g/1.jpg", 1, 1), ("g/2.jpg", 2, 0)]


@pytest.fixture
def described():
    """Describe a test set under a config of KEY VALUE overrides."""

    def describe(*overrides, dataset="P_DukeMTMC", **known):
        cfg = get_cfg()
        cfg.merge_from_list(list(overrides))
        return describe_evaluation(cfg, dataset, QUERY, GALLERY, **known)

    return describe


@pytest.mark.parametrize(
    ("names", "protocol"),
    [
        (("Market1501",), "transfer"),
        (("P_DukeMTMC",), "supervised"),
        (("Market1501", "P_DukeMTMC"), "supervised"),
    ],
)
def test_the_protocol_of_p_dukemtmc_follows_from_the_training_sets(described, names, protocol):
    found = described("DATASETS.NAMES", names)
    assert (found.supervision, found.training_sets) == (protocol, names)


def test_own_data_go_by_their_own_name(described):
    overrides = ("DATASETS.FOLDER_REID.NAME", "Shop", "DATASETS.NAMES", ("FolderReID",))
    found = described(*overrides, dataset="FolderReID")
    assert (found.dataset, found.training_sets, found.supervision) == (
        *("Shop", ("Shop",), "supervised"),
    )


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (["INPUT.SIZE_TEST", [256, 128]], (256, 128)),
        (["INPUT.SIZE_TEST", [256]], None),
        (["INPUT.SIZE_TEST", [0, 0]], None),
        (["INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [224, 112]], (224, 112)),
        (["INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [224]], (224, 224)),
    ],
)
def test_the_input_size_is_what_the_stock_pipeline_yields(described, overrides, size):
    import numpy as np
    from fastreid.data.transforms import build_transforms
    from PIL import Image

    assert described(*overrides).input_size == size
    if size is not None:
        cfg = get_cfg()
        cfg.merge_from_list(overrides)
        image = Image.fromarray(np.zeros((90, 50, 3), np.uint8))
        assert tuple(build_transforms(cfg, is_train=False)(image).shape[1:]) == size


def test_side_information_is_none_for_known_models_alone_unless_a_key_says_so(described):
    assert described().side_information == "none"
    assert described("MODEL.META_ARCHITECTURE", "FED").side_information == "none"
    assert described("MODEL.META_ARCHITECTURE", "Nobodys").side_information is None
    key = "TEST.SIDE_INFORMATION"
    assert described(key, "person masks").side_information == "person masks"
    assert described(key, "").side_information is None


def test_side_information_of_a_model_from_elsewhere_is_not_known(described):
    theirs = type("TheirArchitecture", (), {"__module__": "their.models"})
    META_ARCH_REGISTRY._obj_map["TheirArchitecture"] = theirs
    try:
        assert described("MODEL.META_ARCHITECTURE", "TheirArchitecture").side_information is None
    finally:
        del META_ARCH_REGISTRY._obj_map["TheirArchitecture"]


def test_what_is_known_better_replaces_what_the_config_says(described):
    found = described(epoch=7, epoch_choice="last", flip=None)
    assert (found.epoch, found.epoch_choice, found.flip) == (7, "last", None)


@pytest.mark.parametrize(("key", "seed"), [(-1, None), (0, 0), (5, 5)])
def test_an_unseeded_run_has_no_seed(described, key, seed):
    assert described("SEED", key).seed == seed


@pytest.fixture
def checkout(tmp_path):
    """A repository with a package in it, and its first commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "package" / "__init__.py"
    file.parent.mkdir()
    file.write_text("")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    return file, git("rev-parse", "HEAD")


def test_the_commit_of_a_checkout_is_told_with_whether_it_was_changed(checkout):
    file, commit = checkout
    assert checkout_commit.__wrapped__(str(file)) == commit
    file.write_text("changed")
    assert checkout_commit.__wrapped__(str(file)) == f"{commit}-dirty"


def test_without_git_or_outside_a_checkout_there_is_no_commit(checkout, tmp_path, monkeypatch):
    file, _ = checkout
    installed = tmp_path / "site-packages" / "package" / "__init__.py"
    assert checkout_commit.__wrapped__(str(installed)) is None, "the repository around is not ours"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout_commit.__wrapped__(str(file)) is None


def test_a_git_that_hangs_or_fails_is_no_commit(checkout, monkeypatch):
    def hang(*_, **__):
        raise subprocess.TimeoutExpired("git", 5)

    file, _ = checkout
    monkeypatch.setattr(run_cards.subprocess, "run", hang)
    assert checkout_commit.__wrapped__(str(file)) is None


def test_versions_name_what_runs():
    versions = run_cards.software_versions()
    assert set(versions) == {"fed_plugin", "fastreid", "torch", "numpy", "python"}
    assert versions["fed_plugin"] == fed_plugin.__version__ and all(versions.values())
