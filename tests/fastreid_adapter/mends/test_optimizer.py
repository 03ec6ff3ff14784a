"""The optimizer trains, and passes for one in plain_train_net.py."""

from __future__ import annotations

import copy

import pytest
import torch
from fastreid.engine import DefaultTrainer
from torch import nn

from fed_plugin.fastreid_adapter.mends import optimizer as mends
from fed_plugin.fastreid_adapter.mends import optimizer as optimizer_module


def small_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def train(model, optimizer, steps, scaler=None):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(8, 6, generator=generator)
        loss = model(images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def distance(model, other):
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_the_stock_optimizer_trains_nothing_and_its_state_stays_empty(stock, tiny_cfg):
    build = stock("fastreid.solver.build")
    model = small_model()
    start = copy.deepcopy(model)
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    train(model, optimizer, 5)
    assert distance(model, start) == 0.0
    assert optimizer.state_dict()["state"] == {}


def test_the_mended_optimizer_trains_and_fills_its_state(stock, tiny_cfg):
    build = stock("fastreid.solver.build")
    assert mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    start = copy.deepcopy(model)
    optimizer, params = build.build_optimizer(tiny_cfg(), model)
    train(model, optimizer, 2)
    assert distance(model, start) > 1e-4
    assert len(optimizer.state_dict()["state"]) == len(optimizer.param_groups)
    assert params.buffer_is_valid()


def test_the_flat_layout_is_the_stock_one_so_that_old_checkpoints_resume(stock, tiny_cfg):
    mended = stock("fastreid.solver.build")
    assert mends.flat_buffers_keep_their_gradient(mended)
    built = [
        module.build_optimizer(tiny_cfg(), small_model())[0]
        for module in (stock("fastreid.solver.build"), mended)
    ]
    groups = [optimizer.state_dict()["param_groups"] for optimizer in built]
    assert groups[0] == groups[1]
    shapes = [[p.shape for g in optimizer.param_groups for p in g["params"]] for optimizer in built]
    assert shapes[0] == shapes[1]
    assert [type(optimizer).__name__ for optimizer in built] == ["SGD", "SGD"]


def test_the_mend_applies_once_and_is_absent_where_zero_grad_keeps_zeros(stock, monkeypatch):
    build = stock("fastreid.solver.build")
    assert mends.flat_buffers_keep_their_gradient(build)
    assert mends.flat_buffers_keep_their_gradient(build) is False
    untouched = stock("fastreid.solver.build")
    before = untouched.build_optimizer
    monkeypatch.setattr(mends, "zero_grad_drops_gradients", lambda: False)
    assert mends.flat_buffers_keep_their_gradient(untouched) is False
    assert untouched.build_optimizer is before


def test_this_torch_is_recognised_as_one_that_drops_gradients():
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    torch.optim.SGD([weight], lr=1.0).zero_grad()
    assert mends.zero_grad_drops_gradients() is (weight.grad is None)


def test_an_optimizer_without_flat_buffers_is_left_alone(stock, tiny_cfg):
    build = stock("fastreid.solver.build")
    mends.flat_buffers_keep_their_gradient(build)
    optimizer, params = build.build_optimizer(tiny_cfg(), small_model(), contiguous=False)
    assert type(optimizer) is torch.optim.SGD
    assert isinstance(params, list)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_clipping_and_freezing_optimizers_move_what_is_not_frozen(stock, tiny_cfg, name):
    build = stock("fastreid.solver.build")
    mends.flat_buffers_keep_their_gradient(build)
    cfg = tiny_cfg(
        **{
            "SOLVER.OPT": name,
            "SOLVER.CLIP_GRADIENTS.ENABLED": True,
            "MODEL.FREEZE_LAYERS": ["0"],
            "SOLVER.FREEZE_ITERS": 2,
        }
    )
    model = small_model()
    start = copy.deepcopy(model)
    optimizer, _ = build.build_optimizer(cfg, model)
    train(model, optimizer, 2)
    assert distance(model[0], start[0]) == 0.0
    assert distance(model[2], start[2]) > 1e-5
    train(model, optimizer, 1)
    assert distance(model[0], start[0]) > 1e-6


def test_a_gradient_scaler_finds_the_flat_gradients_and_skips_infinite_steps(stock, tiny_cfg):
    build = stock("fastreid.solver.build")
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor, moves in ((float("inf"), False), (1.0, True)):
        start = copy.deepcopy(model)
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(4, 6)).square().mean() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        assert (distance(model, start) > 0) is moves


def record(trainer):
    """Keep what the trainer's steps get: the batch as it was loaded, and the learning rates."""
    steps = []
    batches = trainer._trainer._data_loader_iter

    class Recorder:
        def __next__(self):
            batch = next(batches)
            rates = [group["lr"] for group in trainer.optimizer.param_groups]
            steps.append(({k: copy.deepcopy(v) for k, v in batch.items()}, rates))
            return batch

    trainer._trainer._data_loader_iter = Recorder()
    return steps


