from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from fastreid.data.build import build_reid_test_loader

from fed_plugin import __version__
from fed_plugin.fastreid_adapter import exporting
from fed_plugin.fastreid_adapter.description import describe_test_set
from fed_plugin.fastreid_adapter.embedder import Embedder
from fed_plugin.fastreid_adapter.exporting import checking, export, formats, graph, rank1
from fed_plugin.fastreid_adapter.trained_model import load_trained

BASELINE = "synthocc_vit_tiny_baseline"
FORMATS = ["torchscript"]
if formats.EXPORTS:
    FORMATS.append("torch-export")
    try:
        exporting.check_format("onnx")
        FORMATS.append("onnx")
    except ValueError:  # the extra is not installed
        pass
onnx_only = pytest.mark.skipif("onnx" not in FORMATS, reason="needs fed_plugin[onnx]")
RESNET = [
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
    *("MODEL.BACKBONE.NORM", "BN", "MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.BACKBONE.LAST_STRIDE", 1),
    *("MODEL.BACKBONE.WITH_IBN", False, "MODEL.BACKBONE.PRETRAIN", False),
    *("MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.HEADS.NUM_CLASSES", 0),
]


@pytest.fixture
def trained(tiny_cfg, tmp_path):
    """A tiny config whose checkpoint has the statistics and scales that a training leaves."""

    def make(*overrides, leaf="synthocc_vit_tiny"):
        cfg = tiny_cfg("SEED", 1, *overrides, leaf=leaf)
        model = load_trained(cfg)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
        cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")
        return cfg

    return make


