"""Ranking and re-ranking without a compiler and without a GPU."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import torch

from fed_plugin.fastreid_adapter.mends import evaluator as evaluator_module
from fed_plugin.fastreid_adapter.mends import imports


def drawn(num_query, num_gallery, identities=5, seed=0):
    """Return distances, pids and camids in which every query has an answer."""
    generator = np.random.default_rng(seed)
    q_pids = generator.integers(0, identities, num_query)
    g_pids = np.concatenate([np.arange(identities), generator.integers(0, identities, 99)])
    g_camids = generator.integers(1, 3, num_gallery)
    distances = generator.random((num_query, num_gallery)).astype(np.float32)
    return distances, q_pids, g_pids[:num_gallery], np.zeros(num_query, dtype=int), g_camids


class TestCompiling:
    @pytest.fixture
    def without_a_compiler(self, monkeypatch):
        """Let make fail, and nothing be run that is not make."""

        def run(command, *args, **kwargs):
            assert command[0] == "make"
            return types.SimpleNamespace(returncode=2)

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setitem(sys.modules, "fastreid.evaluation.rank_cylib.rank_cy", None)

    def test_the_stock_evaluator_exits_the_process_when_make_fails(
        self, stock, without_a_compiler, monkeypatch, tiny_cfg
    ):
        evaluation = stock("fastreid.evaluation.reid_evaluation")
        helper = stock("fastreid.evaluation.rank_cylib").compile_helper
        monkeypatch.setattr(evaluation, "compile_helper", helper)
        with pytest.raises(SystemExit):
            evaluation.ReidEvaluator(tiny_cfg(), 2)

    def test_the_mended_evaluator_starts_without_running_anything(
        self, stock, monkeypatch, tiny_cfg
    ):
        monkeypatch.setattr(subprocess, "run", pytest.fail)
        evaluation = stock("fastreid.evaluation.reid_evaluation")
        assert evaluator_module.evaluation_needs_no_compiler(evaluation)
        evaluation.ReidEvaluator(tiny_cfg(), 2)

    def test_an_evaluator_that_compiles_nothing_is_left_alone(self, stock):
        evaluation = stock("fastreid.evaluation.reid_evaluation")
        del evaluation.ReidEvaluator._compile_dependencies
        assert evaluator_module.evaluation_needs_no_compiler(evaluation) is False

    def test_compile_helper_neither_runs_make_nor_exits(self, stock, without_a_compiler):
        package = stock("fastreid.evaluation.rank_cylib")
        with pytest.raises(SystemExit):
            package.compile_helper()
        assert evaluator_module.compile_helper_does_not_exit(package)
        package.compile_helper()

    def test_a_compile_helper_that_does_not_exit_is_left_alone(self):
        package = types.ModuleType("fastreid.evaluation.rank_cylib")
        package.compile_helper = lambda: None
        assert evaluator_module.compile_helper_does_not_exit(package) is False

    def test_the_missing_extension_is_no_warning_any_more(self, stock):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            stock("fastreid.evaluation.rank")
        assert "Cython rank" in str(seen[0].message)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert evaluator_module.missing_extension_is_no_warning(types.ModuleType("x"))
            stock("fastreid.evaluation.rank")
            stock("fastreid.evaluation.roc")
            warnings.warn("another one", stacklevel=1)
        assert [str(warning.message) for warning in seen] == ["another one"]


class TestRanking:
    @pytest.fixture
    def rank(self, stock):
        module = stock("fastreid.evaluation.rank")
        imports.ranking_finds_np_bool(module)  # the stock code below fails without on NumPy 1.26
        assert evaluator_module.small_galleries_rank_right(module)
        return module.evaluate_rank

    def test_it_agrees_with_the_stock_python_on_an_ordinary_gallery(self, stock, rank):
        case = drawn(40, 80)
        cmc, all_ap, all_inp = rank(*case)
        stock_cmc, stock_ap, stock_inp = stock("fastreid.evaluation.rank").evaluate_rank(
            *case, use_cython=False
        )
        np.testing.assert_allclose(cmc, stock_cmc, atol=1e-7)
        np.testing.assert_allclose(all_ap, stock_ap, atol=1e-15)
        np.testing.assert_allclose(all_inp, stock_inp, atol=1e-15)

    def test_a_gallery_of_three_breaks_the_stock_host_and_gets_right_numbers(self, stock, rank):
        case = (
            np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]], dtype=np.float32),
            *(np.array(x) for x in ([1, 2], [1, 1, 2], [0, 0], [0, 1, 1])),
        )
        with pytest.raises(ValueError):
            stock("fastreid.evaluation.rank").evaluate_rank(*case, use_cython=False)
        cmc, all_ap, all_inp = rank(*case)
        # First query: its own image leaves, the answer is first. Second: the answer is second.
        np.testing.assert_allclose(cmc[:3], [0.5, 1.0, 1.0])
        assert cmc[9] == 1.0
        assert (np.diff(cmc) >= 0).all()
        np.testing.assert_allclose(all_ap, [1.0, 0.5])
        np.testing.assert_allclose(all_inp, [1.0, 0.5])

    def test_the_evaluator_reports_a_gallery_of_fewer_than_ten_images(self, tiny_cfg):
        from fastreid.evaluation import ReidEvaluator

        evaluator = ReidEvaluator(tiny_cfg(), 2)
        inputs = {
            "targets": torch.tensor([1, 2, 1, 2, 3]),
            "camids": torch.tensor([0, 0, 1, 1, 1]),
        }
        angles = torch.tensor([0.0, 1.0, 0.1, 2.2, 0.9])
        evaluator.process(inputs, torch.stack([angles.cos(), angles.sin()], dim=1))
        results = evaluator.evaluate()
        # Query 1 finds its image first; query 2 (angle 1.0) finds 0.9 and 0.1 before 2.2.
        assert results["Rank-1"] == pytest.approx(50)
        assert results["Rank-5"] == results["Rank-10"] == pytest.approx(100)
        assert results["mAP"] == pytest.approx(100 * (1 + 1 / 3) / 2)

    def test_queries_without_an_answer_are_one_clear_error(self, rank):
        with pytest.raises((AssertionError, ValueError), match="gallery"):
            rank(np.zeros((1, 2)), *(np.array(x) for x in ([1], [2, 3], [0], [1, 1])))

    def test_the_cuhk03_protocol_stays_the_hosts_own(self, stock, rank):
        np.random.seed(0)
        cmc, mean_ap = rank(*drawn(20, 60), use_metric_cuhk03=True)
        np.random.seed(0)
        module = stock("fastreid.evaluation.rank")
        imports.ranking_finds_np_bool(module)
        stock_cmc, stock_map = module.eval_cuhk03(*drawn(20, 60), 50)
        np.testing.assert_array_equal(cmc, stock_cmc)
        assert mean_ap == stock_map

    def test_a_host_that_ranks_small_galleries_right_is_left_alone(self, stock, rank, capsys):
        module = stock("fastreid.evaluation.rank")
        module.evaluate_rank = rank
        assert evaluator_module.small_galleries_rank_right(module) is False
        assert module.evaluate_rank is rank
        evaluator_module.small_galleries_rank_right(stock("fastreid.evaluation.rank"))
        assert capsys.readouterr().out == "", "the probe should print nothing"


class TestReranking:
    @pytest.fixture
    def features(self):
        return torch.nn.functional.normalize(
            torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
        )

    def test_the_stock_host_asks_for_a_gpu(self, stock, features):
        with pytest.raises((AttributeError, AssertionError, RuntimeError)):
            stock("fastreid.utils.compute_dist").build_dist(
                features[:10], features[10:], "jaccard", k1=5, k2=2
            )

    def test_the_mended_host_gives_the_numbers_of_its_own_cpu_branch(self, stock, features):
        module = stock("fastreid.utils.compute_dist")
        cpu_branch = module.compute_jaccard_distance(features, k1=5, k2=2, search_option=3)
        assert evaluator_module.rerank_works_without_gpu_faiss(module)
        distances = module.build_dist(features[:10], features[10:], "jaccard", k1=5, k2=2)
        np.testing.assert_allclose(distances, cpu_branch[:10, 10:], atol=1e-6)
        whole = module.compute_jaccard_distance(features, k1=5, k2=2)
        np.testing.assert_allclose(whole, cpu_branch, atol=1e-6)
        assert distances.min() >= 0
        assert distances.max() <= 1

    def test_a_gallery_smaller_than_k1_re_ranks_over_all_of_it(self, stock, features):
        module = stock("fastreid.utils.compute_dist")
        assert evaluator_module.rerank_works_without_gpu_faiss(module)
        distances = module.build_dist(features[:2], features[2:8], "jaccard", k1=20, k2=6)
        assert distances.shape == (2, 6)
        assert np.isfinite(distances).all()
        whole = module.compute_jaccard_distance(features[:8], k1=8, k2=6)
        np.testing.assert_allclose(distances, whole[:2, 2:], atol=1e-6)

    def test_half_precision_stays_with_the_hosts_branch(self, stock, features):
        module = stock("fastreid.utils.compute_dist")
        cpu_branch = module.compute_jaccard_distance(
            features, k1=5, k2=2, search_option=3, fp16=True
        )
        assert evaluator_module.rerank_works_without_gpu_faiss(module)
        halves = module.compute_jaccard_distance(features, k1=5, k2=2, fp16=True)
        np.testing.assert_array_equal(halves, cpu_branch)

    def test_other_distances_stay_the_hosts_own(self, stock, features):
        module = stock("fastreid.utils.compute_dist")
        before = module.build_dist(features[:4], features[4:], "cosine")
        assert evaluator_module.rerank_works_without_gpu_faiss(module)
        after = module.build_dist(features[:4], features[4:], metric="cosine")
        np.testing.assert_array_equal(after, before)

    def test_with_a_gpu_for_faiss_the_stock_branch_stays(self, stock, monkeypatch):
        module = stock("fastreid.utils.compute_dist")
        before = module.compute_jaccard_distance, module.build_dist
        monkeypatch.setattr(evaluator_module, "cuda_is_available", lambda: True)
        monkeypatch.setattr(module.faiss, "StandardGpuResources", object, raising=False)
        assert evaluator_module.rerank_works_without_gpu_faiss(module) is False
        assert (module.compute_jaccard_distance, module.build_dist) == before
