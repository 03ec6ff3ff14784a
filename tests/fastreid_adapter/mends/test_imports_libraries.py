"""Arguments that libraries have taken away."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as torchvision_transforms

from fed_plugin.fastreid_adapter.mends import imports
from fed_plugin.fastreid_adapter.mends import optimizer as optimizer_mends


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


class TestRandomAffine:
    def test_the_stock_pipeline_fails_when_affine_is_on(self, stock, tiny_cfg):
        with pytest.raises(TypeError):
            stock("fastreid.data.transforms.build").build_transforms(
                tiny_cfg(**{"INPUT.AFFINE.ENABLED": True})
            )

    def test_the_mended_pipeline_shears_with_nearest_pixels_and_black_corners(
        self, stock, tiny_cfg, image
    ):
        module = stock("fastreid.data.transforms.build")
        assert imports.random_affine_takes_its_old_arguments(module)
        pipeline = module.build_transforms(
            tiny_cfg(**{"INPUT.AFFINE.ENABLED": True, "INPUT.FLIP.ENABLED": False})
        )
        affine = pipeline.transforms[-2]
        assert type(affine) is torchvision_transforms.RandomAffine
        assert affine.interpolation == torchvision_transforms.InterpolationMode.NEAREST
        assert affine.fill == 0
        assert pipeline(image).shape == (3, 64, 32)

    def test_torchvision_itself_and_the_other_transforms_stay_as_they_are(self, stock, tiny_cfg):
        module = stock("fastreid.data.transforms.build")
        imports.random_affine_takes_its_old_arguments(module)
        with pytest.raises(TypeError):
            torchvision_transforms.RandomAffine(0, resample=False)
        assert module.T.Compose is torchvision_transforms.Compose
        bilinear = module.T.RandomAffine(0, resample=Image.BILINEAR).interpolation
        assert bilinear == torchvision_transforms.InterpolationMode.BILINEAR

    def test_an_older_torchvision_is_left_alone(self, stock):
        class Older:
            @staticmethod
            def RandomAffine(degrees, resample=0, fillcolor=0):
                return degrees

        module = stock("fastreid.data.transforms.build")
        module.T = Older
        assert imports.random_affine_takes_its_old_arguments(module) is False
        assert module.T is Older


class TestNumPy:
    @pytest.mark.defect_since("numpy", "1.24")
    def test_ranking_finds_np_bool_where_numpy_has_none(self, stock, monkeypatch):
        module = stock("fastreid.evaluation.rank")
        monkeypatch.delattr(np, "bool", raising=False)  # NumPy 1.26 has none
        with pytest.raises(AttributeError):
            module.np.bool  # noqa: B018
        assert imports.ranking_finds_np_bool(module)
        assert module.np.zeros(2, dtype=module.np.bool).dtype == bool
        assert not hasattr(np, "bool")

    def test_a_numpy_with_bool_is_left_alone(self, stock, monkeypatch):
        module = stock("fastreid.evaluation.rank")
        monkeypatch.setattr(np, "bool", bool, raising=False)
        assert imports.ranking_finds_np_bool(module) is False
        assert module.np is np

    @pytest.mark.parametrize("mode", ["1", "I;16"])
    @pytest.mark.defect_since("numpy", "2.0")
    def test_the_stock_to_tensor_refuses_images_that_have_to_be_copied(self, stock, image, mode):
        module = stock("fastreid.data.transforms.functional")
        with pytest.raises(ValueError, match="copy"):
            module.to_tensor(image.convert("I").convert(mode))

    @pytest.mark.parametrize("mode", ["1", "I", "I;16", "F"])
    @pytest.mark.defect_since("numpy", "2.0")
    def test_the_mended_to_tensor_takes_images_of_every_mode(self, stock, image, mode):
        module = stock("fastreid.data.transforms.functional")
        picture = image.convert("I").convert(mode)
        assert imports.to_tensor_copies_where_it_must(module)
        values = np.asarray(picture).astype(np.float64) * (255 if mode == "1" else 1)
        assert module.to_tensor(picture).shape == (1, 64, 32)
        np.testing.assert_allclose(module.to_tensor(picture)[0].double().numpy(), values)

    def test_a_numpy_that_copies_where_it_must_is_left_alone(self, stock, monkeypatch):
        module = stock("fastreid.data.transforms.functional")
        monkeypatch.setattr(np, "array", lambda content, dtype, copy: np.asarray(content, dtype))
        assert imports.to_tensor_copies_where_it_must(module) is False
        assert module.np is np

    def test_random_augmentations_still_draw_from_numpy(self, stock, image):
        module = stock("fastreid.data.transforms.functional")
        imports.to_tensor_copies_where_it_must(module)
        np.random.seed(0)
        first = [function(image, 3).tobytes() for function in module.augmentations]
        np.random.seed(0)
        assert [function(image, 3).tobytes() for function in module.augmentations] == first


class TestProfiler:
    @staticmethod
    def profile(hooks, folder):
        from types import SimpleNamespace

        hook = hooks.AutogradProfiler(lambda trainer: True, str(folder))
        hook.trainer = SimpleNamespace(iter=0)
        hook.before_step()
        torch.ones(3).sum()
        hook.after_step()

    @pytest.mark.defect_since("torch", "2.14")  # the oldest known to have it; 2.6 has not
    def test_the_stock_profiler_fails_and_the_mended_one_writes_a_trace(self, stock, tmp_path):
        hooks = stock("fastreid.engine.hooks")
        with pytest.raises(TypeError, match="use_cuda"):
            self.profile(hooks, tmp_path)
        assert imports.profiler_takes_use_cuda(hooks)
        self.profile(hooks, tmp_path)
        assert "aten::sum" in (tmp_path / "profiler-trace-iter0.json").read_text()

    def test_a_torch_with_use_cuda_is_left_alone(self, stock, monkeypatch):
        hooks = stock("fastreid.engine.hooks")

        def profile(enabled=True, use_cuda=False):
            return None

        monkeypatch.setattr(torch.autograd.profiler, "profile", profile)
        assert imports.profiler_takes_use_cuda(hooks) is False
        assert hooks.torch is torch


class TestStochasticWeightAveraging:
    def averaged(self, swa, build, cfg):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        optimizer, _ = build.build_optimizer(cfg, model)
        optimizer = swa.SWA(optimizer, swa_freq=1, swa_lr_factor=0.5)
        seen = []
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
            seen.append(copy.deepcopy(model[0].weight.detach()))
        return model, optimizer, seen

    def test_the_stock_average_misses_what_torch_looks_for(self, stock, tiny_cfg):
        swa, build = stock("fastreid.solver.optim.swa"), stock("fastreid.solver.build")
        optimizer_mends.flat_buffers_keep_their_gradient(build)
        with pytest.raises(AttributeError, match="hooks"):
            self.averaged(swa, build, tiny_cfg())

    def test_the_mended_average_trains_flat_buffers_and_ends_on_the_mean(self, stock, tiny_cfg):
        swa, build = stock("fastreid.solver.optim.swa"), stock("fastreid.solver.build")
        assert imports.swa_is_a_whole_optimizer(swa)
        optimizer_mends.flat_buffers_keep_their_gradient(build)
        model, optimizer, seen = self.averaged(swa, build, tiny_cfg())
        assert not torch.equal(seen[0], seen[2])
        optimizer.swap_swa_param()
        torch.testing.assert_close(model[0].weight.detach(), torch.stack(seen).mean(0))
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        optimizer.step()
        scheduler.step()
        optimizer.load_state_dict(optimizer.state_dict())

    def test_an_average_that_is_a_whole_optimizer_is_left_alone(self, stock):
        swa = stock("fastreid.solver.optim.swa")
        assert imports.swa_is_a_whole_optimizer(swa)
        swa.__dict__.pop("__fed_mends__")
        assert imports.swa_is_a_whole_optimizer(swa) is False


def test_nothing_here_touches_the_random_state(stock):
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    imports.random_affine_takes_its_old_arguments(stock("fastreid.data.transforms.build"))
    imports.swa_is_a_whole_optimizer(stock("fastreid.solver.optim.swa"))
    optimizer_mends.flat_buffers_keep_their_gradient(stock("fastreid.solver.build"))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert states == after
