"""Peaks of functions whose memory is known to the byte."""

from __future__ import annotations

import torch

from fed_plugin.costs.measure import peak_above_before, storage_bytes

MEGA = 1_000_000
CPU = torch.device("cpu")


def take(*megabytes):
    return [torch.empty(MEGA * mega, dtype=torch.uint8) for mega in megabytes]


def test_what_is_alive_at_once_adds_up_and_what_is_freed_does_not():
    def work():
        first = take(4)
        second = take(3)
        del first
        third = take(2)
        del second, third
        take(5)

    assert peak_above_before(work, CPU) == 7 * MEGA


def test_nothing_new_is_nothing_whatever_lay_there_before():
    kept = take(50)
    assert peak_above_before(lambda: kept[0].zero_(), CPU) == 0


def test_activations_of_a_training_step_are_seen():
    weight = torch.ones(1, requires_grad=True)
    x = torch.ones(MEGA // 4)

    def step():
        y = (weight * x).exp()  # both products stay until backward has used them
        y.sum().backward()

    assert peak_above_before(step, CPU) >= 3 * MEGA


def test_views_of_one_storage_count_once():
    flat = torch.zeros(100)
    assert storage_bytes([flat, flat[:10].view(2, 5), torch.zeros(3)]) == 412
