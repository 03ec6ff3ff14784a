"""Multiplications against figures worked out by hand, and who reads which weight."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from fed_plugin.costs.measure import count_macs, tensors_read
from fed_plugin.modeling.vit import TokenViT, ViTSize


def vit_macs(layers, width, patch, grid, views=1):
    """A ViT's multiplications for one image, from its drawing."""
    patches = grid[0] * grid[1]
    tokens = patches + 1
    qkv, projection, mlp = 3 * width * width, width * width, 2 * width * 4 * width
    attention = 2 * tokens * tokens * width
    layer = tokens * (qkv + projection + mlp) + attention
    return views * (patches * 3 * patch * patch * width + layers * layer)


@pytest.mark.parametrize("training", [False, True])
def test_a_vit_multiplies_what_its_drawing_says(training):
    model = TokenViT((96, 48), ViTSize(4, 128, 4, patch_size=12), (12, 12)).train(training)
    images = torch.rand(3, 3, 96, 48)
    assert count_macs(lambda: model(images)) == 3 * vit_macs(4, 128, 12, (8, 4)) == 3 * 28_836_864
    with torch.no_grad():
        assert count_macs(lambda: model(images)) == 3 * 28_836_864


def resnet18_macs(height, width):
    """ResNet-18's convolutions one by one, and its classifier."""
    h, w = height // 4, width // 4
    total = 3 * 64 * 7 * 7 * (height // 2) * (width // 2) + 4 * 64 * 64 * 9 * h * w
    for channels in (128, 256, 512):
        h, w = h // 2, w // 2
        total += channels // 2 * channels * (9 + 1) * h * w  # first convolution, and the shortcut
        total += 3 * channels * channels * 9 * h * w
    return total + 512 * 1000


def test_resnet_18_multiplies_the_1_81_giga_of_its_literature():
    model = resnet18().eval()
    found = count_macs(lambda: model(torch.rand(1, 3, 224, 224)))
    assert found == resnet18_macs(224, 224) == 1_814_073_344


def attend(**options):
    q, k, v = (torch.rand(2, 3, tokens, 8) for tokens in (5, 7, 7))
    return lambda: F.scaled_dot_product_attention(q, k, v, **options)


@pytest.mark.parametrize("options", [{}, {"dropout_p": 0.5}, {"scale": 1.0}])
def test_attention_costs_the_same_fused_or_not(options):
    assert count_macs(attend(**options)) == 2 * (2 * 3 * 5 * 7 * 8)


A, B, v = torch.rand(4, 5), torch.rand(5, 6), torch.rand(5)


@pytest.mark.parametrize(
    ("product", "macs"),
    [
        (lambda: A @ B, 4 * 5 * 6),
        (lambda: torch.addmm(torch.zeros(4, 6), A, B), 4 * 5 * 6),
        (lambda: torch.einsum("ij,jk->ik", A, B), 4 * 5 * 6),
        (lambda: torch.bmm(A[None], B[None]), 4 * 5 * 6),
        (lambda: torch.baddbmm(torch.zeros(1, 4, 6), A[None], B[None]), 4 * 5 * 6),
        (lambda: A @ v, 4 * 5),
        (lambda: v @ v, 5),
        (lambda: F.conv2d(torch.rand(1, 4, 3, 3), torch.rand(4, 1, 3, 3), groups=4), 4 * 9),
        (lambda: (A * A + A).sum().exp(), 0),
    ],
)
def test_products_are_counted_and_elementwise_work_is_not(product, macs):
    assert count_macs(product) == macs


def test_the_backward_pass_is_counted_where_it_is_run():
    weight = torch.rand(5, 6, requires_grad=True)
    assert count_macs(lambda: (A @ weight).sum().backward()) == 2 * (4 * 5 * 6)


class HalfUsed(nn.Module):
    """Reads a layer, a frozen shift and a buffer; has a classifier that testing leaves alone."""

    def __init__(self):
        super().__init__()
        self.used, self.classifier = nn.Linear(5, 6), nn.Linear(6, 100)
        self.shift = nn.Parameter(torch.zeros(6), requires_grad=False)
        self.register_buffer("scale", torch.ones(6))
        self.register_buffer("memory", torch.ones(100, 6))

    def forward(self, x):
        return self.used(x) * self.scale + self.shift


def test_only_what_is_read_counts_as_needed():
    model = HalfUsed()
    with torch.no_grad():
        read = tensors_read(model, lambda: model(A))
    expected = [*model.used.parameters(), model.shift, model.scale]
    assert {id(tensor) for tensor in read} == {id(tensor) for tensor in expected}
