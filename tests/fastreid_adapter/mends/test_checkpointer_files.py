"""Files that ``Checkpointer`` reads, and tables of backbones."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from fed_plugin.fastreid_adapter.mends import checkpointer


class Harmful:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.fixture
def checkpoint(tmp_path):
    """Return a function that writes a checkpoint with something beside the model's weights."""

    def write(**extra):
        path = tmp_path / "model.pth"
        torch.save({"model": nn.Linear(2, 1).state_dict(), **extra}, path)
        return str(path)

    return write


NUMBERS = {
    "metric": np.float64(0.25),
    "half": np.float32(0.5),
    "count": np.int64(7),
    "flag": np.bool_(True),
    "means": np.arange(3.0),
    "ids": np.arange(6).reshape(2, 3),
}


def test_the_stock_checkpointer_is_refused_numpy_numbers(stock, checkpoint):
    module = stock("fastreid.utils.checkpoint")
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights"):
        module.Checkpointer(nn.Linear(2, 1)).load(checkpoint(metric=np.float64(0.25)))


def test_the_mended_checkpointer_loads_them(stock, checkpoint):
    module = stock("fastreid.utils.checkpoint")
    assert checkpointer.checkpoints_may_hold_numpy(module)
    rest = module.Checkpointer(nn.Linear(2, 1)).load(checkpoint(**NUMBERS))
    for name, value in NUMBERS.items():
        np.testing.assert_array_equal(rest[name], value)
        assert np.asarray(rest[name]).dtype == np.asarray(value).dtype


