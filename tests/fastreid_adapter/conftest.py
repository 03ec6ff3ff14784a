"""A batch of two views."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def batch():
    """Two views of four images of two identities, the second view with a white band."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 1, 3, 64, 32), generator=generator).float()
    images = images.repeat(1, 2, 1, 1, 1)
    images[:, 1, :, 16:32] = 255
    return {
        "images": images,
        "targets": torch.tensor([0, 0, 3, 3]),
        "camids": torch.tensor([0, 1, 0, 2]),
    }
