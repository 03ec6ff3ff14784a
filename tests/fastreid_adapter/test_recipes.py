"""Keys of recipes: rates by layer, epochs as units, accumulation, clipping, averaged weights."""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.solver import build_optimizer

from fed_plugin.fastreid_adapter.recipes import groups_table, layer_of
from tests.fastreid_adapter.resuming.conftest import run, saved, stop_at  # noqa: F401 - fixtures

ALL = (
    "SOLVER.ACCUMULATE",
    3,
    "SOLVER.CLIP_NORM",
    0.5,
    "SOLVER.EMA",
    0.9,
    "SOLVER.LAYER_DECAY",
    0.5,
)


def rates(optimizer):
    """Return the learning rate of every weight, by the address of its memory."""
    return {w.data_ptr(): g["lr"] for g in optimizer.param_groups for w in g["params"]}


def test_rates_fall_towards_the_stem_and_the_heads_keep_theirs(tiny_cfg):
    model = build_model(tiny_cfg("MODEL.FED.VIT.NUM_LAYERS", 3))
    cfg = tiny_cfg("SOLVER.LAYER_DECAY", 0.5, "SOLVER.BASE_LR", 0.8, "SOLVER.BIAS_LR_FACTOR", 2.0)
    optimizer, _ = build_optimizer(cfg, model, contiguous=False)
    rate = rates(optimizer)
    of = {name: rate[w.data_ptr()] for name, w in model.named_parameters() if w.requires_grad}
    assert of["backbone.norm.weight"] == 0.4 and of["heads.oem.score.weight"] == 0.8
    assert [of[f"backbone.blocks.{i}.mlp.fc1.weight"] for i in range(3)] == [0.1, 0.2, 0.4]
    assert of["backbone.cls_token"] == of["backbone.patch_embed.proj.weight"] == 0.05
    assert of["backbone.blocks.2.mlp.fc1.bias"] == 0.8  # twice the weight's


@pytest.mark.parametrize(
    ("name", "depth"), [("timm:test_convnext", "base"), ("build_resnet_backbone", "18x")]
)
def test_every_family_has_layers(name, depth, tiny_cfg):
    keys = (
        "MODEL.BACKBONE.NAME",
        name,
        "MODEL.BACKBONE.DEPTH",
        depth,
        "MODEL.FED.ROWS",
        "adaptive",
    )
    keys += ("MODEL.FED.GLOBAL_TOKEN", "cls", "MODEL.BACKBONE.STRIDE_SIZE", (0, 0))
    backbone = build_model(tiny_cfg(*keys, "MODEL.FED.NUM_PARTS", 2)).backbone
    layers = layer_of(backbone)
    assert layers.keys() == dict(backbone.named_parameters()).keys()
    assert min(layers.values()) == 0 and max(layers.values()) >= 3


def test_a_factor_of_the_backbone(tiny_cfg):
    model = build_model(tiny_cfg())
    cfg = tiny_cfg("SOLVER.BACKBONE_LR_FACTOR", 0.1, "SOLVER.BASE_LR", 1.0)
    rate = rates(build_optimizer(cfg, model, contiguous=False)[0])
    assert rate[model.backbone.cls_token.data_ptr()] == pytest.approx(0.1)
    assert rate[model.heads.global_classifier.weight.data_ptr()] == 1.0
    assert "0.1" in groups_table(build_optimizer(cfg, model)[0])


