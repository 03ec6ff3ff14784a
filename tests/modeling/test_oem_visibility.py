"""Visibility targets: every branch of docs/method.md, section 3, and a slow reading of it."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.modeling import visibility_target

H, W = 256, 16


def views(*rows, height=H):
    """A black image and a copy with ``(top, bottom, value)`` bands painted on."""
    holistic = torch.zeros(1, 3, height, W)
    occluded = holistic.clone()
    for top, bottom, value in rows:
        occluded[:, :, top:bottom] = value
    return holistic, occluded


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([], [1, 1, 1, 1]),
        ([(0, 256, 9)], [1, 1, 1, 1]),  # all touched: no supervision
        ([(70, 71, 1)], [1, 0, 1, 1]),  # exactly one, however little
        ([(0, 128, 9)], [0, 0, 1, 1]),  # two alike
        ([(0, 72, 9)], [0, 1, 1, 1]),  # 8:1, the second only grazed
        ([(0, 64, 9), (64, 128, 3)], [0, 0, 1, 1]),  # 3:1 exactly is not above 3
        ([(0, 64, 9), (64, 128, 2.9)], [0, 1, 1, 1]),
        ([(120, 256, 9)], [1, 0, 0, 0]),  # two equally large: all touched parts
    ],
)
def test_the_reference_rule_answers_like_fed_md(bands, expected):
    target = visibility_target(*views(*bands), 4)
    assert target.tolist() == [expected]


def test_the_reference_rule_equals_a_slow_reading():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        top, bottom = sorted(torch.randint(0, H + 1, (2,), generator=generator).tolist())
        value = torch.rand((), generator=generator).item() + 0.1
        second = torch.rand((), generator=generator).item()
        holistic, occluded = views((top, bottom, value), (0, 40, second))
        means = [
            sum((holistic - occluded).abs()[0, c, 64 * i : 64 * i + 64].sum() for c in range(3))
            / (64 * W)
            for i in range(4)
        ]
        touched = [i for i, mean in enumerate(means) if mean > 0]
        expected = [1.0] * 4
        if len(touched) == 1:
            expected[touched[0]] = 0.0
        elif 1 < len(touched) < 4:
            largest, following = sorted(means, reverse=True)[:2]
            hidden = [means.index(largest)] if largest / following > 3 else touched
            expected = [0.0 if i in hidden else 1.0 for i in range(4)]
        assert visibility_target(holistic, occluded, 4).tolist() == [expected]


def test_coverage_is_one_minus_the_share_of_changed_pixels():
    target = visibility_target(*views((0, 72, 9)), 4, rule="coverage")
    torch.testing.assert_close(target, torch.tensor([[0.0, 1 - 8 / 64, 1.0, 1.0]]))


def test_coverage_counts_a_pixel_once_whatever_its_channels():
    holistic, occluded = views()
    occluded[:, 1, :32] = 5
    target = visibility_target(holistic, occluded, 4, rule="coverage")
    torch.testing.assert_close(target, torch.tensor([[0.5, 1.0, 1.0, 1.0]]))


def test_one_part_is_never_hidden_by_the_reference_rule():
    assert visibility_target(*views((0, 30, 1)), 1).tolist() == [[1.0]]


def test_the_target_carries_no_gradient():
    holistic, occluded = views((0, 64, 9))
    assert not visibility_target(holistic, occluded.requires_grad_(), 4).requires_grad


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"^rule='soft': expected one of reference"):
        visibility_target(*views(), 4, rule="soft")


def test_views_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="the views differ in shape"):
        visibility_target(views()[0], views(height=128)[1], 4)
