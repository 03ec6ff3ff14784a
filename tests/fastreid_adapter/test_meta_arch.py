"""The FED meta-architecture as the host calls it."""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.utils.checkpoint import Checkpointer
from fastreid.utils.events import EventStorage

LOSSES = {
    "loss_visibility_holistic",
    "loss_visibility_occluded",
    "loss_id_erased",
    "loss_id_diffused",
    "loss_id_global",
    "loss_contrast_erased",
    "loss_contrast_diffused",
}


@pytest.fixture
def make_model(tiny_cfg):
    def make(*overrides, fill=True):
        torch.manual_seed(0)
        model = build_model(tiny_cfg(*overrides))
        if fill:
            for memory in model.heads.memories.values():
                memory.fill(torch.randn_like(memory.features))
        return model

    return make


def test_training_returns_the_loss_dict_and_moves_the_memory(make_model, batch):
    model = make_model().train()
    before = model.heads.memories["erased"].features.clone()
    losses = model(batch)
    assert losses.keys() == LOSSES
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    moved = (model.heads.memories["erased"].features != before).any(dim=1)
    assert moved.tolist() == [True, False, False, True, False, False]


def test_a_step_of_sgd_moves_every_trained_weight(make_model, batch):
    model = make_model().train()
    before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    sum(model(batch).values()).backward()
    optimizer.step()
    still = [n for n, p in model.named_parameters() if n in before and torch.equal(p, before[n])]
    assert still == []


@pytest.mark.parametrize("left_out", ["OEM", "FDM"])
def test_an_ablation_trains_and_says_what_it_still_knows(make_model, batch, left_out):
    model = make_model(f"MODEL.FED.{left_out}.ENABLED", False).train()
    assert len(model(batch)) == len(LOSSES) - 2
    with torch.no_grad():
        descriptors, visibility, parts = model.eval().describe(batch["images"][:, 0])
    assert descriptors.ndim == 2 and (visibility is None) == (left_out == "OEM")
    assert parts.shape == (4, 4, 32)


@pytest.mark.parametrize("bare", [True, False])
def test_evaluation_returns_unit_descriptors_and_leaves_its_input_alone(make_model, batch, bare):
    model = make_model().eval()
    images = batch["images"][:, 1].clone()
    kept = images.clone()
    with torch.no_grad():
        descriptors = model(images if bare else {"images": images})
    assert descriptors.shape == (4, 4 * 32)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(4))
    assert torch.equal(images, kept)


def test_descriptors_keep_their_length_when_asked(make_model, batch):
    model, plain = make_model(), make_model("MODEL.FED.NORMALIZE_OUTPUT", False)
    images = batch["images"][:, 0]
    unit, raw = model.eval()(images), plain.eval()(images)
    assert (raw.norm(dim=1) - 1).abs().min() > 0.1
    torch.testing.assert_close(torch.nn.functional.normalize(raw), unit)


def test_evaluation_needs_no_identities(make_model, batch):
    model = make_model("MODEL.HEADS.NUM_CLASSES", 0, fill=False).eval()
    assert model(batch["images"][:1, 0]).shape == (1, 128)


def test_negative_targets_of_precise_bn_leave_the_memory_alone(make_model, batch):
    model = make_model().train()
    before = model.heads.memories["erased"].features.clone()
    targets = torch.full((4,), -1)
    model({**batch, "targets": targets})
    assert torch.equal(model.heads.memories["erased"].features, before)
    assert (targets == -1).all()


def test_training_does_not_write_into_the_batch(make_model, batch):
    kept = {name: value.clone() for name, value in batch.items()}
    make_model().train()(batch)
    assert all(torch.equal(batch[name], kept[name]) for name in kept)


def test_targets_out_of_range_are_refused_with_the_key(make_model, batch):
    with pytest.raises(ValueError, match=r"NUM_CLASSES=6: a batch holds target 6; expected"):
        make_model().train()({**batch, "targets": torch.tensor([0, 0, 6, 6])})


def test_training_without_a_number_of_identities_says_who_counts_them(make_model, batch):
    with pytest.raises(ValueError, match=r"NUM_CLASSES=0: expected the number of training ident"):
        make_model("MODEL.HEADS.NUM_CLASSES", 0, fill=False).train()(batch)


def test_one_view_is_refused_in_training_with_the_key_that_adds_the_second(make_model, batch):
    with pytest.raises(ValueError, match=r"expected two views.*INPUT.EXTRA_TRANSFORMS"):
        make_model().train()({**batch, "images": batch["images"][:, 0]})


def test_bf16_stays_close_and_keeps_losses_and_memory_in_fp32(make_model, batch):
    exact, quick = make_model().train(), make_model("MODEL.FED.PRECISION", "bf16").train()
    for name, loss in quick(batch).items():
        assert loss.dtype == torch.float32
        assert exact_loss(exact, batch, name) == pytest.approx(loss.item(), rel=0.1, abs=0.05)
    memory = quick.heads.memories["erased"].features
    assert memory.dtype == torch.float32
    with torch.no_grad():
        descriptors = quick.eval()(batch["images"][:, 0])
    assert descriptors.dtype == torch.float32


