"""Every config key the plugin adds, declared once; ``key_checks.py`` says what each takes.

The comment right above a key is its description in docs/configuration.md, which
``benchmarks/configuration_page.py`` writes.

A value says the default; ``Base-FED.yml`` and its leaves say what a method uses. Letters are those
of the maths: ``P`` parts, ``C`` channels of a token, ``K`` neighbours, ``M`` identities.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from fastreid.config import CfgNode

from fed_plugin.modeling.fdm import HEAD_LAYOUTS, SCALES
from fed_plugin.modeling.head import ERASURES, GLOBAL_TOKENS
from fed_plugin.modeling.oem import VISIBILITY_RULES
from fed_plugin.transforms.placement_rule import PLACEMENTS


def add_fed_config(cfg: Any) -> None:
    """Add the plugin's keys to a host config, in place; keys that are there already stay.

    Args:
        cfg: a ``fastreid.config.CfgNode``, usually the host's defaults.
    """
    declared = declare(type(cfg))
    _add_missing(cfg, declared)


def declare(node: Any) -> Any:
    """Return a tree of the plugin's keys at their defaults, made of ``node`` (a CfgNode class)."""
    cfg = node()
    cfg.MODEL, cfg.INPUT, cfg.SOLVER, cfg.TEST = node(), node(), node(), node()
    cfg.DATASETS = _datasets(node)

    # Seed of every random stream, rank added; negative leaves a run unseeded, as the host does.
    cfg.SEED = -1

    # Iterations between checkpoints within an epoch, of which the last two are kept; one is written
    # before every evaluation, too. 0: epochs alone, as the host does.
    cfg.SOLVER.CHECKPOINT_ITERS = 0

    # Whether the optimizer updates weights in one pass, where PyTorch can: the same numbers up to
    # rounding, sooner and without a copy of all gradients.
    cfg.SOLVER.FUSED = False

    # Registered names (TRANSFORM_REGISTRY) appended to the stock training pipeline, in order.
    cfg.INPUT.EXTRA_TRANSFORMS = ()
    cfg.INPUT.NPO = _npo(node)

    # What a protocol card says a model is told at test time beyond the pixels, such as "camera ids"
    # or "pose estimator"; "auto": "none" for models of fast-reid and this plugin, else not known.
    cfg.TEST.SIDE_INFORMATION = "auto"
    cfg.MODEL.FED = _fed(node)
    return cfg


def _datasets(node: Any) -> Any:
    datasets = node()
    datasets.P_DUKEMTMC = node()
    # "supervised" (trained on its own training images), "transfer" (on another set, as in most
    # papers on Market-1501), or "auto": what DATASETS.NAMES says. Their numbers do not compare.
    datasets.P_DUKEMTMC.PROTOCOL = "auto"

    own = datasets.FOLDER_REID = node()
    # What FolderReID is called in logs and training identities.
    own.NAME = "FolderReID"
    # Folder of images, or a .csv file of path,pid,camid,split; empty: FASTREID_DATASETS/NAME.
    own.ROOT = ""
    # Share of identities that are tested on, in (0, 1), where the data tell no split.
    own.TEST_SHARE = 0.5
    # Queries of a test identity, in each camera where there are cameras; 1 or more.
    own.QUERIES = 1
    # Chooses another split, 0 or more.
    own.SPLIT_SEED = 0
    return datasets


def _npo(node: Any) -> Any:
    npo = node()
    # Folder of occluder crops (*.jpg, *.png); empty takes the built-in set that is drawn.
    npo.OCCLUDERS = ""
    # Views of a training image: 2, whole and occluded, as FED learns from; or 1, occluded with
    # PROB, an augmentation like random erasing for any other method.
    npo.VIEWS = 2
    # Share of training images that get an occluder (on the second view), in [0, 1]; reference: all.
    npo.PROB = 1.0
    # "reference" (in a corner, one side covered, sizes fixed) or "free" (anywhere inside).
    npo.PLACEMENT = "reference"
    # (low, high) share of the image's height that an obstacle covers, in (0, 1]; for "free" only.
    # Reference: one side whole, the other (0.25, 0.5).
    npo.HEIGHT = (0.25, 0.5)
    # (low, high) share of the image's width, as HEIGHT.
    npo.WIDTH = (0.5, 1.0)
    # (low, high), occluders of an image that gets any, 1 to 50. Reference: one.
    npo.COUNT = (1, 1)
    # Whether the transparency of OCCLUDERS' files is kept; the reference pastes opaque crops.
    npo.ALPHA = False
    # Rim in pixels of the training image over which an occluder fades, up to 1000. Reference: 0.
    npo.FEATHER = 0

    npo.PEOPLE = node()
    # Share of occluders that are other people of the training set, in [0, 1]. Reference: none.
    npo.PEOPLE.PROB = 0.0
    # (low, high) size of the other person's image over that of the image, in (0, 4].
    npo.PEOPLE.SCALE = (0.75, 1.25)
    # (low, high) share of that image's height that shows, in (0, 1], from the head down; the edge
    # of the training image cuts off the rest.
    npo.PEOPLE.HEIGHT = (0.4, 0.8)
    # (low, high) share of that image's width that shows, in (0, 1], from one side.
    npo.PEOPLE.WIDTH = (0.4, 0.8)
    return npo


