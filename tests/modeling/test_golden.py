"""The figures of the released code, rebuilt: docs/method.md's tolerances, times ten."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fed_plugin.modeling import visibility_target

FEATURES = 1e-4
LOSSES = 2e-4
MEMORY = 1e-4
GRADIENT_NORM = 1e-3
VANISHING_GRADIENT_NORM = 1e-5
TRAJECTORY_TOTAL = 5e-4
FINAL_UNIT_FEATURE = 1e-5
FINAL_SEED = 100
"""Inputs of the evaluation after the trajectory: found by search, the recipe does not say."""


def normalize(images):
    return (torch.from_numpy(images).float() - 127.5) / 127.5


def step(model, inputs):
    clean, occluded, labels, _ = inputs
    targets = torch.from_numpy(labels)
    tokens = model.backbone(torch.cat((normalize(clean), normalize(occluded))))
    outputs = model.heads(tokens, targets)
    target = visibility_target(
        torch.from_numpy(clean).float(), torch.from_numpy(occluded).float(), 4
    )
    return outputs, model.heads.losses(outputs, targets, target), target, targets


def update(model, outputs, targets):
    model.heads.update_memories(
        outputs.erased_features[0].detach(), outputs.diffused_features[0].detach(), targets
    )


def assert_close(actual, expected, tolerance):
    np.testing.assert_allclose(
        actual.detach().numpy().reshape(expected.shape), expected, rtol=0, atol=tolerance
    )


def test_descriptors_of_the_evaluation_are_those_of_the_reference(reference_model, recipe, golden):
    arrays = golden("reference_step").arrays
    model = reference_model.eval()
    clean, occluded, _, _ = recipe.inputs(8, 16)
    with torch.no_grad():
        clean_tokens = model.backbone(normalize(clean))
        occluded_tokens = model.backbone(normalize(occluded))
        visibility, descriptor = model.heads.erase(occluded_tokens)
        assert_close(model.heads(clean_tokens), arrays["eval_feature_clean"], FEATURES)
        assert_close(descriptor, arrays["eval_feature_occluded"], FEATURES)
        assert_close(visibility, arrays["eval_scores_occluded"], FEATURES)
        assert_close(
            model.heads.part_features(occluded_tokens), arrays["eval_part_tokens"], FEATURES
        )
        assert_close(
            model.heads.global_features(occluded_tokens), arrays["eval_global_token"], FEATURES
        )
        assert_close(
            model.heads.memory_features(clean_tokens), arrays["memory_init_feature"], FEATURES
        )


def test_a_training_step_computes_what_the_reference_computes(reference_model, recipe, golden):
    arrays = golden("reference_step").arrays
    outputs, losses, target, targets = step(reference_model, recipe.inputs(8, 16))
    assert_close(target, arrays["part_mask"], 0)
    for view, name in enumerate(("clean", "occluded")):
        assert_close(outputs.visibility[view], arrays[f"scores_{name}"], FEATURES)
        assert_close(outputs.erased_features[view], arrays[f"oem_feature_{name}"], FEATURES)
        assert_close(outputs.diffused_features[view], arrays[f"fdm_feature_{name}"], FEATURES)
        assert_close(outputs.erased_logits[view], arrays[f"logits_oem_{name}"], FEATURES)
        assert_close(outputs.diffused_logits[view], arrays[f"logits_fdm_{name}"], FEATURES)
        assert_close(outputs.global_logits[view], arrays[f"logits_global_{name}"], FEATURES)
    expected = {
        "loss_visibility_holistic": arrays["loss_mask_clean"],
        "loss_visibility_occluded": arrays["loss_mask_occ"],
        "loss_id_erased": arrays["loss_id_oem"],
        "loss_id_diffused": arrays["loss_id_fdm"],
        "loss_id_global": arrays["loss_id_global"],
        "loss_contrast_erased": arrays["loss_contrast1"] + 0.3 * arrays["loss_contrast2"],
        "loss_contrast_diffused": 0.5 * (arrays["loss_nce1"] + arrays["loss_nce2"]),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(losses[name], value, LOSSES)
    assert_close(sum(losses.values()), arrays["loss_total"], LOSSES)
    update(reference_model, outputs, targets)
    assert_close(reference_model.heads.memories["erased"].features, arrays["memory_after"], MEMORY)


def test_gradient_norms_are_those_of_the_reference(reference_model, recipe, golden):
    _, losses, _, _ = step(reference_model, recipe.inputs(8, 16))
    sum(losses.values()).backward()
    gradients = reference_gradients(reference_model)
    expected = golden("reference_step").grad_norm
    assert gradients.keys() == expected.keys()
    for name, norm in expected.items():
        assert gradients[name] == pytest.approx(
            norm, rel=GRADIENT_NORM, abs=VANISHING_GRADIENT_NORM
        ), name


def reference_gradients(model):
    """Gradient norms under the reference's names, per-part layers one by one."""
    heads = model.heads
    norms = {f"base.{n}": p.grad.norm() for n, p in model.backbone.named_parameters()}
    for ours, theirs in (("q", "q"), ("kv", "kv"), ("proj", "proj")):
        for kind, p in getattr(heads.fdm.attention, ours).named_parameters():
            norms[f"cross_attention.{theirs}.{kind}"] = p.grad.norm()
    for ours, theirs in (("ffn_neighbors", "ffn2"), ("ffn_fused", "ffn3")):
        for layer, name in (("norm", "norm"), ("expand", "fn.net.0"), ("contract", "fn.net.3")):
            for kind, p in getattr(getattr(heads.fdm, ours), layer).named_parameters():
                norms[f"{theirs}.layers2.{name}.{kind}"] = p.grad.norm()
    for index, layer in enumerate(("reduce", "norm", "score")):
        for kind, p in getattr(heads.oem, layer).named_parameters():
            for part in range(4):
                norms[f"mask_detection.{part}.{index}.{kind}"] = p.grad[part].norm()
    for part, grad in enumerate(heads.bottleneck.weight.grad.chunk(4)):
        norms[f"bottleneck_local.{part}.weight"] = grad.norm()
    for index, name in enumerate(("erased", "diffused", "global"), start=1):
        norms[f"classifier{index}.weight"] = getattr(heads, f"{name}_classifier").weight.grad.norm()
    return {name: norm.item() for name, norm in norms.items()}