@pytest.fixture
def photos():
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "overrides", [[], ["TEST.FLIP.ENABLED", True], ["MODEL.FED.NORMALIZE_OUTPUT", False]]
)
def test_a_file_answers_what_the_embedder_does(trained, tmp_path, photos, format, overrides):
    if overrides and format == "torch-export":
        pytest.skip("as onnx, which starts from it")
    cfg = trained(*overrides)
    said = exporting.export_model(cfg, format, tmp_path / "a", {"config": "mine.yml"})
    (tmp_path / "config.yml").write_text(cfg.dump())
    expected = Embedder(tmp_path / "config.yml", cfg.MODEL.WEIGHTS, "cpu")(photos)
    file = exporting.ExportedFile(tmp_path / "a", format)
    for count in (1, 5):
        answers = file(photos[:count])
        assert list(answers) == ["descriptor", "visibility"]
        np.testing.assert_allclose(
            answers["descriptor"], expected.descriptors[:count], rtol=0, atol=1e-5
        )
        if "TEST.FLIP.ENABLED" not in overrides:
            np.testing.assert_allclose(
                answers["visibility"], expected.visibility[:count], rtol=0, atol=1e-5
            )
        lengths = np.linalg.norm(answers["descriptor"], axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert [one.images for one in said.float32] == ["random", "drawn"]
    assert all(one.greatest < 1e-5 and one.cosine > 0.9999 for one in said.float32)
    assert said.shapes == {"descriptor": (128,), "visibility": (4,)}


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_it_is(trained, tmp_path, format):
    from hashlib import sha256

    cfg = trained()
    said = exporting.export_model(cfg, format, tmp_path / "a", {"config": "mine.yml"})
    about = exporting.ExportedFile(tmp_path / "a", format).about
    assert about == said.about
    with open(cfg.MODEL.WEIGHTS, "rb") as weights:
        assert about["weights_sha256"] == sha256(weights.read()).hexdigest()
    expected = {
        "config": "mine.yml",
        "fed_plugin": __version__,
        "model": "FED",
        "input": "images: uint8 RGB, (batch, 64, 32, 3)",
        "outputs": "descriptor,visibility",
        "precision": "float32",
    }
    assert {name: about[name] for name in expected} == expected


@onnx_only
def test_onnx_has_a_free_batch_and_takes_bytes(trained, tmp_path):
    import onnxruntime

    exporting.export_model(trained(), "onnx", tmp_path / "a.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    (images,) = session.get_inputs()
    assert (images.name, images.type) == ("images", "tensor(uint8)")
    assert images.shape == ["batch", 64, 32, 3]
    assert [out.shape for out in session.get_outputs()] == [["batch", 128], ["batch", 4]]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("overrides", [[], RESNET], ids=["vit", "resnet"])
def test_other_models_give_a_descriptor_alone(trained, tmp_path, photos, format, overrides):
    if overrides and format != FORMATS[-1]:
        pytest.skip("one format is enough for a ResNet-18")
    cfg = trained(*overrides, leaf=BASELINE)
    exporting.export_model(cfg, format, tmp_path / "a", {})
    answers = exporting.ExportedFile(tmp_path / "a", format)(photos)
    expected = load_trained(cfg)({"images": torch.from_numpy(photos).permute(0, 3, 1, 2).float()})
    assert list(answers) == ["descriptor"]
    expected = torch.nn.functional.normalize(expected).detach().numpy()
    np.testing.assert_allclose(answers["descriptor"], expected, rtol=0, atol=1e-5)


def test_fed_without_oem_has_no_visibility(trained, tmp_path, photos):
    cfg = trained("MODEL.FED.OEM.ENABLED", False)
    exporting.export_model(cfg, "torchscript", tmp_path / "a", {})
    assert list(exporting.ExportedFile(tmp_path / "a", "torchscript")(photos)) == ["descriptor"]


def test_bf16_of_the_config_is_not_exported(trained, tmp_path):
    cfg = trained("MODEL.FED.PRECISION", "bf16")
    said = exporting.export_model(cfg, "torchscript", tmp_path / "a", {})
    assert max(one.greatest for one in said.float32) < 1e-5
    assert cfg.MODEL.FED.PRECISION == "bf16"


def test_weights_of_training_stay_out(trained):
    model = load_trained(trained("MODEL.HEADS.NUM_CLASSES", 50))
    example = torch.zeros(2, 64, 32, 3, dtype=torch.uint8)
    whole = graph.DeployedModel(model).eval()
    lean = graph.without_training_weights(whole, example)
    names = {name for name, _ in [*lean.named_parameters(), *lean.named_buffers()]}
    assert not any("memories" in name or "classifier" in name or "fdm" in name for name in names)
    assert {"model.heads.oem.reduce.weight", "model.pixel_mean"} <= names
    assert model.heads.memory("erased").features.shape[0] == 50  # the model keeps its own
    torch.testing.assert_close(lean(example), whole(example))


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_answers_otherwise_is_not_kept(trained, tmp_path, monkeypatch, format):
    right = graph.DeployedModel.forward

    def wrong(self, images):
        return tuple(out + 2e-4 for out in right(self, images))

    monkeypatch.setattr(graph.DeployedModel, "forward", wrong)
    cfg = trained()
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"answers otherwise than the model, by 0.0002 on .* 1e-04"):
        exporting.export_model(cfg, format, tmp_path / "out" / "a", {})
    assert list((tmp_path / "out").iterdir()) == []


def test_numbers_that_are_none_are_refused_too():
    nan = checking.Difference("drawn", float("nan"), 1.0)
    good = checking.Difference("random", 0.0, 1.0)
    for precision in ("float32", "int8"):
        export._refuse((good,), precision, "onnx")
        with pytest.raises(ValueError, match="by nan on drawn images"):
            export._refuse((good, nan), precision, "onnx")


def test_the_check_sees_every_output_batch_and_kind():
    def model(images):
        means = images.mean((1, 2, 3), dtype=np.float32)[:, None]
        return {"descriptor": means / means.clip(1), "visibility": means / 255}

    for name in ("descriptor", "visibility"):
        for count in checking.BATCHES:

            def file(images, name=name, count=count):
                said = model(images)
                if len(images) == count:
                    said[name][-1] += 0.5
                return said

            found = checking.differences(file, model, (64, 32))
            assert [round(one.greatest, 3) for one in found] == [0.5, 0.5]
    with pytest.raises(ValueError, match="the written file answers .* expected"):
        checking.differences(lambda images: {"descriptor": model(images)["descriptor"]}, model, (64, 32))


def test_drawn_images_are_people_some_of_them_occluded():
    drawn, random = checking.drawn_images((64, 32)), checking.random_images((64, 32))
    assert drawn.shape == random.shape == (12, 64, 32, 3)
    assert drawn.dtype == random.dtype == np.uint8
    assert len(np.unique(drawn.reshape(12, -1), axis=0)) == 12
    assert random[1:-1].std() > 70 > drawn.std(axis=(1, 2)).mean() > 5


@pytest.mark.parametrize("format", [name for name in FORMATS if name in formats.INT8_FORMATS])
def test_int8_is_smaller_near_and_its_rank1_is_measured(trained, on_synthocc, tmp_path, format):
    cfg = trained("MODEL.FED.VIT.EMBED_DIM", 128, "MODEL.BACKBONE.FEAT_DIM", 128)
    exporting.export_model(cfg, format, tmp_path / "whole", {})
    said = exporting.export_model(cfg, format, tmp_path / "int8", {}, int8=True)
    assert said.about["precision"] == "int8" and max(x.greatest for x in said.float32) < 1e-5
    assert all(1e-4 < one.greatest < 0.1 and one.cosine > 0.99 for one in said.int8)
    sizes = [(tmp_path / name).stat().st_size for name in ("int8", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    described = describe_test_set(cfg, "SynthOcc")
    file = exporting.ExportedFile(tmp_path / "int8", format)
    cost = exporting.measure_rank1(cfg, "SynthOcc", described, file)
    assert cost.difference.value == pytest.approx(cost.file - cost.model)

    def poor(images):  # the same descriptor for everybody
        return {"descriptor": np.ones((len(images), 512), np.float32)}

    assert exporting.measure_rank1(cfg, "SynthOcc", described, poor).file <= cost.model


def test_a_file_gets_the_photos_that_the_model_got(tiny_cfg, on_synthocc):
    loader, _ = build_reid_test_loader(tiny_cfg(), dataset_name="SynthOcc")
    images = next(iter(loader))["images"]
    back = torch.from_numpy(rank1.as_photos(images)).permute(0, 3, 1, 2).float()
    assert torch.equal(back, images) and images.std() > 5
    with pytest.raises(ValueError, match="no uint8 photos"):
        rank1.as_photos(images + 0.5)


def test_what_cannot_be_written_is_refused_before_the_model_is_built(tiny_cfg, tmp_path, monkeypatch):
    cfg = tiny_cfg("MODEL.WEIGHTS", "gone.pth")
    for name, int8, message in (
        ("pickle", False, "--format pickle: expected one of onnx, torchscript, torch-export"),
        ("torch-export", True, "no dynamic quantisation here; try one of onnx, torchscript"),
    ):
        with pytest.raises(ValueError, match=message):
            exporting.export_model(cfg, name, tmp_path / "a", {}, int8=int8)
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    monkeypatch.setattr(formats, "EXPORTS", True)
    with pytest.raises(ValueError, match=r"needs the packages .* pip install 'fed_plugin\[onnx\]'"):
        exporting.export_model(cfg, "onnx", tmp_path / "a", {})
    monkeypatch.setattr(formats, "EXPORTS", False)
    with pytest.raises(ValueError, match="expected PyTorch 2.6 or later"):
        exporting.export_model(cfg, "torch-export", tmp_path / "a", {})


def test_int8_needs_a_linear_layer(trained, tmp_path):
    cfg = trained(*RESNET, leaf=BASELINE)
    with pytest.raises(ValueError, match="--int8: expected a model with linear layers"):
        exporting.export_model(cfg, "torchscript", tmp_path / "a.pt", {}, int8=True)
    assert not (tmp_path / "a.pt").exists()


def test_a_file_of_somebody_else_is_refused(tmp_path):
    module = torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
    torch.jit.save(module, str(tmp_path / "a.pt"))
    with pytest.raises(ValueError, match="expected a file that `export` wrote"):
        exporting.ExportedFile(tmp_path / "a.pt", "torchscript")


@onnx_only
@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", BASELINE])
def test_the_hosts_own_way_to_onnx_works(trained, leaf):
    # what its tools/deploy/onnx_export.py asks of PyTorch: planes of floats into the bare model
    import onnxruntime
    from torch.onnx import OperatorExportTypes

    model = load_trained(trained(leaf=leaf))
    images = torch.rand(1, 3, 64, 32) * 255
    buffer = io.BytesIO()
    with torch.no_grad():
        fallback = OperatorExportTypes.ONNX_ATEN_FALLBACK
        torch.onnx.export(model, images.clone(), buffer, operator_export_type=fallback)
        expected = model(images.clone()).numpy()
    session = onnxruntime.InferenceSession(buffer.getvalue())
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_nothing_of_onnx_is_imported_for_another_format(run_python, tmp_path):
    script = (
        "import sys; import fed_plugin.fastreid_adapter.exporting;"
        "print(sorted({'onnx', 'onnxscript', 'onnxruntime'} & set(sys.modules)))"
    )
    assert run_python("-c", script, root=tmp_path).stdout.strip().endswith("[]")