def _fed(node: Any) -> Any:
    fed = node()
    # "fp32", or "bf16" to autocast tokens and head; similarities, losses and memory stay fp32.
    fed.PRECISION = "fp32"
    # P, horizontal stripes; divides the rows of the token grid. Reference: 4.
    fed.NUM_PARTS = 4
    # Token of the global classifier: "first_patch" (reference, an off-by-one) or "cls".
    fed.GLOBAL_TOKEN = "first_patch"
    # Whether evaluation returns descriptors of unit length.
    fed.NORMALIZE_OUTPUT = True

    fed.VIT = node()
    # Depth; 0 here and below takes the preset that MODEL.BACKBONE.DEPTH names.
    fed.VIT.NUM_LAYERS = 0
    # C, width of a token.
    fed.VIT.EMBED_DIM = 0
    # Attention heads, dividing C.
    fed.VIT.NUM_HEADS = 0
    # Side of a patch in pixels.
    fed.VIT.PATCH_SIZE = 0
    # "tokens" for FED, "cls" for the stock Baseline with an EmbeddingHead.
    fed.VIT.OUTPUT = "tokens"
    # (rows, columns) of the pretrained position embedding; (0, 0) infers a square or similar grid.
    fed.VIT.PRETRAIN_GRID = (0, 0)
    # Whether the backward pass computes activations again (gradient checkpointing) instead of
    # keeping those of all layers: the same numbers, less memory, a third more time.
    fed.VIT.RECOMPUTE = False

    fed.OEM = node()
    # Whether parts are erased; without, every part counts as visible (an ablation).
    fed.OEM.ENABLED = True
    # Registered name (REID_HEADS_REGISTRY) of the module that estimates visibility.
    fed.OEM.NAME = "OcclusionErasingModule"
    # Visibility target: "reference" (hidden or not) or "coverage" (1 - share of changed pixels).
    fed.OEM.TARGET = "reference"
    # Whether parts are scaled by their visibility "before_norm" (BatchNorm; reference: what is
    # erased leaves a constant) or "after_norm" (it leaves nothing).
    fed.OEM.ERASURE = "before_norm"
    # Weight of the two visibility losses, in [0, 1000]. Reference: 1.
    fed.OEM.LOSS_WEIGHT = 1.0

    fed.FDM = node()
    # Whether neighbours are diffused in training; without, nothing of FDM exists (an ablation).
    fed.FDM.ENABLED = True
    # Registered name (REID_HEADS_REGISTRY) of the module that diffuses neighbours.
    fed.FDM.NAME = "FeatureDiffusionModule"
    # K, fewer than M. Reference: 8.
    fed.FDM.NUM_NEIGHBORS = 8
    # Attention heads, dividing P * C. Reference: 8.
    fed.FDM.NUM_HEADS = 8
    # Attention scale from a part's width ("part", reference) or from a whole head's ("head").
    fed.FDM.SCALE = "part"
    # How heads are joined: "reference" (mixes samples of a rank's batch) or "per_sample".
    fed.FDM.HEAD_LAYOUT = "reference"
    # Whether diffused features pass the BatchNorm of the erased ones (reference).
    fed.FDM.SHARE_BN = True

    fed.MEMORY = node()
    # Whether the erased and the diffused memory are one tensor (reference).
    fed.MEMORY.SHARED = True
    # Share of the OLD slot that an update keeps, in [0, 1]. Reference: 0.2.
    fed.MEMORY.MOMENTUM = 0.2
    # First content: "centroids" (a pass over the training set, reference) or "zeros".
    fed.MEMORY.INIT = "centroids"

    fed.CONTRAST = node()
    # Divisor of the cosine in the contrast losses, in [0.001, 1000]. Reference: 0.05.
    fed.CONTRAST.TEMPERATURE = 0.05
    return fed


def prune_defaults(cfg: Any) -> Any:
    """Return ``cfg`` without the plugin's keys if all of them are at their defaults.

    So a stock config dumps what it dumped before the plugin was installed, and the file loads
    where the plugin is not. A config that changes one key keeps them all.
    """
    declared = declare(type(cfg))
    if not _holds(cfg, declared):
        return cfg
    pruned = cfg.clone()
    pruned.defrost()
    _remove(pruned, declared)
    return pruned


def _add_missing(cfg: Any, declared: Any) -> None:
    for key, value in declared.items():
        if key not in cfg:
            cfg[key] = value
        elif isinstance(value, type(declared)):
            _add_missing(cfg[key], value)


def _holds(cfg: Any, declared: Any) -> bool:
    return all(
        key in cfg
        and (_holds(cfg[key], value) if isinstance(value, type(declared)) else cfg[key] == value)
        for key, value in declared.items()
    )


