"""TPR@FPR of ``TEST.ROC``."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from fed_plugin.fastreid_adapter.mends import evaluator as evaluator_module
from fed_plugin.retrieval import verify_pairs

NAME = "fastreid.evaluation.roc"


@pytest.fixture
def case():
    """Distances that tell identities apart, but not always."""
    rng = np.random.default_rng(0)
    q_pids, g_pids = rng.integers(0, 5, 40), rng.integers(0, 5, 300)
    q_camids, g_camids = np.zeros(40, int), rng.integers(0, 3, 300)
    same = q_pids[:, None] == g_pids[None]
    return rng.normal(size=same.shape) - 1.5 * same, q_pids, g_pids, q_camids, g_camids


def test_the_stock_host_calls_wrong_pairs_positive(stock, case):
    module = stock(NAME)
    distances, labels = module.evaluate_roc(*case, use_cython=False)
    assert distances[labels == 1].mean() > distances[labels == 0].mean()
    assert evaluator_module.takes_wrong_pairs_for_positive(module.evaluate_roc)


def test_the_mended_host_calls_right_pairs_positive_and_similar(stock, case):
    module = stock(NAME)
    assert evaluator_module.roc_counts_right_pairs_as_positive(module)
    scores, labels = module.evaluate_roc(*case, use_cython=False)
    rates = verify_pairs(*case, false_positive_rates=(0.01, 0.1))
    for threshold, tpr in zip(rates.thresholds, rates.true_positive_rates, strict=True):
        assert (scores[labels == 1] > -threshold).mean() == pytest.approx(tpr)
    assert not evaluator_module.roc_counts_right_pairs_as_positive(module), "twice is once"


def test_a_host_that_labels_right_pairs_is_left_alone():
    def evaluate_roc(distmat, *rest, use_cython=True):
        return -distmat.ravel(), np.array([1, 0])

    module = types.SimpleNamespace(evaluate_roc=evaluate_roc)
    assert not evaluator_module.roc_counts_right_pairs_as_positive(module)
    assert module.evaluate_roc is evaluate_roc


def test_the_evaluator_prints_the_rate_of_right_pairs(tiny_cfg):
    from fastreid.evaluation import ReidEvaluator

    cfg = tiny_cfg()
    cfg.TEST.ROC.ENABLED = True
    rng = np.random.default_rng(1)
    pids = np.concatenate([np.arange(20), rng.integers(0, 20, 180)])
    angles = pids * 0.3 + rng.normal(0, 0.1, 200)
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    camids = np.concatenate([np.zeros(20, int), np.ones(180, int)])
    evaluator = ReidEvaluator(cfg, 20)
    inputs = {"targets": torch.tensor(pids), "camids": torch.tensor(camids)}
    evaluator.process(inputs, torch.tensor(features))
    printed = evaluator.evaluate()["TPR@FPR=1e-02"]
    distances = 1 - features[:20] @ features[20:].T
    rates = verify_pairs(
        *(distances, pids[:20], pids[20:], camids[:20], camids[20:]),
        false_positive_rates=(0.008, 0.012),
    ).true_positive_rates
    assert rates[0] <= printed <= rates[1]  # the host reads the nearest point, on either side
