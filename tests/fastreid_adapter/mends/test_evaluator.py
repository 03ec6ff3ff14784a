"""The flip test normalises its images once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fed_plugin.fastreid_adapter.mends import evaluator as evaluator_module


class Stub(nn.Module):
    """A model that keeps the images its backbone sees, with the host's preprocessing or ours."""

    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place
        self.seen = []
        self.register_buffer("pixel_mean", torch.tensor(100.0))

    def preprocess_image(self, batch):
        if self.in_place:
            return batch["images"].sub_(self.pixel_mean)
        return batch["images"] - self.pixel_mean

    def forward(self, batch):
        images = self.preprocess_image(batch)
        self.seen.append(images.clone())
        return images.flatten(1)


class Evaluator:
    def reset(self):
        self.features = []

    def process(self, inputs, outputs):
        self.features.append(outputs)

    def evaluate(self):
        return {"features": torch.cat(self.features)}


class Loader(list):
    dataset = range(4)


@pytest.fixture
def batches():
    images = torch.arange(2 * 3 * 2 * 4, dtype=torch.float32).view(2, 3, 2, 4)
    return lambda: Loader([{"images": images.clone()}, {"images": images.clone() + 1}])


def expected(batch):
    once = batch["images"] - 100
    return ((once + once.flip(dims=[3])) / 2).flatten(1)


def test_the_stock_flip_test_normalises_the_second_pass_twice(stock, batches):
    module, model = stock("fastreid.evaluation.evaluator"), Stub(in_place=True)
    module.inference_on_dataset(model, batches(), Evaluator(), flip_test=True)
    first = batches()[0]["images"]
    torch.testing.assert_close(model.seen[0], first - 100)
    torch.testing.assert_close(model.seen[1], first.flip(dims=[3]) - 200)


def test_the_mended_flip_test_hands_each_pass_a_fresh_batch_and_says_so(stock, batches, log):
    module, model = stock("fastreid.evaluation.evaluator"), Stub(in_place=True)
    assert evaluator_module.flip_test_gets_a_fresh_batch(module)
    results = module.inference_on_dataset(model, batches(), Evaluator(), flip_test=True)
    first, second = batches()
    torch.testing.assert_close(model.seen[1], first["images"].flip(dims=[3]) - 100)
    torch.testing.assert_close(results["features"], torch.cat([expected(first), expected(second)]))
    assert "Flip test: Stub writes into its batch" in log.text
    assert not model._forward_pre_hooks


def test_a_model_that_does_not_write_into_its_batch_is_left_alone(stock, batches, log):
    module, model = stock("fastreid.evaluation.evaluator"), Stub(in_place=False)
    assert evaluator_module.flip_test_gets_a_fresh_batch(module)
    loader = batches()
    results = module.inference_on_dataset(model, loader, Evaluator(), flip_test=True)
    torch.testing.assert_close(results["features"][:2], expected(batches()[0]))
    assert "Flip test" not in log.text


def test_without_a_flip_test_no_batch_is_copied(stock, batches):
    module, model = stock("fastreid.evaluation.evaluator"), Stub(in_place=True)
    assert evaluator_module.flip_test_gets_a_fresh_batch(module)
    loader = batches()
    module.inference_on_dataset(model, loader, Evaluator())
    torch.testing.assert_close(loader[0]["images"], batches()[0]["images"] - 100)


def test_a_host_without_a_flip_test_is_left_alone(stock):
    module = stock("fastreid.evaluation.evaluator")
    module.inference_on_dataset = lambda model, data_loader, evaluator: None
    assert evaluator_module.flip_test_gets_a_fresh_batch(module) is False


def test_the_stock_baseline_is_found_to_write_into_its_batch(tiny_cfg):
    from fastreid.modeling import build_model

    assert evaluator_module.writes_into_its_batch(build_model(tiny_cfg()).eval())
    assert evaluator_module.writes_into_its_batch(nn.Identity()), "nothing to ask: be careful"
