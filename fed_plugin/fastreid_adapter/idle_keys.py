"""Keys of this plugin that were set and that nothing of a training will read: said, not refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from fastreid.config import get_cfg

from fed_plugin.fastreid_adapter.npo_checks import NAME as NPO

logger = logging.getLogger("fastreid.fed_plugin.config")


def warn_of_idle_keys(cfg: Any) -> None:
    """Warn where a precision or an occlusion was asked for that will not happen."""
    default = get_cfg()
    method, precision = cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.FED.PRECISION
    if method != "FED" and precision != default.MODEL.FED.PRECISION:
        logger.warning(
            "MODEL.FED.PRECISION=%s changes nothing: META_ARCHITECTURE %s does not read it; try "
            "SOLVER.AMP.ENABLED True on a GPU",
            precision,
            method,
        )
    changed = sorted(_changed(cfg.INPUT.NPO, default.INPUT.NPO, "INPUT.NPO"))
    if changed and NPO not in cfg.INPUT.EXTRA_TRANSFORMS:
        logger.warning(
            "%s: no image is occluded, as INPUT.EXTRA_TRANSFORMS leaves %s out; try "
            "INPUT.EXTRA_TRANSFORMS \"('%s',)\"",
            ", ".join(changed),
            NPO,
            NPO,
        )


def _changed(given: Any, default: Any, name: str) -> Iterator[str]:
    for key, value in given.items():
        if isinstance(value, dict):
            yield from _changed(value, default[key], f"{name}.{key}")
        elif value != default[key]:
            yield f"{name}.{key}={value}"