def _remove(cfg: Any, declared: Any) -> None:
    for key, value in declared.items():
        if isinstance(value, type(declared)):
            _remove(cfg[key], value)
        if not isinstance(value, type(declared)) or not cfg[key]:
            del cfg[key]


# Kinds of values that a config key takes: what is accepted, and how that is said.


@dataclass(frozen=True)
class Kind:
    """What a key takes, whatever the other keys say.

    Attributes:
        expected: ends the sentence "expected ...".
        accepts: tells whether a value is that; never raises.
    """

    expected: str
    accepts: Callable[[Any], bool]


def one_of(*values: str) -> Kind:
    """Take one of some words."""
    return Kind(
        f"one of {', '.join(map(repr, values))}",
        lambda value: isinstance(value, str) and value in values,
    )


def switch() -> Kind:
    """Take True or False; 1 and 0 are numbers."""
    return Kind("True or False", lambda value: isinstance(value, bool))


def whole(low: float, high: float = float("inf"), expected: str = "") -> Kind:
    """Take whole numbers from ``low`` to ``high``, no booleans."""
    return Kind(
        expected or (f"{low} or more" if high == float("inf") else f"{low} to {high}"),
        lambda value: _is(value, Integral) and low <= value <= high,
    )


def number(low: float, high: float, expected: str, *, open_ends: bool = False) -> Kind:
    """Take finite numbers from ``low`` to ``high``, whole ones too but no booleans.

    Args:
        low: least that is taken.
        high: most that is taken.
        expected: how it is said.
        open_ends: whether ``low`` and ``high`` themselves are not taken.
    """
    return Kind(
        expected,
        lambda value: (
            _is(value, Real)
            and low <= value <= high  # which NaN is not
            and not (open_ends and value in (low, high))
        ),
    )


def share() -> Kind:
    """Take numbers in [0, 1]."""
    return number(0, 1, "a share in [0, 1]")


def several(count: int, element: Kind, expected: str) -> Kind:
    """Take ``count`` values of a kind, as a tuple or a list."""
    return Kind(
        expected,
        lambda value: (
            is_sequence(value) and len(value) == count and all(map(element.accepts, value))
        ),
    )


def pair(element: Kind, expected: str) -> Kind:
    """Take two values of a kind, as a tuple or a list."""
    return several(2, element, expected)


def text(expected: str, accepts: Callable[[str], bool] = lambda value: True) -> Kind:
    """Take words that ``accepts`` takes."""
    return Kind(expected, lambda value: isinstance(value, str) and accepts(value))


def words(expected: str) -> Kind:
    """Take any number of words that are not empty, as a tuple or a list."""
    return Kind(
        expected,
        lambda value: is_sequence(value) and all(isinstance(one, str) and one for one in value),
    )


def is_sequence(value: Any) -> bool:
    """Tell whether a value is a tuple or a list, as yacs has them."""
    return isinstance(value, (tuple, list))


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


# Which of P-DukeMTMC-reID's two protocols a config follows.
#
# Papers test on it either after training on its own training images (supervised) or after training
# on another set, usually Market-1501 (transfer). Numbers of the two do not compare.

NAME = "P_DukeMTMC"
KEY = "DATASETS.P_DUKEMTMC.PROTOCOL"
PROTOCOLS = ("auto", "supervised", "transfer")


def check_p_dukemtmc(cfg: Any, tested: bool = False) -> None:
    """Refuse a config that says one protocol and follows the other.

    Args:
        cfg: a host config.
        tested: whether the set is tested on, also where DATASETS.TESTS does not name it.

    Raises:
        ValueError: The key is unknown; it is "supervised" and the tested set is not trained on; or
            it is "transfer" and the set is trained on.
    """
    protocol = cfg.DATASETS.get("P_DUKEMTMC", {}).get("PROTOCOL", "auto")
    names, tests = tuple(cfg.DATASETS.NAMES), tuple(cfg.DATASETS.TESTS)
    if protocol not in PROTOCOLS:
        raise ValueError(f"{KEY}={protocol!r}: expected one of {', '.join(map(repr, PROTOCOLS))}")
    if protocol == "supervised" and (tested or NAME in tests) and NAME not in names:
        raise ValueError(
            f"{KEY}='supervised': expected {NAME} in DATASETS.NAMES, as it is tested, got {names}; "
            f"try adding it there, or {KEY} 'transfer'"
        )
    if protocol == "transfer" and NAME in names:
        raise ValueError(
            f"{KEY}='transfer': expected DATASETS.NAMES without {NAME}, got {names}; try training "
            f"on another set, such as Market1501, or {KEY} 'supervised'"
        )


def p_dukemtmc_protocol(cfg: Any) -> str:
    """Say in a sentence which protocol a config follows."""
    names = tuple(cfg.DATASETS.NAMES)
    name, other = ("supervised", "transfer") if NAME in names else ("transfer", "supervised")
    return (
        f"{name} protocol, trained on {', '.join(names)}; its numbers do not compare with those of "
        f"the {other} one"
    )


# What each key of ``config.py`` takes, whatever the other keys say.
#
# yacs checks little: it lets null into every key, NaN into every number and any length into a
# tuple.

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
