from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as torchvision_functional

from fed_plugin.transforms import ColorJitter
from fed_plugin.transforms.placement import ORDERS

TORCHVISION = {
    "brightness": torchvision_functional.adjust_brightness,
    "contrast": torchvision_functional.adjust_contrast,
    "saturation": torchvision_functional.adjust_saturation,
}


@pytest.mark.parametrize("name", sorted(TORCHVISION))
@pytest.mark.parametrize("factor", [0.5, 0.83, 1.0, 1.31, 1.5])
def test_each_operation_is_within_a_grey_level_of_torchvision(random_crop, name, factor):
    crop = random_crop(30, 20)
    factors = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, name: factor}
    expected = np.asarray(TORCHVISION[name](Image.fromarray(crop), factor)).astype(int)
    assert np.abs(ColorJitter(**factors, order=(name,))(crop).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("order", ORDERS)
def test_a_chain_stays_close_to_torchvision_in_every_order(random_crop, order):
    crop = random_crop(30, 20, 3)
    jitter = ColorJitter(brightness=1.4, contrast=0.6, saturation=1.5, order=order)
    expected = Image.fromarray(crop)
    for name in order:
        expected = TORCHVISION[name](expected, getattr(jitter, name))
    assert np.abs(jitter(crop).astype(int) - np.asarray(expected).astype(int)).max() <= 4


def test_the_order_matters(random_crop):
    crop = random_crop(30, 20)
    results = {ColorJitter(1.5, 0.5, 1.5, order)(crop).tobytes() for order in ORDERS}
    assert len(results) == len(ORDERS) == 6


def test_factors_of_one_change_nothing(random_crop):
    crop = random_crop(12, 9)
    np.testing.assert_array_equal(ColorJitter(1.0, 1.0, 1.0)(crop), crop)


def test_no_saturation_leaves_grey_and_no_brightness_leaves_black(random_crop):
    grey = ColorJitter(1.0, 1.0, 0.0)(random_crop(12, 9))
    assert (grey == grey[..., :1]).all()
    assert not ColorJitter(0.0, 1.0, 1.0)(random_crop(12, 9)).any()


def test_the_input_is_not_modified_and_may_be_read_only(random_crop):
    crop = random_crop(12, 9)
    crop.flags.writeable = False
    kept = crop.copy()
    ColorJitter(1.5, 1.5, 0.5)(crop)
    np.testing.assert_array_equal(crop, kept)
