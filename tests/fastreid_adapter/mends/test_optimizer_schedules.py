"""Schedules that cannot run are refused."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.fastreid_adapter.mends import optimizer as optimizer_module


@pytest.fixture
def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.fixture
def build(stock):
    module = stock("fastreid.solver.build")
    assert optimizer_module.schedules_shorter_than_their_warmup_are_refused(module)
    return module.build_lr_scheduler


COSINE = {"SOLVER.SCHED": "CosineAnnealingLR", "SOLVER.MAX_EPOCH": 3}


def test_a_cosine_that_ends_with_its_warm_up_divides_by_zero_in_the_stock_host(
    stock, optimizer, tiny_cfg
):
    cfg = tiny_cfg(**COSINE, **{"SOLVER.WARMUP_ITERS": 10})
    scheduler = stock("fastreid.solver.build").build_lr_scheduler(cfg, optimizer, 4)["lr_sched"]
    optimizer.step()
    with pytest.raises(ZeroDivisionError):
        scheduler.step()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({**COSINE, "SOLVER.WARMUP_ITERS": 10}, "SOLVER.WARMUP_ITERS=10"),
        ({**COSINE, "SOLVER.DELAY_EPOCHS": 3}, "SOLVER.DELAY_EPOCHS=3"),
        ({**COSINE, "SOLVER.WARMUP_ITERS": 13}, "is shorter than its warm-up"),
        ({"SOLVER.MAX_EPOCH": 3, "SOLVER.WARMUP_ITERS": 13}, "SOLVER.MAX_EPOCH=3 of 4 iterations"),
    ],
)
def test_a_schedule_shorter_than_its_warm_up_is_refused(
    build, optimizer, tiny_cfg, overrides, words
):
    with pytest.raises(ValueError, match="try ") as refusal:
        build(tiny_cfg(**overrides), optimizer, 4)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_training_set_smaller_than_a_batch_is_refused(stock, build, optimizer, tiny_cfg):
    with pytest.raises(ZeroDivisionError):
        stock("fastreid.solver.build").build_lr_scheduler(tiny_cfg(), optimizer, 0)
    with pytest.raises(ValueError, match=r"SOLVER.IMS_PER_BATCH=8: the training set.*Market1501"):
        build(tiny_cfg(), optimizer, 0)


@pytest.mark.parametrize("overrides", [{}, {**COSINE, "SOLVER.WARMUP_ITERS": 8}])
def test_a_schedule_that_can_run_is_built_as_ever(stock, build, optimizer, tiny_cfg, overrides):
    cfg = tiny_cfg(**overrides)
    schedule = build(cfg, optimizer, 4)
    expected = stock("fastreid.solver.build").build_lr_scheduler(cfg, optimizer, 4)
    assert {k: type(v) for k, v in schedule.items()} == {k: type(v) for k, v in expected.items()}


def test_a_host_with_another_signature_is_left_alone(stock):
    module = stock("fastreid.solver.build")
    module.build_lr_scheduler = lambda cfg, optimizer: None
    assert optimizer_module.schedules_shorter_than_their_warmup_are_refused(module) is False


class TestEvaluationPeriod:
    def test_the_stock_hook_fails_when_training_is_over(self, stock):
        from types import SimpleNamespace

        hook = stock("fastreid.engine.hooks").EvalHook(0, dict)
        hook.trainer = SimpleNamespace(epoch=1, max_epoch=2)
        with pytest.raises(ZeroDivisionError):
            hook.after_train()

    @pytest.mark.parametrize("period", [0, -1])
    def test_a_period_that_is_not_positive_is_refused(self, stock, period):
        hooks = stock("fastreid.engine.hooks")
        assert optimizer_module.evaluation_period_must_be_positive(hooks)
        with pytest.raises(ValueError, match=f"TEST.EVAL_PERIOD={period}: expected .* try"):
            hooks.EvalHook(period, dict)
        assert hooks.EvalHook(1, dict)._period == 1

    def test_a_hook_that_refuses_by_itself_is_left_alone(self, stock):
        hooks = stock("fastreid.engine.hooks")

        class EvalHook:
            def __init__(self, period, function):
                if period < 1:
                    raise ValueError("the host's own words")

        hooks.EvalHook = EvalHook
        assert optimizer_module.evaluation_period_must_be_positive(hooks) is False

    def test_a_stock_run_is_refused_before_its_first_step(self, market_root, tiny_cfg):
        from fastreid.engine import DefaultTrainer

        with pytest.raises(ValueError, match=r"TEST\.EVAL_PERIOD=0"):
            DefaultTrainer(tiny_cfg(**{"TEST.EVAL_PERIOD": 0}))
