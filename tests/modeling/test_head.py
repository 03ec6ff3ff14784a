"""How the head wires its parts: who shares what, who gets a gradient, when memory moves."""

from __future__ import annotations

import math

import pytest
import torch

B, P, C, M = 4, 4, 8, 6
D = P * C


def tokens(batch=2 * B):
    torch.manual_seed(3)
    return torch.randn(batch, 1 + 16, C)


def targets():
    return torch.tensor([0, 0, 4, 4])


def run_step(head):
    head.train()
    outputs = head(tokens(), targets())
    return outputs, head.losses(outputs, targets(), torch.ones(B, P))


@pytest.mark.parametrize("share_bn", [True, False])
@pytest.mark.parametrize("share_memory", [True, False])
def test_every_parameter_gets_a_gradient(make_head, share_bn, share_memory):
    head = make_head(share_bn=share_bn, share_memory=share_memory)
    _, losses = run_step(head)
    sum(losses.values()).backward()
    without = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        (["oem"], {"loss_visibility_holistic", "loss_visibility_occluded"}),
        (["fdm"], {"loss_id_diffused", "loss_contrast_diffused"}),
        (
            ["oem", "fdm"],
            {
                *map(
                    "loss_{}".format,
                    (
                        "visibility_holistic",
                        "visibility_occluded",
                        "id_diffused",
                        "contrast_diffused",
                    ),
                )
            },
        ),
    ],
)
def test_a_module_left_out_takes_its_losses_and_weights_with_it(make_head, without, gone):
    whole = make_head(share_bn=False, share_memory=False)
    head = make_head(share_bn=False, share_memory=False, **dict.fromkeys(without))
    outputs, losses = run_step(head)
    assert losses.keys() == run_step(whole)[1].keys() - gone
    sum(losses.values()).backward()
    trained = [(n, p) for n, p in head.named_parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for _, p in trained)
    left = {name.split(".")[0] for name, _ in head.named_parameters()}
    assert not left & {*without, *(("diffused_classifier",) if "fdm" in without else ())}
    head.update_memories(
        outputs.erased_features[0].detach(),
        None if "fdm" in without else outputs.diffused_features[0].detach(),
        targets(),
    )
    assert (head.memory("erased").features[4] != 0).any()


def test_without_oem_every_part_is_whole_and_visible(make_head):
    head = make_head(oem=None).eval()
    visibility, z = head.erase(tokens(3))
    assert visibility.shape == (3, P) and (visibility == 1).all()
    torch.testing.assert_close(z, head.memory_features(tokens(3)))


@pytest.mark.parametrize(("erasure", "length"), [("after_norm", 0.0), ("before_norm", None)])
def test_what_is_erased_after_batchnorm_leaves_nothing(make_head, erasure, length):
    class HidesPartTwo(torch.nn.Module):
        def forward(self, parts):
            visibility = torch.ones(parts.shape[:2])
            visibility[:, 1] = 0
            return visibility, visibility.unsqueeze(-1) * parts

    head = make_head(oem=HidesPartTwo(), erasure=erasure).eval()
    head.bottleneck.running_mean.fill_(0.5)
    _, z = head.erase(tokens(3))
    hidden = z.reshape(3, P, C)[:, 1].norm(dim=1)
    assert (hidden == 0).all() if length == 0 else (hidden > 0.5).all()
    visible = head.memory_features(tokens(3)).reshape(3, P, C)[:, [0, 2, 3]]
    torch.testing.assert_close(z.reshape(3, P, C)[:, [0, 2, 3]], visible)


def test_the_weight_of_the_visibility_losses_scales_them_alone(make_head):
    once, thrice = (run_step(make_head(visibility_weight=w))[1] for w in (1.0, 3.0))
    for name, loss in once.items():
        factor = 3 if "visibility" in name else 1
        torch.testing.assert_close(thrice[name], factor * loss)


def test_the_shift_of_batchnorm_is_frozen_at_zero(make_head):
    head = make_head(share_bn=False)
    for norm in (head.bottleneck, head.diffused_bottleneck):
        assert not norm.bias.requires_grad and not norm.bias.any()


