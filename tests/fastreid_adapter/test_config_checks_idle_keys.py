"""A key that a config sets and that nothing will read gets one warning."""

from __future__ import annotations

import logging

import pytest

from fed_plugin.fastreid_adapter.config_checks import warn_of_idle_keys

BASELINE = "synthocc_vit_tiny_baseline"
NPO = ("INPUT.EXTRA_TRANSFORMS", ("NPOAugmentation",))


@pytest.fixture
def warned(caplog):
    """Return a function that says what a config is warned of."""
    logger = logging.getLogger("fastreid.fed_plugin.config")

    def run(cfg):
        logger.addHandler(caplog.handler)
        try:
            warn_of_idle_keys(cfg)
        finally:
            logger.removeHandler(caplog.handler)
        return caplog.text

    return run


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        (("MODEL.FED.PRECISION", "bf16"), "MODEL.FED.PRECISION=bf16 changes nothing"),
        (
            ("INPUT.NPO.VIEWS", 1, "INPUT.NPO.PEOPLE.PROB", 0.5),
            "INPUT.NPO.PEOPLE.PROB=0.5, INPUT.NPO.VIEWS=1: no image is occluded",
        ),
    ],
)
def test_a_baseline_says_which_keys_change_nothing(tiny_cfg, warned, overrides, warning):
    assert warning in warned(tiny_cfg(*overrides, leaf=BASELINE))


@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", BASELINE])
def test_the_configs_as_they_are_are_silent(tiny_cfg, warned, leaf):
    assert not warned(tiny_cfg(leaf=leaf))


def test_keys_that_are_read_are_silent(tiny_cfg, warned):
    assert not warned(tiny_cfg("MODEL.FED.PRECISION", "bf16", "INPUT.NPO.PROB", 0.5))
    assert not warned(tiny_cfg(*NPO, "INPUT.NPO.VIEWS", 1, leaf=BASELINE))
