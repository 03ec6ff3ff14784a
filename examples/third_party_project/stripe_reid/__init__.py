"""Example project: names and keys that fast-reid knows after this package is installed.

pyproject.toml names the entry point ``Stripes = "stripe_reid"``; therefore ``projects_registry``
imports this module and calls `register`, in every process that imports ``fastreid``.
"""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Declare keys, and import the modules that register; called once, after fast-reid."""
    from fastreid.config import defaults

    add_keys(defaults._C)
    from stripe_reid import fog, head, visibility  # noqa: F401 - decorators register


def add_keys(cfg: Any) -> None:
    """Add this project's keys to a fast-reid config, in place."""
    node = type(cfg)
    # Horizontal stripes of StripeHead; 1 or more.
    cfg.MODEL.STRIPES = node({"NUM_STRIPES": 4})
    # Share of training images with fog, and greatest share of white in a pixel; both in [0, 1].
    cfg.INPUT.FOG = node({"PROB": 0.5, "DENSITY": 0.6})
