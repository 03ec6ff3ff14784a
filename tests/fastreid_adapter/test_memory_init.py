"""The first content of the memory, and when it is computed."""

from __future__ import annotations

import pytest
import torch
from fastreid.data import build_reid_train_loader
from fastreid.data.common import CommDataset
from fastreid.data.transforms import build_transforms
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage

from fed_plugin.fastreid_adapter.datasets import SynthOcc


@pytest.fixture
def model_and_batch(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("MODEL.HEADS.NUM_CLASSES", 8)
    torch.manual_seed(0)
    batch = next(iter(build_reid_train_loader(cfg)))
    return build_model(cfg).train(), batch, cfg


def centroids(model, cfg, root):
    """Mean of `[BN_i(f_i)]` per identity, image by image."""
    items = SynthOcc(root=str(root)).train
    dataset = CommDataset(items, build_transforms(cfg, is_train=False), relabel=True)
    features = {}
    model.eval()
    with torch.no_grad():
        for item in (dataset[i] for i in range(len(dataset))):
            tokens = model.features(item["images"][None])
            features.setdefault(item["targets"], []).append(model.heads.memory_features(tokens)[0])
    return torch.stack([torch.stack(features[i]).mean(dim=0) for i in range(len(features))])


def test_the_first_step_starts_from_the_identities_means(model_and_batch, on_synthocc, monkeypatch):
    model, batch, cfg = model_and_batch
    monkeypatch.setattr(model, "_update_memories", lambda *_: None)
    model.backbone.pos_drop.eval()  # a part that someone froze stays frozen
    model(batch)
    assert model.training and not model.backbone.pos_drop.training
    actual = model.heads.memories["erased"].features.clone()
    model.heads.bottleneck.reset_running_stats()  # the step above moved them
    torch.testing.assert_close(actual, centroids(model, cfg, on_synthocc), atol=1e-5, rtol=1e-5)


def test_the_pass_happens_once_and_touches_no_random_stream(model_and_batch):
    model, batch, _ = model_and_batch
    calls, compute = [], model._compute_centroids

    def counted(model):
        calls.append(torch.get_rng_state())
        features = compute(model)
        calls.append(torch.get_rng_state())
        return features

    model._compute_centroids = counted
    model(batch)
    model(batch)
    assert len(calls) == 2 and torch.equal(*calls)


def test_the_first_step_teaches_the_same_weights_as_the_second_under_the_hosts_autocast(
    model_and_batch,
):
    model, batch, _ = model_and_batch
    taught = []
    for _ in range(2):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = model(batch)
        sum(losses.values()).backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        taught.append({name for name, grad in grads.items() if grad is not None and grad.any()})
    assert taught[0] == taught[1]
    assert any(name.startswith("backbone.blocks") for name in taught[0])


def test_a_resumed_run_keeps_its_memory_and_a_fresh_one_from_weights_does_not(model_and_batch):
    model, batch, cfg = model_and_batch
    model(batch)
    kept = model.heads.memories["erased"].features.clone()
    for iteration, again in ((120, False), (0, True)):
        other = build_model(cfg).train()
        other.load_state_dict(model.state_dict())
        other._update_memories = lambda *_: None
        with EventStorage(iteration):
            other(batch)
        changed = not torch.equal(other.heads.memories["erased"].features, kept)
        assert changed is again


def test_zeros_need_no_data(tiny_cfg, batch):
    model = build_model(tiny_cfg("MODEL.FED.MEMORY.INIT", "zeros", "DATASETS.NAMES", "()")).train()
    model(batch)
    filled = model.heads.memories["erased"].features.any(dim=1)
    assert filled.tolist() == [True, False, False, True, False, False]


def test_another_number_of_identities_is_refused(tiny_cfg, on_synthocc, batch):
    with pytest.raises(ValueError, match=r"NUM_CLASSES=6: expected 8, the training identities"):
        build_model(tiny_cfg()).train()(batch)