def test_losses_start_near_the_logarithm_of_the_identities(make_head):
    head = make_head()
    head.memory("erased").fill(torch.ones(M, D))
    _, losses = run_step(head)
    for name in ("loss_id_erased", "loss_id_diffused", "loss_id_global"):
        assert losses[name].item() == pytest.approx(math.log(M), abs=0.05)
    assert losses["loss_contrast_erased"].item() == pytest.approx(1.3 * math.log(M), abs=1e-4)


def test_memories_are_one_object_when_shared_and_two_when_not(make_head):
    shared, separate = make_head(share_memory=True), make_head(share_memory=False)
    assert shared.memories["erased"] is shared.memories["diffused"]
    assert separate.memories["erased"] is not separate.memories["diffused"]


def test_forward_and_losses_only_read_the_memory(make_head):
    head = make_head()
    before = head.memory("erased").features.clone()
    _, losses = run_step(head)
    sum(losses.values()).backward()
    assert torch.equal(head.memory("erased").features, before)


def test_the_memory_may_move_between_forward_and_backward(make_head):
    head, frozen = make_head(), make_head()
    for model, moves in ((head, True), (frozen, False)):
        _, losses = run_step(model)
        if moves:
            model.update_memories(*torch.randn(2, 2, D), torch.tensor([0, 4]))
        sum(losses.values()).backward()
    for (name, p), other in zip(head.named_parameters(), frozen.parameters(), strict=True):
        assert p.grad is None or torch.equal(p.grad, other.grad), name


@pytest.mark.parametrize("share_memory", [True, False])
def test_similarities_are_those_to_the_memory_of_each_feature(make_head, share_memory):
    head = make_head(share_memory=share_memory)
    outputs, _ = run_step(head)
    for name in ("erased", "diffused"):
        features = getattr(outputs, f"{name}_features")
        slots = head.memory(name).features
        expected = torch.nn.functional.cosine_similarity(features[..., None, :], slots, dim=-1)
        torch.testing.assert_close(getattr(outputs, f"{name}_similarity"), expected)


def test_a_shared_memory_takes_the_diffused_features_first(make_head):
    head = make_head()
    expected = head.memory("erased").features[4].clone()
    erased, diffused = torch.randn(2, 1, D)
    for feature in (diffused[0], erased[0]):
        expected = 0.2 * expected + 0.8 * feature
    head.update_memories(erased, diffused, torch.tensor([4]))
    torch.testing.assert_close(head.memory("erased").features[4], expected)


def test_batchnorm_runs_per_view_and_not_on_the_joined_batch(make_head):
    head = make_head(share_bn=False).train()
    outputs = head(tokens(), targets())
    for view in outputs.erased_features:
        torch.testing.assert_close(view.mean(dim=0), torch.zeros(D), atol=1e-5, rtol=0)
    assert head.bottleneck.num_batches_tracked == 2
    assert head.diffused_bottleneck.num_batches_tracked == 2


@pytest.mark.parametrize(("global_token", "index"), [("first_patch", 1), ("cls", 0)])
def test_the_global_token_is_the_named_one(make_head, global_token, index):
    head = make_head(global_token=global_token)
    assert torch.equal(head.global_features(tokens()), tokens()[:, index])


def test_evaluation_returns_one_descriptor_per_image_even_for_one(make_head):
    head = make_head().eval()
    assert head(tokens(1)).shape == (1, D)


def test_evaluation_works_without_identities(make_head):
    head = make_head(num_classes=0).eval()
    assert head(tokens(3)).shape == (3, D)


def test_a_checkpoint_continues_where_it_was_saved(make_head):
    head, fresh = make_head(share_memory=False), make_head(share_memory=False)
    run_step(head)
    head.update_memories(torch.randn(2, D), torch.randn(2, D), torch.tensor([0, 5]))
    fresh.load_state_dict(head.state_dict())
    for (name, loss), (_, again) in zip(
        run_step(head)[1].items(), run_step(fresh)[1].items(), strict=True
    ):
        assert torch.equal(loss, again), name


def test_too_many_neighbors_are_refused(make_head):
    with pytest.raises(ValueError, match=r"num_neighbors=6: expected fewer neighbours than the 6"):
        make_head(num_neighbors=6)


def test_an_unknown_global_token_is_refused(make_head):
    with pytest.raises(ValueError, match=r"^global_token='mean': expected one of"):
        make_head(global_token="mean")
