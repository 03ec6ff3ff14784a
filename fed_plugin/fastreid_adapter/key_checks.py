"""What each key of ``config.py`` takes, whatever the other keys say.

yacs checks little: it lets null into every key, NaN into every number and any length into a tuple.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastreid.config import CfgNode

from fed_plugin.fastreid_adapter.config import declare
from fed_plugin.fastreid_adapter.key_kinds import (
    Kind,
    number,
    one_of,
    pair,
    share,
    switch,
    text,
    whole,
    words,
)
from fed_plugin.fastreid_adapter.protocol import PROTOCOLS
from fed_plugin.modeling.fdm import HEAD_LAYOUTS, SCALES
from fed_plugin.modeling.head import ERASURES, GLOBAL_TOKENS
from fed_plugin.modeling.visibility import VISIBILITY_RULES
from fed_plugin.transforms.placement_rule import PLACEMENTS

CHOICES = {
    "PRECISION": ("fp32", "bf16"),
    "GLOBAL_TOKEN": GLOBAL_TOKENS,
    "OEM.TARGET": VISIBILITY_RULES,
    "OEM.ERASURE": ERASURES,
    "FDM.SCALE": SCALES,
    "FDM.HEAD_LAYOUT": HEAD_LAYOUTS,
    "MEMORY.INIT": ("centroids", "zeros"),
    "VIT.OUTPUT": ("tokens", "cls"),
}
"""Words that keys of ``MODEL.FED`` take."""

_MOST_SEED = 4_000_000_000  # NumPy takes 32 bits, and ranks are added
_MOST_FEATHER = 1000
_LEAST_CHANNELS = 8
_numbers = pair(number(float("-inf"), float("inf"), ""), "(low, high), two numbers")
_path = text("a path", lambda value: "\0" not in value)
_name = text("a registered name", bool)
_size = whole(0, expected="a whole number, 0 for that of MODEL.BACKBONE.DEPTH")


def _is_folder_name(value: str) -> bool:
    return (
        bool(value.strip())
        and value.isprintable()
        and os.path.basename(value) == value
        and value not in (os.curdir, os.pardir)
    )


KINDS: dict[str, Kind] = {
    "SOLVER.CHECKPOINT_ITERS": whole(0),
    "SOLVER.FUSED": switch(),
    "SEED": whole(
        float("-inf"), _MOST_SEED, f"a whole number up to {_MOST_SEED}, negative for unseeded"
    ),
    "INPUT.EXTRA_TRANSFORMS": words("a tuple of registered names"),
    "TEST.SIDE_INFORMATION": text("words in one line", lambda value: value.isprintable()),
    "DATASETS.P_DUKEMTMC.PROTOCOL": one_of(*PROTOCOLS),
    "DATASETS.FOLDER_REID.NAME": text(
        "a name without folders (DATASETS.FOLDER_REID.ROOT takes those)", _is_folder_name
    ),
    "DATASETS.FOLDER_REID.ROOT": _path,
    "DATASETS.FOLDER_REID.TEST_SHARE": number(
        0, 1, "a share of the identities, above 0 and below 1", open_ends=True
    ),
    "DATASETS.FOLDER_REID.QUERIES": whole(1, expected="a number of images, 1 or more"),
    "DATASETS.FOLDER_REID.SPLIT_SEED": whole(0, expected="a whole number, 0 or more"),
    # Ranges of pairs are those of PlacementRule.
    "INPUT.NPO.OCCLUDERS": _path,
    "INPUT.NPO.VIEWS": whole(1, 2, "1 or 2"),
    "INPUT.NPO.PROB": share(),
    "INPUT.NPO.PLACEMENT": one_of(*PLACEMENTS),
    "INPUT.NPO.HEIGHT": _numbers,
    "INPUT.NPO.WIDTH": _numbers,
    "INPUT.NPO.COUNT": _numbers,
    "INPUT.NPO.ALPHA": switch(),
    "INPUT.NPO.FEATHER": whole(
        0, _MOST_FEATHER, f"0 or more pixels, a whole number up to {_MOST_FEATHER}"
    ),
    "INPUT.NPO.PEOPLE.PROB": share(),
    "INPUT.NPO.PEOPLE.SCALE": _numbers,
    "INPUT.NPO.PEOPLE.HEIGHT": _numbers,
    "INPUT.NPO.PEOPLE.WIDTH": _numbers,
    **{f"MODEL.FED.{key}": one_of(*values) for key, values in CHOICES.items()},
    "MODEL.FED.NUM_PARTS": whole(1),
    "MODEL.FED.NORMALIZE_OUTPUT": switch(),
    **{f"MODEL.FED.VIT.{key}": _size for key in ("NUM_LAYERS", "NUM_HEADS", "PATCH_SIZE")},
    # Fewer, and LayerNorms leave nothing of a token, or of the quarter that the OEM scores.
    "MODEL.FED.VIT.EMBED_DIM": Kind(
        f"{_LEAST_CHANNELS} or more, 0 for that of MODEL.BACKBONE.DEPTH",
        lambda value: whole(0).accepts(value) and value not in range(1, _LEAST_CHANNELS),
    ),
    "MODEL.FED.VIT.PRETRAIN_GRID": Kind(
        "(rows, columns), whole numbers of 1 or more, or (0, 0) to infer them",
        lambda value: pair(whole(1), "").accepts(value) or pair(whole(0, 0), "").accepts(value),
    ),
    "MODEL.FED.VIT.RECOMPUTE": switch(),
    "MODEL.FED.OEM.ENABLED": switch(),
    "MODEL.FED.OEM.NAME": _name,
    # Above, a loss in float32 and its gradients can overflow.
    "MODEL.FED.OEM.LOSS_WEIGHT": number(0, 1000, "a number of 0 or more, up to 1000"),
    "MODEL.FED.FDM.ENABLED": switch(),
    "MODEL.FED.FDM.NAME": _name,
    "MODEL.FED.FDM.NUM_NEIGHBORS": whole(1),
    "MODEL.FED.FDM.NUM_HEADS": whole(1),
    "MODEL.FED.FDM.SHARE_BN": switch(),
    "MODEL.FED.MEMORY.SHARED": switch(),
    "MODEL.FED.MEMORY.MOMENTUM": share(),
    # Below, a cosine over the temperature can overflow float32.
    "MODEL.FED.CONTRAST.TEMPERATURE": number(0.001, 1000, "a number above 0, from 0.001 to 1000"),
}
"""Kind of every key that ``declare`` declares."""


def check_keys(cfg: Any, under: str = "") -> None:
    """Refuse a value that its key does not take; keys that the config lacks are passed over.

    Args:
        cfg: a host config.
        under: checks only the keys that begin with this, such as ``"INPUT.NPO."``.

    Raises:
        ValueError: one sentence with the key, its value, what was expected and what to try.
    """
    for key in KINDS:
        if key.startswith(under):
            _check_path(cfg, key)


def check_value(key: str, value: Any) -> None:
    """Refuse a value that a key does not take.

    Raises:
        ValueError: as :func:`check_keys`.
    """
    kind = KINDS[key]
    if not kind.accepts(value):
        default = value_of(declare(CfgNode), key)
        raise ValueError(f"{key}={value!r}: expected {kind.expected}; try {default!r}")


def value_of(node: Any, key: str) -> Any:
    """Return the value of a dotted key."""
    for name in key.split("."):
        node = node[name]
    return node


def _check_path(cfg: Any, key: str) -> None:
    node, passed = cfg, []
    for name in key.split("."):
        if not isinstance(node, Mapping):
            raise ValueError(f"{'.'.join(passed)}={node!r}: expected keys, such as {key}")
        if name not in node:
            return
        node = node[name]
        passed.append(name)
    check_value(key, node)