def steps(cfg, batches):
    """Train a model on lists of batches of numbers; return its weights."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 1))
    optimizer, _ = build_optimizer(cfg, model)
    for batch in batches:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()), optimizer


def test_accumulated_batches_are_one_large_batch(tiny_cfg):
    keys = ("SOLVER.OPT", "SGD", "SOLVER.BASE_LR", 0.1)
    batches = torch.randn(6, 4, 3)
    large, _ = steps(tiny_cfg(*keys), [torch.cat(list(batches[i : i + 3])) for i in (0, 3)])
    small, _ = steps(tiny_cfg(*keys, "SOLVER.ACCUMULATE", 3), batches)
    torch.testing.assert_close(small, large)


def test_clipping_is_by_the_norm_of_all_gradients(tiny_cfg):
    keys = ("SOLVER.OPT", "SGD", "SOLVER.BASE_LR", 1.0, "SOLVER.MOMENTUM", 0.0)
    keys += ("SOLVER.WEIGHT_DECAY", 0.0, "SOLVER.WEIGHT_DECAY_BIAS", 0.0)
    keys += ("SOLVER.BIAS_LR_FACTOR", 1.0)
    batch = [100 * torch.randn(4, 3)]
    before, _ = steps(tiny_cfg(*keys), [])
    after, _ = steps(tiny_cfg(*keys, "SOLVER.CLIP_NORM", 0.25), batch)
    assert (after - before).norm().item() == pytest.approx(0.25, rel=1e-4)


def test_the_average_is_that_of_a_slow_loop(tiny_cfg):
    cfg = tiny_cfg("SOLVER.OPT", "SGD", "SOLVER.BASE_LR", 0.1, "SOLVER.EMA", 0.9)
    batches = list(torch.randn(5, 4, 3))
    expected, _ = steps(cfg, [])
    for count in range(1, 6):
        trained, optimizer = steps(cfg, batches[:count])
        expected = 0.9 * expected + 0.1 * trained
    weights = optimizer.recipe.tensors
    with optimizer.recipe.averaged():
        torch.testing.assert_close(torch.cat([w.flatten() for w in weights]), expected)
    assert torch.equal(torch.cat([w.flatten() for w in weights]), trained)


@pytest.mark.parametrize("stopped", [4, 11])
def test_a_resumed_run_ends_with_the_same_bits(run, stop_at, saved, stopped):  # noqa: F811
    words = ("SOLVER.CHECKPOINT_ITERS", 2, "SOLVER.WARMUP_EPOCHS", 1, *ALL)
    whole = run("whole", *words)
    run("parts", *words, stop=stop_at(stopped))
    parts = run("parts", *words, resume=True)
    assert parts.start_iter == stopped // 2 * 2 and parts.warmup_iters == whole.iters_per_epoch
    for name in ("model_final", "model_best"):
        assert saved(whole, name) == saved(parts, name)


def test_a_checkpoint_holds_the_average_that_was_evaluated(run):  # noqa: F811
    trainer = run("whole", "SOLVER.EMA", 0.9)
    content = torch.load(f"{trainer.cfg.OUTPUT_DIR}/model_final.pth", weights_only=False)
    recipe, key = trainer.optimizer.recipe, "backbone.cls_token"
    trained = trainer.model.state_dict()[key]
    with recipe.averaged():
        averaged = trainer.model.state_dict()[key].clone()
    assert torch.equal(content["model"][key], averaged) and not torch.equal(averaged, trained)


def test_the_backbone_waits_for_its_epochs(run):  # noqa: F811
    moved = {}
    for epochs in (0, 1):
        seen = []
        words = ("SOLVER.MAX_EPOCH", 1, "SOLVER.FREEZE_BACKBONE_EPOCHS", epochs)
        words += ("SOLVER.SCHED", "MultiStepLR")
        trainer = run(f"run{epochs}", *words, stop=lambda t, seen=seen: seen.append(snapshot(t)))
        assert trainer.cfg.SOLVER.FREEZE_ITERS == epochs * trainer.iters_per_epoch
        moved[epochs] = [not torch.equal(a, b) for a, b in zip(seen[0], seen[-1], strict=True)]
    assert moved == {0: [True, True], 1: [False, True]}


def snapshot(trainer):
    model = trainer.model
    return model.backbone.cls_token.clone(), model.heads.global_classifier.weight.clone()