def replay(model, cfg, steps):
    """Train a copy of the model on recorded batches with plain ``torch.optim.SGD``."""
    from fastreid.solver.build import get_default_optimizer_params
    from fastreid.utils.events import EventStorage

    params = get_default_optimizer_params(
        model,
        base_lr=cfg.SOLVER.BASE_LR,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM,
        bias_lr_factor=cfg.SOLVER.BIAS_LR_FACTOR,
        weight_decay_bias=cfg.SOLVER.WEIGHT_DECAY_BIAS,
    )
    factors = [group["lr"] / cfg.SOLVER.BASE_LR for group in params]
    plain = torch.optim.SGD(params, lr=cfg.SOLVER.BASE_LR, momentum=cfg.SOLVER.MOMENTUM)
    with EventStorage():
        for batch, rates in steps:
            for group, factor in zip(plain.param_groups, factors, strict=True):
                group["lr"] = min(rates) * factor
            plain.zero_grad()
            sum(model(batch).values()).backward()
            plain.step()


@pytest.fixture
def run(market_root, tiny_cfg):
    """Train a stock ``Baseline`` with the stock ``DefaultTrainer``; keep start, steps and end."""
    cfg = tiny_cfg()
    torch.manual_seed(0)
    trainer = DefaultTrainer(cfg)
    start = copy.deepcopy(trainer.model)
    for weight in start.parameters():
        weight.grad = None
    steps = record(trainer)
    results = trainer.train()
    return trainer, start, steps, results


def test_a_stock_baseline_moves_exactly_as_plain_sgd_moves_it_and_resumes(run, tiny_cfg):
    trainer, start, steps, results = run
    assert len(steps) == 6
    assert len({tuple(rates) for _, rates in steps}) > 1, "the schedule should have moved the rates"

    replayed = copy.deepcopy(start)
    replay(replayed, trainer.cfg, steps)
    moved = 0
    names = zip(
        trainer.model.named_parameters(), start.parameters(), replayed.parameters(), strict=True
    )
    for (name, weight), before, plain in names:
        assert torch.allclose(weight, plain, rtol=0, atol=1e-6), name
        moved += bool((weight != before).any())
    trainable = [p for p in trainer.model.parameters() if p.requires_grad]
    assert moved == len(trainable) > 60
    assert trainer.model.heads.bottleneck[0].bias.requires_grad is False

    checkpoint = torch.load(trainer.cfg.OUTPUT_DIR + "/model_final.pth")
    groups = len(trainer.optimizer.param_groups)
    assert len(checkpoint["optimizer"]["state"]) == groups > 1
    assert 0 <= results["Rank-1"] <= 100

    resumed = DefaultTrainer(tiny_cfg(**{"SOLVER.MAX_EPOCH": 3}))
    resumed.resume_or_load(resume=True)
    assert resumed.start_epoch == 2
    assert distance(resumed.model, trainer.model) == 0.0
    momenta = [state["momentum_buffer"] for state in trainer.optimizer.state.values()]
    loaded = [state["momentum_buffer"] for state in resumed.optimizer.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(momenta, loaded, strict=True))
    resumed.train()
    assert distance(resumed.model, trainer.model) > 1e-5


def test_the_stock_trainer_with_the_mend_skipped_is_stopped_by_the_tripwire(
    stock, market_root, tiny_cfg, monkeypatch
):
    import fastreid.engine.defaults as defaults

    build = stock("fastreid.solver.build")
    assert optimizer_module.training_that_moves_nothing_stops(build)
    monkeypatch.setattr(defaults, "build_optimizer", build.build_optimizer)
    trainer = DefaultTrainer(tiny_cfg())
    with pytest.raises(RuntimeError, match=r"Training does nothing.*zero_grad\(\) has set"):
        trainer.train()


class TestOptimizerPair:
    def test_the_stock_pair_is_no_optimizer(self, stock, tiny_cfg):
        pair = stock("fastreid.solver.build").build_optimizer(tiny_cfg(), small_model())
        with pytest.raises(AttributeError):
            _ = pair.param_groups

    def test_the_mended_pair_unpacks_and_does_what_plain_train_net_asks(self, stock, tiny_cfg):
        build = stock("fastreid.solver.build")
        assert mends.flat_buffers_keep_their_gradient(build)
        assert mends.optimizer_pair_passes_for_an_optimizer(build)
        model = small_model()
        start = copy.deepcopy(model)
        pair = build.build_optimizer(tiny_cfg(), model)
        optimizer, params = pair
        assert isinstance(optimizer, torch.optim.SGD)
        assert isinstance(params, build.ContiguousParams)
        schedule = build.build_lr_scheduler(tiny_cfg(), pair, 4)
        assert schedule["lr_sched"].optimizer is optimizer
        train(model, pair, 2)
        assert distance(model, start) > 1e-5
        pair.load_state_dict(pair.state_dict())
        assert pair.param_groups is optimizer.param_groups

    def test_a_host_that_returns_an_optimizer_is_left_alone(self, stock):
        build = stock("fastreid.solver.build")
        build.build_optimizer = lambda cfg, model: None
        assert mends.optimizer_pair_passes_for_an_optimizer(build) is False
