"""The memory against slow loops written from docs/method.md, and its life through checkpoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fed_plugin.modeling import IdentityMemory
from fed_plugin.modeling import memory as memory_module
from fed_plugin.modeling.memory import cosines, nearest_others


def filled(num_slots=7, dim=5, momentum=0.2):
    memory = IdentityMemory(num_slots, dim, momentum).double()
    memory.fill(torch.randn(num_slots, dim, dtype=torch.float64))
    return memory


@pytest.fixture(params=["write_row_by_row", "write_by_product"])
def either_way(request, monkeypatch):
    """Update on the CPU in the way of the CPU, then in that of a GPU."""
    monkeypatch.setattr(memory_module, "write_row_by_row", getattr(memory_module, request.param))


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("targets", [[0, 1, 2], [3, 3, 3, 3], [1, 0, 1, 6, 0, 1]])
@pytest.mark.parametrize("momentum", [0.0, 0.2, 1.0])
def test_an_update_equals_a_loop_over_the_batch(targets, momentum):
    torch.manual_seed(0)
    memory = filled(momentum=momentum)
    features = torch.randn(len(targets), 5, dtype=torch.float64)
    expected = memory.features.clone()
    for feature, target in zip(features, targets, strict=True):
        expected[target] = momentum * expected[target] + (1 - momentum) * feature
    memory.update(features, torch.tensor(targets))
    torch.testing.assert_close(memory.features, expected, rtol=0, atol=1e-12)


def test_neighbors_equal_a_loop_that_sorts_and_drops_the_own_slot():
    torch.manual_seed(1)
    memory, K = filled(), 3
    queries = torch.randn(4, 5, dtype=torch.float64)
    targets = torch.tensor([0, 6, 2, 2])
    queries[0] = memory.features[0]  # the own slot is surely the nearest
    queries[1] = -memory.features[6]  # the own slot is surely the farthest
    identities, _ = memory.nearest_identities(queries, targets, K)
    for query, target, found in zip(queries, targets, identities, strict=True):
        cosines = [F.cosine_similarity(query, slot, dim=0) for slot in memory.features]
        order = sorted(range(7), key=lambda slot: -cosines[slot])[: K + 1]
        order = [slot for slot in order if slot != target][:K]
        assert found.tolist() == order


def test_all_other_identities_are_neighbors_when_k_is_m_minus_one():
    memory = filled(num_slots=4)
    found, _ = memory.nearest_identities(torch.randn(2, 5).double(), torch.tensor([1, 3]), 3)
    assert found.sort(dim=1).values.tolist() == [[0, 2, 3], [0, 1, 2]]


def test_a_checkpoint_brings_the_memory_back_and_training_goes_on_alike():
    torch.manual_seed(2)
    memory, fresh = filled(), IdentityMemory(7, 5, 0.2).double()
    first, second = torch.randn(2, 3, 5, dtype=torch.float64)
    targets = torch.tensor([1, 1, 4])
    memory.update(first, targets)
    fresh.load_state_dict(memory.state_dict())
    assert fresh.initialized and fresh.loaded
    memory.update(second, targets)
    fresh.update(second, targets)
    assert torch.equal(fresh.features, memory.features)


def test_a_file_without_a_memory_leaves_it_for_the_first_step_to_fill():
    memory = IdentityMemory(3, 2, 0.2)
    memory.load_state_dict({}, strict=True)
    assert not memory.initialized and not memory.loaded


def test_a_memory_of_other_identities_is_not_taken_for_filled():
    state = filled().state_dict()
    del state["features"]  # as the host does with what has another shape
    memory = IdentityMemory(9, 5, 0.2)
    memory.load_state_dict(state, strict=False)
    assert not memory.initialized and not memory.loaded


def test_filling_a_loaded_memory_makes_it_fresh():
    memory = IdentityMemory(7, 5, 0.2)
    memory.load_state_dict(filled().float().state_dict())
    memory.fill(torch.ones(7, 5))
    assert memory.initialized and not memory.loaded


def test_filling_with_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"memory is \(7, 5\), got \(7, 4\)"):
        filled().fill(torch.zeros(7, 4))


def test_updates_and_neighbors_carry_no_gradient():
    memory = filled()
    queries = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    memory.update(queries, torch.tensor([0, 1]))
    assert not memory.features.requires_grad
    assert not memory.nearest_identities(queries, torch.tensor([0, 1]), 2)[1].requires_grad


def test_autocast_does_not_touch_the_similarities():
    torch.manual_seed(3)
    memory = IdentityMemory(50, 64, 0.2)
    memory.fill(torch.randn(50, 64))
    queries, targets = torch.randn(8, 64), torch.arange(8)
    expected = memory.nearest_identities(queries, targets, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = memory.nearest_identities(queries, targets, 5)
    assert all(map(torch.equal, found, expected))


def test_autocast_does_not_touch_what_is_written(monkeypatch):
    monkeypatch.setattr(memory_module, "write_row_by_row", memory_module.write_by_product)
    torch.manual_seed(5)
    features, targets = torch.randn(4, 5), torch.tensor([1, 1, 3, 1])
    ends = []
    for enabled in (False, True):
        memory = IdentityMemory(7, 5, 0.2)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            memory.update(features, targets)
        ends.append(memory.features)
    assert torch.equal(*ends)


@pytest.mark.usefixtures("either_way")
def test_a_feature_that_is_not_finite_leaves_its_slot_as_it_was():
    memory = IdentityMemory(3, 2, momentum=0.2)
    memory.fill(torch.ones(3, 2))
    features = torch.tensor([[2.0, 2.0], [torch.nan, 2.0], [3.0, torch.inf], [4.0, 4.0]])
    memory.update(features, torch.tensor([0, 1, 1, 2]))
    expected = torch.tensor([[1.8, 1.8], [1.0, 1.0], [3.4, 3.4]])
    torch.testing.assert_close(memory.features, expected)


def test_the_nearest_identities_come_with_their_cosines():
    torch.manual_seed(4)
    memory = filled()
    queries, targets = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 6, 2, 2])
    identities, similarity = memory.nearest_identities(queries, targets, 3)
    cosines = F.cosine_similarity(queries[:, None], memory.features[identities], dim=2)
    torch.testing.assert_close(similarity, cosines)
    assert not (identities == targets[:, None]).any()


def test_normalized_slots_outlive_an_update():
    memory = filled()
    slots = memory.normalized()
    torch.testing.assert_close(slots, F.normalize(memory.features, dim=1))
    kept = slots.clone()
    memory.update(torch.randn(2, 5).double(), torch.tensor([0, 1]))
    assert torch.equal(slots, kept) and not slots.requires_grad


def test_cosines_of_two_views_carry_gradients_to_the_features_alone():
    features = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    slots = filled().normalized()
    similarity = cosines(features, slots)
    for view, found in zip(features, similarity, strict=True):
        expected = F.cosine_similarity(view[:, None], slots[None], dim=2)
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda x: cosines(x, slots), (features,))


def test_two_views_find_the_neighbors_that_each_finds_alone():
    similarity, targets = torch.rand(2, 3, 7), torch.tensor([0, 6, 2])
    alone = torch.stack([nearest_others(view, targets, 4) for view in similarity])
    assert torch.equal(nearest_others(similarity, targets, 4), alone)
