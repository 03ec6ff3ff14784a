"""Occluders and images that more than one file of this room's tests needs."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.transforms import OccluderSet


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tall_set(random_crop) -> OccluderSet:
    return OccluderSet([random_crop(90, 30)])


@pytest.fixture(scope="session")
def wide_set(random_crop) -> OccluderSet:
    return OccluderSet([random_crop(40, 60)])


@pytest.fixture(scope="session")
def mixed_set(random_crop) -> OccluderSet:
    return OccluderSet([random_crop(90, 30), random_crop(40, 60), random_crop(61, 30, 2)])


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(3, 64, 32, generator=torch.Generator().manual_seed(7)) * 255
