from __future__ import annotations

import io
import shutil
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.data.build import build_reid_test_loader

from fed_plugin import __version__
from fed_plugin.fastreid_adapter import exporting
from fed_plugin.fastreid_adapter.embedder import Embedder
from fed_plugin.fastreid_adapter.extract import describe_test_set, load_trained

BASELINE = "synthocc_vit_tiny_baseline"
FORMATS = ["torchscript", "torch-export"]
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
        model = load_trained(cfg).model
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


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder and what was exported into it, by format: an export to ONNX takes seconds."""
    return tmp_path_factory.mktemp("exported"), {}


@pytest.fixture
def exported(trained, kept):
    """Export the same trained model once for each format."""
    folder, done = kept

    def make(format):
        if format not in done:
            cfg = trained()
            weights = shutil.copy(cfg.MODEL.WEIGHTS, folder / f"{format}.pth")
            cfg.MODEL.WEIGHTS = str(weights)
            (folder / f"{format}.yml").write_text(cfg.dump())
            said = exporting.export_model(cfg, format, folder / format, {"config": "mine.yml"})
            done[format] = (cfg, said)
        return done[format]

    return make


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_answers_what_the_embedder_does(exported, photos, format):
    cfg, said = exported(format)
    expected = Embedder(said.path.with_suffix(".yml"), cfg.MODEL.WEIGHTS, "cpu")(photos)
    file = exporting.ExportedFile(said.path, format)
    for count in (1, 5):
        answers = file(photos[:count])
        assert list(answers) == ["descriptor", "visibility"]
        np.testing.assert_allclose(
            answers["descriptor"], expected.descriptors[:count], rtol=0, atol=1e-5
        )
        np.testing.assert_allclose(
            answers["visibility"], expected.visibility[:count], rtol=0, atol=1e-5
        )
        lengths = np.linalg.norm(answers["descriptor"], axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert [one.images for one in said.float32] == ["random", "drawn"]
    assert all(one.greatest < 1e-5 and one.cosine > 0.9999 for one in said.float32)
    assert said.shapes == {"descriptor": (128,), "visibility": (4,)}


@pytest.mark.parametrize("normalize", [True, False])
def test_mirror_images_count_where_the_config_says_so(trained, tmp_path, photos, normalize):
    cfg = trained("TEST.FLIP.ENABLED", True, "MODEL.FED.NORMALIZE_OUTPUT", normalize)
    exporting.export_model(cfg, "torchscript", tmp_path / "a", {})
    (tmp_path / "config.yml").write_text(cfg.dump())
    expected = Embedder(tmp_path / "config.yml", cfg.MODEL.WEIGHTS, "cpu")(photos)
    once = Embedder(
        tmp_path / "config.yml", cfg.MODEL.WEIGHTS, "cpu", overrides=["TEST.FLIP.ENABLED", False]
    )(photos)
    found = exporting.ExportedFile(tmp_path / "a", "torchscript")(photos)["descriptor"]
    np.testing.assert_allclose(found, expected.descriptors, rtol=0, atol=1e-5)
    assert np.abs(found - once.descriptors).max() > 1e-3


@pytest.mark.parametrize("format", FORMATS)
def test_mirror_images_count_for_visibility_too(trained, tmp_path, photos, format):
    cfg = trained("TEST.FLIP.ENABLED", True)
    exporting.export_model(cfg, format, tmp_path / "a", {})
    (tmp_path / "config.yml").write_text(cfg.dump())
    words = (tmp_path / "config.yml", cfg.MODEL.WEIGHTS, "cpu")
    once = Embedder(*words, overrides=["TEST.FLIP.ENABLED", False])
    straight, mirrored = (once(of).visibility for of in (photos, photos[:, :, ::-1]))
    assert np.abs(straight - mirrored).max() > 1e-3
    file = exporting.ExportedFile(tmp_path / "a", format)
    for count in (1, 5):
        found = file(photos[:count])["visibility"]
        mean = (straight + mirrored)[:count] / 2
        np.testing.assert_allclose(found, mean, rtol=0, atol=1e-5)
        expected = Embedder(*words)(photos[:count]).visibility
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@onnx_only
def test_int8_takes_mirror_images(trained, tmp_path):
    cfg = trained(
        *("TEST.FLIP.ENABLED", True, "MODEL.FED.VIT.EMBED_DIM", 128, "MODEL.BACKBONE.FEAT_DIM", 128)
    )
    said = exporting.export_model(cfg, "onnx", tmp_path / "int8", {}, int8=True)
    assert said.about["precision"] == "int8" and said.about["flip"] == "True"
    assert all(one.greatest < 0.1 and one.cosine > 0.99 for one in said.int8)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_it_is(exported, format):
    cfg, said = exported(format)
    about = exporting.ExportedFile(said.path, format).about
    assert about == said.about
    content = Path(cfg.MODEL.WEIGHTS).read_bytes()
    expected = {
        "config": "mine.yml",
        "fed_plugin": __version__,
        "model": "FED",
        "weights_sha256": sha256(content).hexdigest(),
        "input": "images: uint8 RGB, (batch, 64, 32, 3)",
        "outputs": "descriptor,visibility",
        "precision": "float32",
    }
    assert {name: about[name] for name in expected} == expected


@onnx_only
def test_onnx_has_a_free_batch_and_takes_bytes(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported("onnx")[1].path)
    (images,) = session.get_inputs()
    assert (images.name, images.type) == ("images", "tensor(uint8)")
    assert images.shape == ["batch", 64, 32, 3]
    assert [out.shape for out in session.get_outputs()] == [["batch", 128], ["batch", 4]]


@pytest.mark.parametrize(("format", "overrides"), [("torchscript", RESNET), (FORMATS[-1], [])])
def test_other_models_give_a_descriptor_alone(trained, tmp_path, photos, format, overrides):
    cfg = trained(*overrides, leaf=BASELINE)
    exporting.export_model(cfg, format, tmp_path / "a", {})
    answers = exporting.ExportedFile(tmp_path / "a", format)(photos)
    expected = load_trained(cfg).model(
        {"images": torch.from_numpy(photos).permute(0, 3, 1, 2).float()}
    )
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
    model = load_trained(trained("MODEL.HEADS.NUM_CLASSES", 50)).model
    example = torch.zeros(2, 64, 32, 3, dtype=torch.uint8)
    whole = exporting.DeployedModel(model).eval()
    lean = exporting.without_training_weights(whole, example)
    names = {name for name, _ in [*lean.named_parameters(), *lean.named_buffers()]}
    assert not any("memories" in name or "classifier" in name or "fdm" in name for name in names)
    assert {"model.heads.oem.reduce.weight", "model.pixel_mean"} <= names
    assert model.heads.memory("erased").features.shape[0] == 50  # the model keeps its own
    torch.testing.assert_close(lean(example), whole(example))


def test_a_file_that_answers_otherwise_is_not_kept(trained, tmp_path, monkeypatch):
    right = exporting.DeployedModel.forward

    def wrong(self, images):
        return tuple(out + 2e-4 for out in right(self, images))

    monkeypatch.setattr(exporting.DeployedModel, "forward", wrong)
    cfg = trained()
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"differs from the model by 0\.0002 on .* 1e-04"):
        exporting.export_model(cfg, "torchscript", tmp_path / "out" / "a", {})
    assert list((tmp_path / "out").iterdir()) == []


def test_numbers_that_are_none_are_refused_too():
    nan = exporting.Difference("drawn", float("nan"), 1.0)
    good = exporting.Difference("random", 0.0, 1.0)
    for precision in ("float32", "int8"):
        exporting._check_limit((good,), precision, "onnx")
        with pytest.raises(ValueError, match="by nan on drawn images"):
            exporting._check_limit((good, nan), precision, "onnx")


def test_the_check_sees_every_output_batch_and_kind():
    def model(images):
        means = images.mean((1, 2, 3), dtype=np.float32)[:, None]
        return {"descriptor": means / means.clip(1), "visibility": means / 255}

    for name in ("descriptor", "visibility"):
        for count in exporting.BATCHES:

            def file(images, name=name, count=count):
                said = model(images)
                if len(images) == count:
                    said[name][-1] += 0.5
                return said

            found = exporting.differences(file, model, (64, 32))
            assert [round(one.greatest, 3) for one in found] == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"the written file has the outputs .* expected"):
        exporting.differences(
            lambda images: {"descriptor": model(images)["descriptor"]}, model, (64, 32)
        )


def test_drawn_images_are_people_some_of_them_occluded():
    drawn, random = exporting.drawn_images((64, 32)), exporting.random_images((64, 32))
    assert drawn.shape == random.shape == (12, 64, 32, 3)
    assert drawn.dtype == random.dtype == np.uint8
    assert len(np.unique(drawn.reshape(12, -1), axis=0)) == 12
    assert random[1:-1].std() > 70 > drawn.std(axis=(1, 2)).mean() > 5


@onnx_only
def test_int8_is_smaller_near_and_its_rank1_is_measured(trained, on_synthocc, tmp_path):
    cfg = trained("MODEL.FED.VIT.EMBED_DIM", 128, "MODEL.BACKBONE.FEAT_DIM", 128)
    said = exporting.export_model(cfg, "onnx", tmp_path / "int8", {}, int8=True)
    assert said.about["precision"] == "int8" and max(x.greatest for x in said.float32) < 1e-5
    assert all(1e-4 < one.greatest < 0.1 and one.cosine > 0.99 for one in said.int8)
    example = torch.zeros(2, 64, 32, 3, dtype=torch.uint8)
    lean = exporting.without_training_weights(
        exporting.DeployedModel(load_trained(cfg).model).eval(), example
    )
    floats = sum(4 * parameter.numel() for parameter in lean.parameters())
    assert (tmp_path / "int8").stat().st_size < 0.6 * floats
    described = describe_test_set(cfg, "SynthOcc")
    file = exporting.ExportedFile(tmp_path / "int8", "onnx")
    of_model, of_file = exporting.rank_both(cfg, "SynthOcc", described, file)
    assert of_file.metrics["Rank-1"].value == pytest.approx(of_model.metrics["Rank-1"].value, abs=5)

    people = iter(described.pids.tolist())

    def all_knowing(images):
        return {"descriptor": np.eye(50, dtype=np.float32)[[next(people) for _ in images]]}

    of_model, best = exporting.rank_both(cfg, "SynthOcc", described, all_knowing)
    assert best.metrics["Rank-1"].value == 100 > of_model.metrics["Rank-1"].value


def test_a_file_gets_the_photos_that_the_model_got(tiny_cfg, on_synthocc):
    loader, _ = build_reid_test_loader(tiny_cfg(), dataset_name="SynthOcc")
    images = next(iter(loader))["images"]
    back = torch.from_numpy(exporting.as_photos(images)).permute(0, 3, 1, 2).float()
    assert torch.equal(back, images) and images.std() > 5
    with pytest.raises(ValueError, match="whole grey levels"):
        exporting.as_photos(images + 0.5)


def test_what_cannot_be_written_is_refused_before_the_model_is_built(
    tiny_cfg, tmp_path, monkeypatch
):
    cfg = tiny_cfg("MODEL.WEIGHTS", "gone.pth")
    for name, int8, message in (
        ("pickle", False, "--format pickle: expected one of onnx, torchscript, torch-export"),
        ("torch-export", True, "--int8: expected --format onnx, got torch-export"),
        ("torchscript", True, "--int8: expected --format onnx, got torchscript"),
    ):
        with pytest.raises(ValueError, match=message):
            exporting.export_model(cfg, name, tmp_path / "a", {}, int8=int8)
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs the packages .* pip install 'fed_plugin\[onnx\]'"):
        exporting.export_model(cfg, "onnx", tmp_path / "a", {})


def test_a_broken_model_or_size_is_named_and_not_the_format(trained, tmp_path):
    cfg = trained()
    content = torch.load(cfg.MODEL.WEIGHTS, weights_only=True)
    content["model"]["heads.bottleneck.weight"] *= float("nan")
    torch.save(content, cfg.MODEL.WEIGHTS)
    with pytest.raises(ValueError, match=r"weights\.pth: the model's own descriptor .* not finite"):
        exporting.export_model(cfg, "torchscript", tmp_path / "a", {})
    cfg = trained(leaf=BASELINE)
    for size in ([64], [0, 0]):
        cfg.INPUT.SIZE_TEST = size
        with pytest.raises(ValueError, match=r"INPUT\.SIZE_TEST=\[.*\]: expected \[height, width"):
            exporting.export_model(cfg, "torchscript", tmp_path / "a", {})
    assert not (tmp_path / "a").exists()


@onnx_only
def test_int8_needs_a_linear_layer():
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "no_products", [x], [y])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", exporting.OPSET)])
    with pytest.raises(ValueError, match="--int8: expected a model with linear layers"):
        exporting._int8_products(proto)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_cannot_be_opened_is_named(tmp_path, format):
    with pytest.raises(FileNotFoundError, match=r"gone: no such file; expected one that `export`"):
        exporting.ExportedFile(tmp_path / "gone", format)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match=f"text: not a {format} file that can be read"):
        exporting.ExportedFile(tmp_path / "text", format)


def test_a_file_of_somebody_else_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        module = torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
        torch.jit.save(module, str(tmp_path / "a.pt"))
    with pytest.raises(ValueError, match="expected a file that `export` wrote"):
        exporting.ExportedFile(tmp_path / "a.pt", "torchscript")


@onnx_only
@pytest.mark.filterwarnings("ignore")  # the older exporter that it asks for says much
@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", BASELINE])
def test_the_hosts_own_way_to_onnx_works(trained, leaf):
    # what its tools/deploy/onnx_export.py asks of PyTorch: planes of floats into the bare model
    import onnxruntime
    from torch.onnx import OperatorExportTypes

    model = load_trained(trained(leaf=leaf)).model
    images = torch.rand(1, 3, 64, 32) * 255
    buffer = io.BytesIO()
    with torch.no_grad():
        fallback = OperatorExportTypes.ONNX_ATEN_FALLBACK
        torch.onnx.export(model, images.clone(), buffer, operator_export_type=fallback)
        expected = model(images.clone()).numpy()
    session = onnxruntime.InferenceSession(buffer.getvalue())
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
