"""Batches that no identity sampler can fill are refused."""

from __future__ import annotations

import copy
import itertools
from collections import Counter

import numpy as np
import pytest

from fed_plugin.fastreid_adapter.mends import loading as samplers

DRAWS = 20_000


def items(*images_per_identity, cameras=2):
    return [
        (f"{pid}_{shot}.jpg", pid, shot % cameras)
        for pid, count in enumerate(images_per_identity)
        for shot in range(count)
    ]


@pytest.fixture
def mended(stock):
    module = stock("fastreid.data.samplers.triplet_sampler")
    assert samplers.samplers_refuse_batches_they_cannot_fill(module)
    return module


class StuckError(Exception):
    """The sampler has drawn and drawn without giving out one index."""


@pytest.fixture
def impatient(monkeypatch):
    """Let draws, and copies of the identities to draw from, run out: no loop is endless here."""
    calls = itertools.count()

    def counted(function):
        def call(*args, **kwargs):
            if next(calls) > DRAWS:
                raise StuckError
            return function(*args, **kwargs)

        return call

    for owner, name in ((np.random, "choice"), (np.random, "permutation"), (copy, "deepcopy")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


@pytest.fixture
def ranks(monkeypatch):
    """Pretend to be rank 0 of several."""
    from fastreid.utils import comm

    def pretend(count):
        monkeypatch.setattr(comm, "get_world_size", lambda: count)
        monkeypatch.setattr(comm, "shared_random_seed", lambda: 0)

    return pretend


# sampler, ranks, images per identity, batch of one rank, NUM_INSTANCE
HOPELESS = [
    ("NaiveIdentitySampler", 1, (4,) * 8, 6, 4),
    ("NaiveIdentitySampler", 1, (4,) * 3, 16, 4),
    ("NaiveIdentitySampler", 2, (4,) * 4, 16, 4),
    ("NaiveIdentitySampler", 1, (4,) * 8, 3, 4),
    ("BalancedIdentitySampler", 1, (4,) * 8, 6, 4),
    ("BalancedIdentitySampler", 1, (4,) * 3, 16, 4),
    ("BalancedIdentitySampler", 2, (4,) * 7, 16, 4),
]
POSSIBLE = [
    ("NaiveIdentitySampler", 1, (4,) * 4, 16, 4),
    ("NaiveIdentitySampler", 1, (1, 2, 3, 9), 16, 4),
    ("NaiveIdentitySampler", 2, (8,) * 4, 16, 4),
    ("NaiveIdentitySampler", 2, (4, 4, 4, 8, 4, 8), 12, 4),
    ("BalancedIdentitySampler", 1, (4,) * 4, 16, 4),
    ("BalancedIdentitySampler", 2, (4,) * 8, 16, 4),
    ("BalancedIdentitySampler", 1, (4,) * 7, 8, 4),
]


@pytest.mark.parametrize(("name", "count", "images", "batch", "instances"), HOPELESS)
def test_what_is_refused_would_have_hung_in_the_stock_host(
    stock, mended, impatient, ranks, name, count, images, batch, instances
):
    ranks(count)
    module = stock("fastreid.data.samplers.triplet_sampler")
    sampler = getattr(module, name)(items(*images), batch, instances)
    with pytest.raises((StuckError, ZeroDivisionError)):
        next(iter(sampler))
    with pytest.raises(ValueError, match="can never fill a batch") as refusal:
        getattr(mended, name)(items(*images), batch, instances)
    for words in (
        f"DATALOADER.SAMPLER_TRAIN={name}",
        f"SOLVER.IMS_PER_BATCH={batch * count}",
        f"DATALOADER.NUM_INSTANCE={instances}",
        "try",
    ):
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("name", "count", "images", "batch", "instances"), POSSIBLE)
def test_what_is_not_refused_fills_its_batches(
    mended, impatient, ranks, name, count, images, batch, instances
):
    ranks(count)
    source = items(*images)
    sampler = getattr(mended, name)(source, batch, instances)
    drawn = list(itertools.islice(sampler._infinite_indices(), 3 * batch * count))
    for rank in range(count):
        pids = Counter(source[index][1] for index in drawn[rank : batch * count : count])
        assert len(pids) == batch // instances
        assert set(pids.values()) == {instances}


def test_the_number_of_identities_that_were_found_is_named(mended):
    with pytest.raises(ValueError, match="takes 4 identities per rank; got 3 identities with 12"):
        mended.NaiveIdentitySampler(items(4, 4, 4), 16, 4)


def test_set_reweighting_is_refused_because_its_rounds_are_no_batches(mended, stock):
    with pytest.raises(ValueError, match=r"DATALOADER.SET_WEIGHT=\[1, 1\] makes rounds of 8"):
        mended.SetReWeightSampler(items(4, 4, 4, 4), 16, 4, [1, 1])
    with pytest.raises(AssertionError):  # what would fill a batch, the host itself refuses
        mended.SetReWeightSampler(items(4, 4, 4, 4), 8, 4, [1, 1])


def test_a_host_that_refuses_by_itself_is_left_alone(stock, mended):
    module = stock("fastreid.data.samplers.triplet_sampler")
    module.NaiveIdentitySampler = mended.NaiveIdentitySampler
    before = module.BalancedIdentitySampler.__init__
    assert samplers.samplers_refuse_batches_they_cannot_fill(module) is False
    assert module.BalancedIdentitySampler.__init__ is before


def test_a_stock_run_is_refused_before_any_model_is_built(market_root, tiny_cfg, monkeypatch):
    from fastreid.engine import DefaultTrainer

    monkeypatch.setattr(DefaultTrainer, "build_model", pytest.fail)
    with pytest.raises(ValueError, match=r"DATALOADER\.NUM_INSTANCE=3"):
        DefaultTrainer(tiny_cfg(**{"DATALOADER.NUM_INSTANCE": 3}))
