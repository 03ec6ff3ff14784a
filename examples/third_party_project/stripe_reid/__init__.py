"""A project of its own: names and keys that fast-reid knows as soon as this package is installed.

The entry point ``Stripes = "stripe_reid"`` in pyproject.toml has ``projects_registry`` import this
module and call `register`, in every process that imports ``fastreid``.
"""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Declare the keys and import what registers itself; called once, behind fast-reid's import."""
    from fastreid.config import defaults

    add_keys(defaults._C)
    from stripe_reid import fog, head, visibility  # noqa: F401 - decorators register


def add_keys(cfg: Any) -> None:
    """Add this project's keys to a fast-reid config, in place."""
    node = type(cfg)
    # Horizontal stripes of StripeHead; 1 or more.
    cfg.MODEL.STRIPES = node({"NUM_STRIPES": 4})
    # Share of training images that get fog, in [0, 1], and how much of a pixel it hides at most.
    cfg.INPUT.FOG = node({"PROB": 0.5, "DENSITY": 0.6})
