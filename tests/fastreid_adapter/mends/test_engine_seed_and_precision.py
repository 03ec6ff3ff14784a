"""A seed, and mixed precision without CUDA."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
import torch
from fastreid.utils import comm

from fed_plugin.fastreid_adapter.mends import engine as trainer_module


def drawn():
    return random.random(), float(np.random.rand()), float(torch.rand(1))


@pytest.fixture
def seeded_cfg(tiny_cfg):
    """A config that knows SEED, whether or not the adapter has declared it."""

    def make(seed, **overrides):
        cfg = tiny_cfg(**overrides)
        cfg.SEED = seed
        return cfg

    return make


class TestSeed:
    @pytest.fixture
    def defaults(self, stock):
        module = stock("fastreid.engine.defaults")
        assert trainer_module.default_setup_honours_the_seed(module)
        return module

    def test_the_stock_setup_seeds_at_random(self, stock, seeded_cfg, arguments):
        module = stock("fastreid.engine.defaults")
        seen = []
        for _ in range(2):
            module.default_setup(seeded_cfg(3), arguments)
            seen.append(drawn())
        assert seen[0] != seen[1]

    def test_the_mended_setup_seeds_all_three_generators_and_says_so(
        self, defaults, seeded_cfg, arguments, log
    ):
        seen = []
        for seed in (3, 3, 4):
            defaults.default_setup(seeded_cfg(seed), arguments)
            seen.append(drawn())
        assert seen[0] == seen[1]
        assert not set(seen[0]) & set(seen[2])
        assert "SEED + rank = 3" in log.text

    def test_no_random_seed_is_drawn_beside_a_seed(
        self, defaults, seeded_cfg, arguments, monkeypatch
    ):
        logger, lines = logging.getLogger("fastreid.utils.env"), []
        monkeypatch.setattr(logger, "info", lines.append)
        defaults.default_setup(seeded_cfg(3), arguments)
        assert lines == []
        defaults.default_setup(seeded_cfg(-1), arguments)
        assert "Using a generated random seed" in lines[0]

    def test_ranks_draw_differently(self, defaults, seeded_cfg, arguments, monkeypatch):
        defaults.default_setup(seeded_cfg(3), arguments)
        rank_0 = drawn()
        monkeypatch.setattr(comm, "get_rank", lambda: 1)
        defaults.default_setup(seeded_cfg(3), arguments)
        assert drawn() != rank_0
        monkeypatch.setattr(comm, "get_rank", lambda: 0)
        defaults.default_setup(seeded_cfg(4), arguments)

    def test_minus_one_and_no_key_leave_a_run_unseeded(self, defaults, seeded_cfg, arguments, log):
        for cfg in (seeded_cfg(-1), seeded_cfg(0)):
            if cfg.SEED == 0:
                del cfg["SEED"]
            defaults.default_setup(cfg, arguments)
        assert "SEED + rank" not in log.text

    def test_a_host_with_a_seed_of_its_own_is_left_alone(self, stock):
        module = stock("fastreid.engine.defaults")

        def default_setup(cfg, args):
            return cfg.SEED

        module.default_setup = default_setup
        assert trainer_module.default_setup_honours_the_seed(module) is False

    @pytest.mark.parametrize("workers", [0, 2])
    def test_two_runs_with_one_seed_end_on_the_same_weights(
        self, market_root, seeded_cfg, arguments, workers
    ):
        from fastreid.engine import DefaultTrainer, default_setup

        weights = []
        for seed in (5, 5, 6):
            cfg = seeded_cfg(
                seed,
                **{
                    "DATALOADER.NUM_WORKERS": workers,
                    "INPUT.REA.ENABLED": True,
                    "INPUT.CJ.ENABLED": True,
                    "SOLVER.MAX_EPOCH": 1,
                    "SOLVER.CHECKPOINT_PERIOD": 9,
                    "TEST.EVAL_PERIOD": 1,
                },
            )
            default_setup(cfg, arguments)
            trainer = DefaultTrainer(cfg)
            trainer.train()
            trainer.data_loader.shutdown()
            weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])


class TestMixedPrecision:
    def model(self):
        class Model(torch.nn.Linear):
            def forward(self, batch):
                return {"loss": super().forward(batch).square().mean()}

        torch.manual_seed(0)
        return Model(3, 2)

    def run(self, module, trainer_class, steps=2):
        from fastreid.utils.events import EventStorage

        model = self.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = [torch.full((4, 3), float(i + 1)) for i in range(steps)]
        trainer = getattr(module, trainer_class)(model, batches, optimizer, None)
        with EventStorage():
            for _ in range(steps):
                trainer.run_step()
        return trainer, model

    def test_the_stock_amp_trainer_asserts_cuda(self, stock):
        with pytest.raises(AssertionError, match="CUDA is required"):
            self.run(stock("fastreid.engine.train_loop"), "AMPTrainer")

    def test_the_mended_one_takes_the_steps_of_the_simple_trainer_and_warns_once(self, stock, log):
        module = stock("fastreid.engine.train_loop")
        assert trainer_module.amp_trains_in_fp32_without_cuda(module)
        trainer, model = self.run(module, "AMPTrainer")
        _, expected = self.run(module, "SimpleTrainer")
        assert torch.equal(model.weight, expected.weight)
        assert not torch.equal(model.weight, self.model().weight)
        assert len({id(r) for r in log.records if "goes on in fp32" in r.message}) == 1
        assert trainer.grad_scaler.get_scale() == trainer.grad_scaler.get_scale() == 1.0

    def test_with_cuda_the_stock_trainer_stays(self, stock, monkeypatch):
        module = stock("fastreid.engine.train_loop")
        before = module.AMPTrainer.run_step
        monkeypatch.setattr(trainer_module, "cuda_is_available", lambda: True)
        assert trainer_module.amp_trains_in_fp32_without_cuda(module) is False
        assert module.AMPTrainer.run_step is before

    def test_a_stock_run_with_amp_warms_up_and_trains(self, market_root, tiny_cfg, log):
        from fastreid.engine import DefaultTrainer

        cfg = tiny_cfg(**{"SOLVER.AMP.ENABLED": True, "SOLVER.MAX_EPOCH": 1, "SOLVER.STEPS": [5]})
        trainer = DefaultTrainer(cfg)
        before = [p.detach().clone() for p in trainer.model.parameters()]
        trainer.train()
        after = list(trainer.model.parameters())
        assert sum(bool((a != b).any()) for a, b in zip(after, before, strict=True)) > 60
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(cfg.SOLVER.BASE_LR)
        assert "needs CUDA" in log.text