def test_files_written_under_the_other_numpy_load_too(stock, checkpoint, tmp_path):
    path = checkpoint(metric=np.float64(0.25), ids=np.arange(3))
    names = (b"numpy._core.multiarray", b"numpy.core.multiarray")
    other = tmp_path / "other.pth"
    import zipfile

    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            if entry.endswith("data.pkl"):
                assert names[0] in content or names[1] in content
                swap = names if names[0] in content else names[::-1]
                content = content.replace(*swap)
            target.writestr(entry, content)
    module = stock("fastreid.utils.checkpoint")
    assert checkpointer.checkpoints_may_hold_numpy(module)
    rest = module.Checkpointer(nn.Linear(2, 1)).load(str(other))
    assert rest["metric"] == 0.25
    assert rest["ids"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("extra", [Harmful(), np.array([Harmful()], dtype=object)])
def test_whatever_else_is_refused_stays_refused(stock, checkpoint, extra):
    module = stock("fastreid.utils.checkpoint")
    assert checkpointer.checkpoints_may_hold_numpy(module)
    with pytest.raises(ValueError, match="would have to be executed"):
        module.Checkpointer(nn.Linear(2, 1)).load(checkpoint(extra=extra))


def test_the_allowance_ends_with_the_file(stock, checkpoint):
    module = stock("fastreid.utils.checkpoint")
    assert checkpointer.checkpoints_may_hold_numpy(module)
    path = checkpoint(metric=np.float64(0.25))
    module.Checkpointer(nn.Linear(2, 1)).load(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)


def test_a_torch_that_loads_numpy_is_left_alone(stock, monkeypatch):
    module = stock("fastreid.utils.checkpoint")
    before = module.Checkpointer._load_file
    monkeypatch.setattr(checkpointer, "numpy_is_refused", lambda: False)
    assert checkpointer.checkpoints_may_hold_numpy(module) is False
    assert module.Checkpointer._load_file is before


class TestBackboneTables:
    @pytest.fixture
    def backbone(self, stock, monkeypatch):
        """Run a backbone's module again without registering its name a second time."""
        from fastreid.modeling.backbones import BACKBONE_REGISTRY

        monkeypatch.setattr(BACKBONE_REGISTRY, "_obj_map", {})
        return stock

    @pytest.mark.parametrize(("kind", "depth"), [("regnet", "200x"), ("effnet", "b0")])
    def test_a_backbone_is_built_from_any_working_directory(
        self, backbone, tiny_cfg, monkeypatch, tmp_path, kind, depth
    ):
        cfg = tiny_cfg(**{"MODEL.BACKBONE.DEPTH": depth})
        monkeypatch.chdir(tmp_path)
        module = backbone(f"fastreid.modeling.backbones.regnet.{kind}")
        build = getattr(module, f"build_{kind}_backbone")
        with pytest.raises(FileNotFoundError):
            build(cfg)
        assert checkpointer.backbone_tables_lie_beside_the_package(module)
        assert sum(weight.numel() for weight in build(cfg).parameters()) > 1_000_000

    def test_a_file_of_the_working_directory_and_an_absolute_path_come_first(
        self, monkeypatch, tmp_path
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.yaml").write_text("")
        assert checkpointer.beside_the_package("own.yaml") == "own.yaml"
        assert checkpointer.beside_the_package("/some/where.yaml") == "/some/where.yaml"

    def test_a_backbone_that_finds_its_tables_is_left_alone(self, backbone):
        module = backbone("fastreid.modeling.backbones.regnet.regnet")
        module.build_regnet_backbone = lambda cfg: "tables/RegNetX.yaml"
        assert checkpointer.backbone_tables_lie_beside_the_package(module) is False


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"noise", "not a PyTorch checkpoint that can be loaded safely"),
        ({"state_dict": {}}, "expected a checkpoint with a top-level 'model'"),
        ([1], "expected a checkpoint with a top-level 'model'"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_name(stock, tmp_path, content, message):
    module = stock("fastreid.utils.checkpoint")
    assert checkpointer.wrong_checkpoint_is_named(module)
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        module.Checkpointer(torch.nn.Linear(1, 1)).load(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_checkpoint_that_was_cut_off_is_refused_by_name(stock, tmp_path, share):
    module = stock("fastreid.utils.checkpoint")
    checkpointer.wrong_checkpoint_is_named(module)
    model, path = torch.nn.Linear(200, 200), tmp_path / "model.pth"
    torch.save({"model": model.state_dict()}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="not a PyTorch checkpoint") as caught:
        module.Checkpointer(model).load(str(path))
    assert str(path) in str(caught.value)


def test_a_whole_checkpoint_still_loads(stock, tmp_path):
    module = stock("fastreid.utils.checkpoint")
    checkpointer.wrong_checkpoint_is_named(module)
    assert not checkpointer.wrong_checkpoint_is_named(module)
    saved, loaded = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    torch.save({"model": saved.state_dict()}, tmp_path / "model.pth")
    module.Checkpointer(loaded).load(str(tmp_path / "model.pth"))
    assert torch.equal(loaded.weight, saved.weight)


class TestNothingIsExecuted:
    def test_a_checkpoint_is_read_as_data_whatever_the_default_of_pytorch(
        self, stock, checkpoint, monkeypatch
    ):
        module = stock("fastreid.utils.checkpoint")
        assert checkpointer.checkpoints_may_hold_numpy(module)
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        for extra in (Harmful(), np.array([Harmful()], dtype=object)):
            with pytest.raises(ValueError, match="would have to be executed"):
                module.Checkpointer(nn.Linear(2, 1)).load(checkpoint(extra=extra))

    def test_safetensors_are_a_checkpoint_of_a_model(self, stock, tmp_path):
        save_file = pytest.importorskip(
            "safetensors.torch", reason="an extra: try `pip install safetensors`"
        ).save_file
        module = stock("fastreid.utils.checkpoint")
        assert checkpointer.checkpoints_may_hold_numpy(module)
        assert checkpointer.wrong_checkpoint_is_named(module)
        linear, other = nn.Linear(2, 1), nn.Linear(2, 1)
        path = str(tmp_path / "model.safetensors")
        save_file(linear.state_dict(), path)
        module.Checkpointer(other).load(path)
        assert torch.equal(linear.weight, other.weight)

    @pytest.mark.parametrize("model", [None, [1], {"a": "text"}, {1: torch.zeros(1)}])
    def test_a_model_that_is_no_state_dict_is_named(self, stock, tmp_path, model):
        module = stock("fastreid.utils.checkpoint")
        assert checkpointer.wrong_checkpoint_is_named(module)
        path = str(tmp_path / "odd.pth")
        torch.save({"model": model}, path)
        with pytest.raises(ValueError, match=r"odd\.pth: its 'model' is no table of tensors"):
            module.Checkpointer(nn.Linear(2, 1)).load(path)
