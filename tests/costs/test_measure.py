"""Rows of several methods, measured once and together."""

from __future__ import annotations

import pytest
from fastreid.modeling import build_model

from fed_plugin.costs.measure import MEASURED, SETTINGS, CostedMethod, measure_costs

LEAVES = {"baseline": "synthocc_vit_tiny_baseline", "FED": "synthocc_vit_tiny"}


@pytest.fixture
def costed(tiny_cfg):
    def make(*overrides, leaf="FED", identities=6, training_batch=8, test_batch=4):
        return CostedMethod(
            tiny_cfg(*overrides, leaf=LEAVES[leaf]), identities, training_batch, test_batch
        )

    return make


@pytest.fixture
def rows(costed):
    methods = {
        "baseline": costed(leaf="baseline"),
        "erasing": costed("INPUT.REA.ENABLED", True, "SEED", 3, leaf="baseline"),
        "FED": costed(),
    }
    said = []
    rows = measure_costs(methods, "erasing", 3, lambda *words: said.append(words))
    rounds = ["baseline", "FED", "FED", "baseline", "baseline", "FED"]
    assert [done for done, _, _ in said] == [4, 8, *range(9, 21)]
    assert [name for _, _, name in said[2:]] == rounds * 2
    return rows


def test_a_row_holds_all_figures_and_they_fit_together(rows, costed):
    assert all({*MEASURED, *SETTINGS} <= row.keys() for row in rows.values())
    fed, baseline = rows["FED"], rows["baseline"]
    model = build_model(costed("MODEL.HEADS.NUM_CLASSES", 6).cfg)
    parameters = {name: p.numel() for name, p in model.named_parameters()}
    idle = [n for name, n in parameters.items() if "classifier" in name or ".fdm." in name]
    assert fed["parameters_training"] == sum(parameters.values())
    assert fed["parameters_test"] == sum(parameters.values()) - sum(idle) and sum(idle) > 0
    assert baseline["parameters_training"] - baseline["parameters_test"] == 6 * 32
    assert fed["descriptor_bytes"] == 4 * baseline["descriptor_bytes"] == 4 * 4 * 32
    assert fed["macs_training"] > 1.9 * baseline["macs_training"]
    for row in rows.values():
        weights = 4 * row["parameters_training"]
        assert row["peak_training_bytes"] > 3 * weights  # gradients, optimizer, activations
        images = row["test_batch"] * 3 * 64 * 32 * 4
        assert row["peak_training_bytes"] > row["peak_test_bytes"] > 2 * images
        for name in ("training_images_per_second", "test_milliseconds_per_image"):
            assert 0 < row[name]["min"] <= row[name]["median"] <= row[name]["max"]


def test_the_baseline_s_ratios_are_one_whoever_measured_it(rows):
    for name in ("baseline", "erasing"):
        for ratio in ("training_ratio", "test_ratio"):
            assert rows[name][ratio] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert rows["FED"]["training_ratio"]["median"] > 1.0


def test_methods_that_differ_only_in_their_images_are_measured_once_and_say_so(rows):
    assert rows["erasing"] == {**rows["baseline"], "shares": "baseline"}
    assert "shares" not in rows["baseline"] and "shares" not in rows["FED"]


def test_what_is_measured_tells_methods_apart(costed):
    plain = costed(leaf="baseline")
    others = [
        costed(),
        costed("MODEL.FED.VIT.NUM_LAYERS", 2, leaf="baseline"),
        costed("SOLVER.OPT", "SGD", leaf="baseline"),
        costed("TEST.FLIP.ENABLED", True, leaf="baseline"),
        costed(leaf="baseline", identities=7),
        costed(leaf="baseline", training_batch=12),
    ]
    assert len({one.cost_key for one in (plain, *others)}) == 7
    same = ("INPUT.CJ.ENABLED", False, "DATASETS.NAMES", ("Other",), "OUTPUT_DIR", "elsewhere")
    assert costed(*same, leaf="baseline").cost_key == plain.cost_key


def test_a_method_that_cannot_run_is_named_before_any_is_measured(costed):
    methods, measured = {"good": costed(leaf="baseline"), "FED": costed(identities=3)}, []
    with pytest.raises(ValueError, match=r"FED: MODEL.FED.FDM.NUM_NEIGHBORS=3: .* the 3 training"):
        measure_costs(methods, "good", 1, lambda *words: measured.append(words))
    assert measured == []


def test_a_step_that_fails_names_its_method(costed):
    queue = ("MODEL.META_ARCHITECTURE", "MoCo", "MODEL.QUEUE_SIZE")
    too_narrow = costed(*queue, 8, "MODEL.HEADS.EMBEDDING_DIM", 16, leaf="baseline")
    with pytest.raises(ValueError, match=r"my MoCo: .*\(16\) must match .* size \(32\)"):
        measure_costs({"my MoCo": too_narrow}, "my MoCo", 1)
    with pytest.raises(AssertionError, match=r"^$"):  # the host's bare one: no mistake of a user
        measure_costs({"my MoCo": costed(*queue, 4, leaf="baseline")}, "my MoCo", 1)