def exact_loss(model, batch, name, computed={}):  # noqa: B006 - one forward for all names
    if id(model) not in computed:
        computed[id(model)] = {n: loss.item() for n, loss in model(batch).items()}
    return computed[id(model)][name]


def test_scalars_reach_the_event_storage_when_one_is_open(make_model, batch):
    model = make_model().train()
    with EventStorage(5) as storage:
        model(batch)
    assert storage.latest()["visibility_target"][0] == pytest.approx(0.75)
    assert {"accuracy_holistic", "visibility_occluded"} <= storage.latest().keys()


def test_shared_memories_are_one_object_and_separate_ones_two(make_model):
    shared = make_model().heads.memories
    separate = make_model("MODEL.FED.MEMORY.SHARED", False).heads.memories
    assert shared["erased"] is shared["diffused"]
    assert separate["erased"] is not separate["diffused"]


def test_a_checkpoint_of_another_model_is_refused(make_model, tmp_path):
    torch.save({"model": {"backbone.conv1.weight": torch.zeros(3)}}, tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=r"MODEL.WEIGHTS: not a checkpoint of this FED model"):
        Checkpointer(make_model()).load(str(tmp_path / "resnet.pth"))


def test_a_checkpoint_with_an_oem_is_refused_by_a_config_without(make_model, tmp_path):
    torch.save({"model": make_model().state_dict()}, tmp_path / "model.pth")
    without = make_model("MODEL.FED.OEM.ENABLED", False)
    with pytest.raises(ValueError, match=r"trained with an OEM that MODEL.FED.OEM.ENABLED False"):
        Checkpointer(without).load(str(tmp_path / "model.pth"))


def test_a_checkpoint_of_other_identities_evaluates(make_model, batch, tmp_path):
    trained = make_model().eval()
    torch.save({"model": trained.state_dict()}, tmp_path / "model.pth")
    torch.manual_seed(9)
    model = make_model("MODEL.HEADS.NUM_CLASSES", 0, fill=False).eval()
    Checkpointer(model).load(str(tmp_path / "model.pth"))
    images = batch["images"][:, 1]
    with torch.no_grad():
        torch.testing.assert_close(model(images), trained(images))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.FED.NUM_PARTS", 3), r"NUM_PARTS=3: expected a divisor of the 8 rows"),
        (("MODEL.FED.NUM_PARTS", 0), r"NUM_PARTS=0: expected 1 or more"),
        (("MODEL.FED.FDM.NUM_NEIGHBORS", 6), r"NUM_NEIGHBORS=6: expected fewer than the 6"),
        (("MODEL.FED.FDM.NUM_HEADS", 7), r"NUM_HEADS=7: expected a divisor of the 128"),
        (("MODEL.FED.OEM.TARGET", "soft"), r"OEM.TARGET='soft': expected one of 'reference'"),
        (("MODEL.FED.PRECISION", "fp16"), r"PRECISION='fp16': expected one of 'fp32', 'bf16'"),
        (("MODEL.FED.MEMORY.MOMENTUM", 1.5), r"MOMENTUM=1.5: expected a share in \[0, 1\]"),
        (("MODEL.FED.CONTRAST.TEMPERATURE", 0.0), r"TEMPERATURE=0.0: expected a number above"),
        (("MODEL.FED.VIT.OUTPUT", "cls"), r"VIT.OUTPUT='cls': expected 'tokens', for META"),
        (("MODEL.BACKBONE.DEPTH", "huge"), r"DEPTH='huge': expected one of 'base', 'small', "),
        (("MODEL.FED.OEM.ERASURE", "never"), r"ERASURE='never': expected one of 'before_norm'"),
        (("MODEL.FED.OEM.LOSS_WEIGHT", -1.0), r"LOSS_WEIGHT=-1.0: expected a number of 0 or more"),
        (("INPUT.NPO.VIEWS", 1), r"INPUT.NPO.VIEWS=1: expected 2, for META_ARCHITECTURE FED"),
        (("MODEL.HEADS.NAME", "EmbeddingHead"), r"HEADS.NAME='EmbeddingHead': expected 'FEDHead'"),
        (("INPUT.SIZE_TEST", [32, 32]), r"SIZE_TEST=\[32, 32\]: expected the same size"),
        (
            ("MODEL.BACKBONE.PRETRAIN", True, "MODEL.BACKBONE.PRETRAIN_PATH", "gone.pth"),
            r"PRETRAIN_PATH='gone.pth': no such file",
        ),
    ],
)
def test_a_wrong_key_is_refused_in_one_sentence(tiny_cfg, overrides, message):
    with pytest.raises(ValueError if "gone" not in message else FileNotFoundError, match=message):
        build_model(tiny_cfg(*overrides))


def test_the_same_vit_serves_the_stock_baseline(tiny_cfg, batch):
    cfg = tiny_cfg(leaf="synthocc_vit_tiny_baseline")
    model = build_model(cfg).train()
    with EventStorage(0):
        losses = model({**batch, "images": batch["images"][:, 0].clone()})
    assert losses.keys() == {"loss_cls", "loss_triplet"}
    cfg.MODEL.BACKBONE.FEAT_DIM = 192
    with pytest.raises(ValueError, match=r"FEAT_DIM=192: expected 32, the width of the ViT"):
        build_model(cfg)