def test_the_shared_batchnorm_saw_four_streams(reference_model, recipe, golden):
    step(reference_model, recipe.inputs(8, 16))
    bottleneck = reference_model.heads.bottleneck
    for name, norm in golden("reference_step").running_norm_after.items():
        _, part, statistic = name.split(".")
        stream = getattr(bottleneck, statistic).chunk(4)[int(part)]
        assert stream.norm().item() == pytest.approx(norm, rel=1e-5), name
    assert bottleneck.num_batches_tracked == 4


def test_four_sgd_steps_end_where_the_reference_ends(reference_model, recipe, golden):
    trajectory = golden("reference_trajectory")
    model = reference_model
    before = model.backbone.blocks[0].attn.qkv.weight.detach().clone()
    groups = [
        {
            "params": [p],
            "lr": trajectory.base_lr * (trajectory.bias_lr_factor if "bias" in n else 1),
        }
        for n, p in model.named_parameters()
        if p.requires_grad
    ]
    optimizer = torch.optim.SGD(
        groups, momentum=trajectory.momentum, weight_decay=trajectory.weight_decay
    )
    for seed, expected in enumerate(trajectory.losses):
        outputs, losses, _, targets = step(model, recipe.inputs(8, 16, seed=seed))
        total = sum(losses.values())
        assert total.item() == pytest.approx(expected["total"], abs=TRAJECTORY_TOTAL)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        update(model, outputs, targets)
    assert not torch.equal(before, model.backbone.blocks[0].attn.qkv.weight)
    assert_close(model.heads.memory("diffused").features, trajectory.arrays["memory_after"], MEMORY)
    model.eval()
    with torch.no_grad():
        occluded = normalize(recipe.inputs(8, 16, seed=FINAL_SEED)[1])
        final = F.normalize(model.heads(model.backbone(occluded)))
    expected = F.normalize(torch.from_numpy(trajectory.arrays["final_eval_feature_occluded"]))
    assert_close(final, expected.numpy(), FINAL_UNIT_FEATURE)
