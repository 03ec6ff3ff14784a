"""Steps on batches in memory do what the host's training and evaluation do."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.costs.measure import count_macs
from fed_plugin.fastreid_adapter.running_method import RunningMethod

BASELINE = "synthocc_vit_tiny_baseline"
RESNET = ("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x")
RESNET += ("MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.HEADS.POOL_LAYER", "GlobalAvgPool")


@pytest.fixture
def method(tiny_cfg):
    def make(*overrides, leaf="synthocc_vit_tiny", train=8, test=4):
        return RunningMethod(tiny_cfg(*overrides, leaf=leaf), 6, train, test)

    return make


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize(("leaf", "overrides"), [("synthocc_vit_tiny", ()), (BASELINE, RESNET)])
def test_a_measured_step_trains(method, leaf, overrides, optimizer):
    running = method("SOLVER.OPT", optimizer, "SOLVER.BASE_LR", 1.0, *overrides, leaf=leaf)
    before = {name: value.clone() for name, value in running.model.state_dict().items()}
    running.train_step()
    after = running.model.state_dict()
    still = {name for name, old in before.items() if torch.equal(old, after[name])}
    frozen = {name for name, p in running.model.named_parameters() if not p.requires_grad}
    marks = {name for name in before if name.endswith(("initialized", "loaded"))}
    taken_off_again = {"heads.fdm.ffn_fused.contract.bias"}  # by the BatchNorm behind it
    assert still <= frozen | marks | taken_off_again


def test_the_config_s_own_optimizer_takes_the_step(method):
    running = method("SOLVER.OPT", "RMSprop")
    assert type(running.optimizer).__name__ == "RMSprop"
    assert running.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.001)


def test_views_come_from_the_config_s_transforms(method):
    assert method().on_training.images.shape == (8, 2, 3, 64, 32)
    assert method(leaf=BASELINE).on_training.images.shape == (8, 3, 64, 32)
    one = method(
        "INPUT.EXTRA_TRANSFORMS", ("NPOAugmentation",), "INPUT.NPO.VIEWS", 1, leaf=BASELINE
    )
    assert one.on_training.images.shape == (8, 3, 64, 32)


def test_no_weights_occluders_people_or_training_images_are_read(method):
    files = ("MODEL.WEIGHTS", "nowhere.pth", "MODEL.BACKBONE.PRETRAIN", True)
    files += ("MODEL.BACKBONE.PRETRAIN_PATH", "nowhere.pth", "INPUT.NPO.OCCLUDERS", "nowhere")
    method(*files, "INPUT.NPO.PEOPLE.PROB", 0.5, "DATASETS.NAMES", ("Nowhere",)).train_step()


def test_a_stock_model_that_writes_into_its_images_gets_a_copy(method):
    running = method(leaf=BASELINE)
    before = running.on_training.images.clone(), running.on_test.images.clone()
    running.train_step()
    running.test_step()
    assert torch.equal(running.on_training.images, before[0])
    assert torch.equal(running.on_test.images, before[1])


def test_both_views_of_fed_are_multiplied(method, monkeypatch):
    running = method()
    one = count_macs(lambda: running.model.features(running.on_training.images[:1, 0]))
    whole = count_macs(running.losses)
    features = running.model.features(running.on_training.images.flatten(0, 1))
    monkeypatch.setattr(running.model, "features", lambda images: features)
    assert whole - count_macs(running.losses) == 2 * 8 * one
    baseline = method(leaf=BASELINE)
    assert 8 * one < count_macs(baseline.losses) < 1.05 * 8 * one


def test_a_flip_test_describes_twice_and_takes_the_mean(method):
    plain, flipped = method(leaf=BASELINE), method("TEST.FLIP.ENABLED", True, leaf=BASELINE)
    assert count_macs(flipped.test_step) == 2 * count_macs(plain.test_step)
    images = plain.on_test.images
    with torch.no_grad():
        both = [plain.model(i.clone()) for i in (images, images.flip(dims=[3]))]
    torch.testing.assert_close(flipped.test_step(), sum(both) / 2)


def test_a_model_without_descriptors_is_refused(method, monkeypatch):
    running = method(leaf=BASELINE)
    monkeypatch.setattr(running.model, "heads", torch.nn.Identity())
    with pytest.raises(ValueError, match=r"expected one descriptor per image"):
        running.test_step()


def test_identities_have_as_many_images_as_the_sampler_gives_them(method):
    assert method().on_training.targets.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
