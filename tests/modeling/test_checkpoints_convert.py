"""Checkpoints of the released code: names, dead weights, refusals."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.modeling import convert_reference_state_dict


@pytest.fixture
def released(recipe):
    return {n: torch.from_numpy(a) for n, a in recipe.reference_state_dict(5, depth=1).items()}


def test_a_module_prefix_changes_nothing(released):
    plain = convert_reference_state_dict(released)
    prefixed = convert_reference_state_dict({f"module.{n}": v for n, v in released.items()})
    assert plain.keys() == prefixed.keys()
    assert all(torch.equal(plain[name], prefixed[name]) for name in plain)


def test_dead_weights_are_dropped_and_all_others_kept(released):
    converted = convert_reference_state_dict(released)
    dead = ("bottleneck_local_stage2.", "classifier_local.", "base.fc.")
    alive = sum(
        v.numel()
        for n, v in released.items()
        if not n.startswith(dead) and not n.endswith("num_batches_tracked")
    )
    kept = sum(v.numel() for n, v in converted.items() if not n.endswith("num_batches_tracked"))
    assert kept == alive


def test_dead_weights_need_not_be_there(released):
    alive = {n: v for n, v in released.items() if "stage2" not in n and "base.fc" not in n}
    assert (
        convert_reference_state_dict(alive).keys() == convert_reference_state_dict(released).keys()
    )


def test_an_unknown_name_is_refused_by_name(released):
    released["base.blocks.0.attn.extra"] = torch.zeros(1)
    with pytest.raises(KeyError, match=r"unknown name 'base.blocks.0.attn.extra' \(1 in all\)"):
        convert_reference_state_dict(released)


@pytest.mark.parametrize(
    "name",
    [
        "classifier1.weight",
        "base.pos_embed",
        "mask_detection.0.2.bias",
        "bottleneck_local.1.running_var",
        "base.blocks.0.mlp.fc2.bias",
    ],
)
def test_a_missing_name_is_refused(released, name):
    del released[name]
    with pytest.raises(KeyError, match=r"nothing for|lacks part"):
        convert_reference_state_dict(released)


def test_an_empty_file_is_refused():
    with pytest.raises(KeyError, match="not a checkpoint of the released FED code"):
        convert_reference_state_dict({})


def test_something_that_is_no_tensor_is_refused(released):
    released["epoch"] = 12
    with pytest.raises(TypeError, match="epoch is a int, expected a tensor"):
        convert_reference_state_dict(released)


def test_a_name_that_is_no_text_is_refused(released):
    with pytest.raises(TypeError, match="1 is a int, expected a name"):
        convert_reference_state_dict({**released, 1: torch.zeros(1)})
