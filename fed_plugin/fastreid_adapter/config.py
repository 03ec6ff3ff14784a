"""One table of all config keys that the plugin adds or checks, and what each of them takes.

The table drives the defaults of the host's config, the checks of ``config_checks.py``,
``docs/configuration.md`` and the JSON Schema for editors. A default keeps a stock config as it was;
``Base-FED.yml`` and its leaves hold the values that a method uses. Nothing here needs PyTorch: the
keys are known where it is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

# What a key takes: a JSON Schema, which one function reads, and the words of an error message.


@dataclass(frozen=True)
class Kind:
    """Values that a key takes, whatever the other keys hold, and the end of "expected ...".

    :func:`fits` reads the words of the JSON Schema; ``also`` is a condition that no schema can
    hold.
    """

    expected: str
    schema: Mapping[str, Any]
    also: Callable[[Any], bool] = lambda value: True

    def accepts(self, value: Any) -> bool:
        """Return whether the key takes ``value``; never raise."""
        return fits(self.schema, value) and self.also(value)


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value fits a schema; tuples count as arrays and booleans not as numbers."""
    if "anyOf" in schema:
        return any(fits(one, value) for one in schema["anyOf"])
    if "enum" in schema:
        return isinstance(value, str) and value in schema["enum"]
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema["type"]:
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return (
                isinstance(value, str) and re.search(schema.get("pattern", ""), value) is not None
            )
        case "array":
            return (
                isinstance(value, (tuple, list))
                and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
                and all(fits(schema["items"], item) for item in value)
            )
        case kind:
            return (
                isinstance(value, Integral if kind == "integer" else Real)
                and not isinstance(value, bool)
                and value - value == 0  # neither NaN nor infinite
                and (low is None or low <= value)
                and (high is None or value <= high)
                and value != schema.get("exclusiveMinimum")
                and value != schema.get("exclusiveMaximum")
            )


def _limits(low: float | None, high: float | None) -> dict[str, float]:
    return {k: v for k, v in (("minimum", low), ("maximum", high)) if v is not None}


def one_of(*values: str) -> Kind:
    """Take one of some words."""
    words = ", ".join(map(repr, values))
    return Kind(f"one of {words}" if len(values) > 1 else words, {"enum": list(values)})


def whole(low: int | None = None, high: int | None = None, expected: str = "") -> Kind:
    """Take whole numbers from ``low`` to ``high``."""
    words = f"{low} or more" if high is None else f"{low} to {high}"
    return Kind(expected or words, {"type": "integer", **_limits(low, high)})


def number(low: float | None, high: float | None, expected: str, **limits: float) -> Kind:
    """Take finite numbers from ``low`` to ``high``, whole numbers too."""
    return Kind(expected, {"type": "number", **_limits(low, high), **limits})


def several(element: Kind, least: int, most: int | None, expected: str) -> Kind:
    """Take a tuple or a list of ``least`` to ``most`` values of one kind."""
    counts = {"minItems": least} if most is None else {"minItems": least, "maxItems": most}
    return Kind(expected, {"type": "array", "items": dict(element.schema), **counts})


def text(
    expected: str, pattern: str = "", also: Callable[[str], bool] = lambda value: True
) -> Kind:
    """Take words that hold ``pattern``, a regular expression."""
    return Kind(expected, {"type": "string", **({"pattern": pattern} if pattern else {})}, also)


def either(expected: str, *kinds: Kind) -> Kind:
    """Take what one of some kinds takes."""
    return Kind(expected, {"anyOf": [dict(kind.schema) for kind in kinds]})


def _is_folder_name(value: str) -> bool:
    return value.isprintable() and os.path.basename(value) == value and value not in (".", "..")


SWITCH = Kind("True or False", {"type": "boolean"})
SHARE = number(0, 1, "a share in [0, 1]")
COUNT, NONE_OR_MORE = whole(1), whole(0)
NUMBER = number(None, None, "a number")
PAIR = several(NUMBER, 2, 2, "(low, high), two numbers")
PATH = text("a path", "^[^\0]*$")
NAME = text("a registered name", ".")
NAMES = several(NAME, 0, None, "a tuple of registered names")
DATASETS = several(NAME, 1, None, "names of data sets, one or more")
PRESET = whole(0, None, "a whole number, 0 for the number of MODEL.BACKBONE.DEPTH")
# The host resizes where the first number is above 0; one number is the shorter side.
SIZE = replace(
    several(whole(), 1, 2, "[height, width] or [side] in whole pixels above 0; [0]: no resizing"),
    also=lambda size: size[0] <= 0 or min(size) > 0,
)
CROP_SIZE = several(COUNT, 1, 2, "[height, width] or [side], whole numbers of pixels above 0")
SIDES = several(COUNT, 2, 2, "[height, width] in pixels, 1 or more")
# A rate of 1 would drop everything and divide by the 0 that is kept.
RATE = number(0, 0.999, "a share in [0, 1), up to 0.999")


def _is_optimizer(name: str) -> bool:
    from fastreid.solver import optim

    known = isinstance(getattr(optim, name, None), type)
    return name[:1].isalpha() and name != "Optimizer" and known


OPTIMIZER = text(  # the names depend on the version of PyTorch, the page and the schema must not
    "an optimizer of fast-reid or PyTorch, such as Adam or SGD", also=_is_optimizer
)

PIXEL_WORDS = ("auto", "reid")

HOST = object()
"""Default of a row whose key another row, or the host, declares."""
TRAINING, FED, OWN_BACKBONE = "a training", "META_ARCHITECTURE FED", "build_fed_vit_backbone"
WITH_VISIBILITY = "BaselineWithVisibility"
TIMM = "timm:"
"""Prefix of a name of timm in ``MODEL.BACKBONE.NAME``."""
CROPPED = "INPUT.CROP.ENABLED True"


@dataclass(frozen=True)
class Key:
    """One row of the table of keys: path with dots, default (or ``HOST``), values and meaning.

    ``only_for`` names the reader without which the row is not checked; empty for every run.
    """

    path: str
    default: Any
    takes: Kind
    words: str
    only_for: str = ""


# fmt: off
KEYS = (
    Key("INPUT.EXTRA_TRANSFORMS", (), NAMES,
        "Registered names (TRANSFORM_REGISTRY) that follow the stock training pipeline, in order."),
    Key("SOLVER.CHECKPOINT_ITERS", 0, NONE_OR_MORE,
        "Iterations between checkpoints within an epoch; the last two are kept. Another checkpoint "
        "is written before every evaluation. With 0 only epochs have checkpoints, as in the host."),
    Key("SOLVER.FUSED", False, SWITCH,
        "Whether the optimizer updates the weights in one pass, where PyTorch can. The numbers are "
        "the same up to rounding; the update is faster and makes no copy of all gradients."),
    Key("SOLVER.LAYER_DECAY", 1.0,
        number(0, 1, "a factor above 0, up to 1", exclusiveMinimum=0),
        "Factor of the learning rate from a layer of the backbone to the layer before; 1 for none. "
        "MAE and BEiT fine-tune with 0.4 to 0.75."),
    Key("SOLVER.BACKBONE_LR_FACTOR", 1.0, number(0, 1000, "a factor of 0 or more, up to 1000"),
        "Factor of the backbone's learning rate. The host has HEADS_LR_FACTOR for the heads."),
    Key("SOLVER.WARMUP_EPOCHS", 0, NONE_OR_MORE,
        "Epochs of warm-up, in place of WARMUP_ITERS; 0 leaves those."),
    Key("SOLVER.FREEZE_BACKBONE_EPOCHS", 0, NONE_OR_MORE,
        "Epochs at the start in which the backbone does not learn, in place of MODEL.FREEZE_LAYERS "
        "and FREEZE_ITERS."),
    Key("SOLVER.CLIP_NORM", 0.0, number(0, None, "a norm of 0 or more"),
        "Largest norm of all gradients together; 0 does not clip. The host's CLIP_GRADIENTS clips "
        "each parameter group by itself."),
    Key("SOLVER.ACCUMULATE", 1, COUNT,
        "Batches whose gradients are averaged before a step of the optimizer."),
    Key("SOLVER.EMA", 0.0, number(0, 0.999999, "a decay in [0, 1), such as 0.999"),
        "Decay of an exponential average of the weights, which is evaluated and saved in place of "
        "the trained weights; 0 for none."),
    Key("TEST.SIDE_INFORMATION", "auto", text("words in one line", also=str.isprintable),
        'What a model gets at test time beside the pixels, such as "camera ids" or "pose '
        'estimator", for the protocol card. "auto" is "none" for models of fast-reid and of this '
        "plugin, and unknown for others."),
    Key("SEED", -1, whole(None, 4_000_000_000,  # NumPy takes 32 bits, and the rank is added
        "a whole number up to 4000000000, negative for unseeded"),
        "Seed of every random stream; the rank is added. A negative seed leaves a run unseeded, as "
        "the host does."),

    Key("DATASETS.P_DUKEMTMC.PROTOCOL", "auto", one_of("auto", "supervised", "transfer"),
        '"supervised" trains on the set\'s own training images; "transfer" trains on another set, '
        'as most papers do on Market-1501; "auto" follows DATASETS.NAMES. The numbers of the two '
        "protocols do not compare."),
    Key("DATASETS.FOLDER_REID.NAME", "FolderReID",
        text("a name without folders (DATASETS.FOLDER_REID.ROOT takes those)", r"\S",
             also=_is_folder_name),
        "Name of FolderReID in logs and in training identities."),
    Key("DATASETS.FOLDER_REID.ROOT", "", PATH,
        "Folder of images, or a .csv file of path,pid,camid,split. Empty: FASTREID_DATASETS/NAME."),
    Key("DATASETS.FOLDER_REID.TEST_SHARE", 0.5,
        number(None, None, "a share of the identities, above 0 and below 1",
               minimum=0, maximum=1, exclusiveMinimum=0, exclusiveMaximum=1),
        "Share of the identities for the test, where the data have no split."),
    Key("DATASETS.FOLDER_REID.QUERIES", 1, whole(1, None, "a number of images, 1 or more"),
        "Queries of a test identity, in each camera where there are cameras."),
    Key("DATASETS.FOLDER_REID.SPLIT_SEED", 0, whole(0, None, "a whole number, 0 or more"),
        "Seed of the split; another seed makes another split."),

    # ``PlacementRule`` checks the ranges of the pairs.
    Key("INPUT.NPO.OCCLUDERS", "", PATH,
        "Folder of occluder crops (*.jpg, *.png). Empty: the built-in set, which is drawn."),
    Key("INPUT.NPO.VIEWS", 2, whole(1, 2, "1 or 2"),
        "Views of a training image. FED learns from 2: the whole and the occluded view. 1 occludes "
        "the image itself with PROB: an augmentation like random erasing, for any method."),
    Key("INPUT.NPO.PROB", 1.0, SHARE,
        "Share of training images that get an occluder (on the second view). Reference: all."),
    Key("INPUT.NPO.PLACEMENT", "reference", one_of("reference", "free"),
        '"reference" (in a corner, one side covered, sizes fixed) or "free" (anywhere inside).'),
    Key("INPUT.NPO.HEIGHT", (0.25, 0.5), PAIR,
        '(low, high) share of the image\'s height that an obstacle covers, in (0, 1]; for "free" '
        "only. Reference: one side whole, the other (0.25, 0.5)."),
    Key("INPUT.NPO.WIDTH", (0.5, 1.0), PAIR,
        "(low, high) share of the image's width, as HEIGHT."),
    Key("INPUT.NPO.COUNT", (1, 1), PAIR,
        "(low, high) number of occluders on an occluded image, 1 to 50. Reference: one."),
    Key("INPUT.NPO.ALPHA", False, SWITCH,
        "Whether the transparency of the files in OCCLUDERS is kept. Reference: opaque crops."),
    Key("INPUT.NPO.FEATHER", 0, whole(0, 1000, "0 or more pixels, a whole number up to 1000"),
        "Rim in pixels of the training image over which an occluder fades. Reference: 0."),
    Key("INPUT.NPO.PEOPLE.PROB", 0.0, SHARE,
        "Share of occluders that are other people of the training set. Reference: none."),
    Key("INPUT.NPO.PEOPLE.SCALE", (0.75, 1.25), PAIR,
        "(low, high) size of the other person's image over that of the image, in (0, 4]."),
    Key("INPUT.NPO.PEOPLE.HEIGHT", (0.4, 0.8), PAIR,
        "(low, high) share of the other image's height that is visible, in (0, 1], from the head "
        "down; the edge of the training image cuts off the rest."),
    Key("INPUT.NPO.PEOPLE.WIDTH", (0.4, 0.8), PAIR,
        "(low, high) share of the other image's width that is visible, in (0, 1], from one side."),

    Key("MODEL.FED.PRECISION", "fp32", one_of("fp32", "bf16"),
        '"bf16" autocasts tokens and head; similarities, losses and memory stay fp32.'),
    Key("MODEL.FED.NUM_PARTS", 4, COUNT,
        "P, horizontal stripes; divides the rows of the token grid. Reference: 4."),
    Key("MODEL.FED.ROWS", "whole", one_of("whole", "adaptive"),
        'Whether parts hold whole rows of the grid ("whole": NUM_PARTS divides the rows) or cut '
        'rows by their area ("adaptive").'),
    Key("MODEL.FED.GLOBAL_TOKEN", "first_patch", one_of("first_patch", "cls"),
        'Feature of the global classifier: "first_patch" (reference, an off-by-one) or "cls", for '
        "a map its mean."),
    Key("MODEL.FED.NORMALIZE_OUTPUT", True, SWITCH,
        "Whether evaluation returns descriptors of unit length."),
    Key("MODEL.FED.VIT.NUM_LAYERS", 0, PRESET,
        "Depth; 0 here and in the next three keys takes the preset of MODEL.BACKBONE.DEPTH."),
    # LayerNorms of fewer channels leave nothing of a token, or of the quarter that the OEM scores.
    Key("MODEL.FED.VIT.EMBED_DIM", 0,
        either("8 or more, 0 for the width of MODEL.BACKBONE.DEPTH", whole(0, 0), whole(8)),
        "C, width of a token."),
    Key("MODEL.FED.VIT.NUM_HEADS", 0, PRESET, "Attention heads; they divide C."),
    Key("MODEL.FED.VIT.PATCH_SIZE", 0, PRESET, "Side of a patch in pixels."),
    Key("MODEL.FED.VIT.OUTPUT", "tokens", one_of("tokens", "cls"),
        '"tokens" for FED, "cls" for the stock Baseline with an EmbeddingHead.'),
    Key("MODEL.FED.VIT.PRETRAIN_GRID", (0, 0),
        either("(rows, columns), whole numbers of 1 or more, or (0, 0) to infer them",
               several(COUNT, 2, 2, ""), several(whole(0, 0), 2, 2, "")),
        "(rows, columns) of the pretrained position embedding; (0, 0) infers a square or similar "
        "grid."),
    Key("MODEL.FED.VIT.PRETRAIN_ACTIVATION", "auto", one_of("auto", "gelu"),
        'Activation that the pretrained weights were trained with: "auto", that of their layout, '
        'or "gelu" for a CLIP that was not trained with QuickGELU.'),
    Key("MODEL.FED.VIT.RESAMPLE_PATCH", False, SWITCH,
        "Whether pretrained patches of another size are resampled; without, they are refused."),
    Key("MODEL.FED.VIT.RECOMPUTE", False, SWITCH,
        "Whether the backward pass computes activations again (gradient checkpointing) instead of "
        "keeping the activations of all layers: the same numbers, less memory, a third more time."),
    Key("MODEL.FED.OEM.ENABLED", True, SWITCH,
        "Whether parts are erased. Without erasing, every part counts as visible (an ablation)."),
    Key("MODEL.FED.OEM.NAME", "OcclusionErasingModule", NAME,
        "Registered name (REID_HEADS_REGISTRY) of the module that estimates visibility."),
    Key("MODEL.FED.OEM.TARGET", "reference", one_of("reference", "coverage"),
        'Visibility target: "reference" (hidden or not) or "coverage" (1 - share of changed '
        "pixels)."),
    Key("MODEL.FED.OEM.ERASURE", "before_norm", one_of("before_norm", "after_norm"),
        'Whether parts are scaled by their visibility "before_norm" (before BatchNorm; reference: '
        'an erased part leaves a constant) or "after_norm" (an erased part leaves nothing).'),
    # A larger loss in float32, or its gradients, can overflow.
    Key("MODEL.FED.OEM.LOSS_WEIGHT", 1.0, number(0, 1000, "a number of 0 or more, up to 1000"),
        "Weight of the two visibility losses. Reference: 1."),
    Key("MODEL.FED.FDM.ENABLED", True, SWITCH,
        "Whether neighbours are diffused in training. Without, nothing of FDM exists (an "
        "ablation)."),
    Key("MODEL.FED.FDM.NAME", "FeatureDiffusionModule", NAME,
        "Registered name (REID_HEADS_REGISTRY) of the module that diffuses neighbours."),
    Key("MODEL.FED.FDM.NUM_NEIGHBORS", 8, COUNT, "K, fewer than M. Reference: 8."),
    Key("MODEL.FED.FDM.NUM_HEADS", 8, COUNT, "Attention heads; they divide P * C. Reference: 8."),
    Key("MODEL.FED.FDM.SCALE", "part", one_of("part", "head"),
        'Attention scale by the width of a part ("part", reference) or of a whole head ("head").'),
    Key("MODEL.FED.FDM.HEAD_LAYOUT", "reference", one_of("reference", "per_sample"),
        'How heads are joined: "reference" (mixes samples of a rank\'s batch) or "per_sample".'),
    Key("MODEL.FED.FDM.SHARE_BN", True, SWITCH,
        "Whether diffused features pass the BatchNorm of the erased features (reference)."),
    Key("MODEL.FED.MEMORY.SHARED", True, SWITCH,
        "Whether the erased and the diffused memory are one tensor (reference)."),
    Key("MODEL.FED.MEMORY.MOMENTUM", 0.2, SHARE,
        "Share of the OLD slot that an update keeps. Reference: 0.2."),
    Key("MODEL.FED.MEMORY.INIT", "centroids", one_of("centroids", "zeros"),
        'First content: "centroids" (a pass over the training set, reference) or "zeros".'),
    # A cosine over a smaller temperature can overflow float32.
    Key("MODEL.FED.CONTRAST.TEMPERATURE", 0.05,
        number(0.001, 1000, "a number above 0, from 0.001 to 1000"),
        "Divisor of the cosine in the contrast losses. Reference: 0.05."),

    # The host fails on other values of these keys, or silently spoils a run with them.
    Key("SOLVER.OPT", HOST, OPTIMIZER, "Optimizer."),
    Key("SOLVER.SCHED", HOST, one_of("MultiStepLR", "CosineAnnealingLR"), "Schedule of the rate."),
    Key("SOLVER.BASE_LR", HOST, number(0, None, "a number of 0 or more"), "Learning rate."),
    Key("SOLVER.MAX_EPOCH", HOST, COUNT, "Epochs."),
    Key("SOLVER.IMS_PER_BATCH", HOST, COUNT, "Training images of a step, all ranks together."),
    Key("SOLVER.CHECKPOINT_PERIOD", HOST, COUNT, "Epochs between checkpoints."),
    Key("TEST.IMS_PER_BATCH", HOST, COUNT, "Images of a batch in evaluation."),
    Key("DATALOADER.NUM_WORKERS", HOST, NONE_OR_MORE, "Worker processes of a loader."),
    Key("INPUT.SIZE_TRAIN", HOST, SIZE, "Size of training images."),
    Key("INPUT.SIZE_TEST", HOST, SIZE, "Size of test images."),
    Key("INPUT.CROP.ENABLED", HOST, SWITCH, "Whether training images are cropped."),
    Key("INPUT.CROP.SIZE", HOST, CROP_SIZE, "Size of a crop.", CROPPED),
    Key("MODEL.META_ARCHITECTURE", HOST, NAME, "Method."),
    Key("MODEL.BACKBONE.NAME", HOST, NAME, "Backbone."),
    Key("MODEL.BACKBONE.DEPTH", HOST, text("a name of a size"), "Size of the backbone."),
    Key("MODEL.BACKBONE.FEAT_DIM", HOST, COUNT, "Width of the backbone's features."),
    Key("MODEL.HEADS.NAME", HOST, NAME, "Head."),
    Key("MODEL.PIXEL_MEAN", HOST,
        either("numbers, one for each colour, or 'auto' or 'reid'",
               one_of(*PIXEL_WORDS), several(NUMBER, 1, None, "")),
        'Mean that is subtracted from an image. "auto": of the backbone\'s published weights; '
        '"reid": 127.5, as re-ID projects fine-tune.'),
    Key("MODEL.PIXEL_STD", HOST,
        either("numbers other than 0, one for each colour, or 'auto' or 'reid'",
               one_of(*PIXEL_WORDS),
               several(either("", number(None, 0, "", exclusiveMaximum=0),
                              number(0, None, "", exclusiveMinimum=0)), 1, None, "")),
        "Deviation that an image is divided by, as PIXEL_MEAN."),

    Key("DATASETS.NAMES", HOST, DATASETS, "Training sets.", TRAINING),
    Key("DATASETS.TESTS", HOST, DATASETS, "Test sets; a training ends with them.", TRAINING),
    Key("MODEL.BACKBONE.PRETRAIN", HOST, SWITCH, "Whether weights are loaded.", TRAINING),
    Key("MODEL.BACKBONE.PRETRAIN_PATH", HOST, PATH, "File of the weights.", TRAINING),

    Key("INPUT.SIZE_TRAIN", HOST, SIDES, "Size of training images.", OWN_BACKBONE),
    Key("INPUT.SIZE_TEST", HOST, SIDES, "Size of test images.", OWN_BACKBONE),
    Key("INPUT.SIZE_TRAIN", HOST, SIDES, "Size of training images.", TIMM),
    Key("INPUT.SIZE_TEST", HOST, SIDES, "Size of test images.", TIMM),
    Key("MODEL.BACKBONE.STRIDE_SIZE", HOST,
        several(COUNT, 2, 2, "(vertical, horizontal) pixels, 1 or more"),
        "Step between patches.", OWN_BACKBONE),
    Key("MODEL.BACKBONE.DEPTH", HOST, one_of("base", "small", "tiny"), "Preset of the size.",
        OWN_BACKBONE),
    Key("MODEL.BACKBONE.DROP_PATH_RATIO", HOST, RATE, "Stochastic depth.", OWN_BACKBONE),
    Key("MODEL.BACKBONE.DROP_RATIO", HOST, RATE, "Dropout.", OWN_BACKBONE),
    Key("MODEL.BACKBONE.ATT_DROP_RATE", HOST, RATE, "Dropout of attention.", OWN_BACKBONE),

    Key("MODEL.FED.VIT.OUTPUT", HOST, one_of("tokens"), "All tokens.", FED),
    Key("INPUT.NPO.VIEWS", HOST, whole(2, 2, "2"), "The whole and the occluded view.", FED),
    Key("MODEL.HEADS.NAME", HOST, one_of("FEDHead"), "Head of FED.", FED),
    Key("MODEL.PIXEL_MEAN", HOST,
        either("three numbers", one_of(*PIXEL_WORDS), several(number(-1e6, 1e6, ""), 3, 3, "")),
        "Mean that is subtracted from an image.", FED),
    Key("MODEL.PIXEL_STD", HOST,
        either("three numbers above 0", one_of(*PIXEL_WORDS),
               several(number(1e-3, 1e6, ""), 3, 3, "")),
        "Deviation that an image is divided by.", FED),
)
# fmt: on

OWN_KEYS = {key.path: key for key in KEYS if key.default is not HOST}
"""Rows of the keys that the plugin adds, by path."""


def add_fed_config(cfg: Any) -> None:
    """Add the plugin's keys to a host config, in place; keys that exist keep their values.

    Args:
        cfg: a ``fastreid.config.CfgNode``, usually the host's defaults.
    """
    for path, key in OWN_KEYS.items():
        *sections, name = path.split(".")
        node = cfg
        for section in sections:
            if section not in node:
                node[section] = type(cfg)()
            node = node[section]
        node.setdefault(name, key.default)


def prune_defaults(cfg: Any) -> Any:
    """Return ``cfg`` without the plugin's keys if all of them have their defaults.

    A stock config then dumps what it dumped before the plugin was installed, and the file loads
    where the plugin is not installed. A config that changes one key keeps all keys.
    """
    values = table_values(cfg)
    if any(path not in values or values[path] != key.default for path, key in OWN_KEYS.items()):
        return cfg
    return without_keys(cfg, OWN_KEYS)


def without_keys(cfg: Any, paths: Iterable[str]) -> Any:
    """Return a copy of ``cfg`` without some keys, and without the sections that hold no others."""
    pruned = cfg.clone()
    pruned.defrost()
    for path in paths:
        *sections, name = path.split(".")
        nodes = [pruned]
        for section in sections:
            nodes.append(nodes[-1][section])
        del nodes.pop()[name]
        for node, section in zip(reversed(nodes), reversed(sections), strict=True):
            if not node[section]:
                del node[section]
    return pruned


def table_values(cfg: Any) -> dict[str, Any]:
    """Return the value of every key of the table that a config has, by path.

    Raises:
        ValueError: a value in the place of a section.
    """
    values = {}
    for path in dict.fromkeys(key.path for key in KEYS):
        node, passed = cfg, []
        for name in path.split("."):
            if not isinstance(node, Mapping):
                raise ValueError(f"{'.'.join(passed)}={node!r}: expected keys, such as {path}")
            if name not in node:
                break
            node = node[name]
            passed.append(name)
        else:
            values[path] = node
    return values


class SeveralFaultsError(ValueError):
    """Mistakes that are reported together."""

    def __init__(self, faults: Sequence[Exception]) -> None:
        sentences = [str(one.args[0] if isinstance(one, KeyError) else one) for one in faults]
        super().__init__(f"{len(faults)} faults:" + "".join(f"\n  - {one}" for one in sentences))
        self.faults = list(faults)


def faults_of(check: Callable[..., object], *args: Any) -> list[Exception]:
    """Call a check; return its mistakes in place of raising them."""
    try:
        check(*args)
    except SeveralFaultsError as error:
        return error.faults
    except (ValueError, OSError, KeyError) as error:
        return [error]
    return []


def report_faults(faults: Sequence[Exception]) -> None:
    """Raise the only mistake as it is, or several mistakes as one; equal ones count once."""
    different = list({str(fault): fault for fault in faults}.values())
    if different:
        raise different[0] if len(different) == 1 else SeveralFaultsError(different)


def check_keys(values: Mapping[str, Any], *readers: str) -> None:
    """Refuse values by path that the rows of some readers do not take (see ``Key.only_for``).

    Raises:
        ValueError: for each wrong key one sentence with its value, what was expected and what to
            try.
    """
    faults: dict[str, Exception] = {}
    for key in KEYS:
        if key.only_for in readers and key.path in values:
            for fault in faults_of(check_value, key, values[key.path]):
                faults.setdefault(key.path, fault)
    report_faults(list(faults.values()))


def check_value(key: Key, value: Any) -> None:
    """Refuse a value that a row of the table does not take.

    Raises:
        ValueError: as :func:`check_keys`.
    """
    if not key.takes.accepts(value):
        reader = f", for {key.only_for}" if key.only_for else ""
        hint = "" if key.default is HOST else f"; try {key.default!r}"
        raise ValueError(f"{key.path}={value!r}: expected {key.takes.expected}{reader}{hint}")


@contextmanager
def naming_keys(**keys: str) -> Iterator[None]:
    """Replace arguments in an error message by the config keys that set them.

    Args:
        **keys: paths by argument; a message such as ``"scale='x': expected ..."`` names one.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        arguments = rf"(?<![\w.])({'|'.join(keys)})="
        message = re.sub(arguments, lambda match: f"{keys[match[1]]}=", str(error))
        if message == str(error):
            raise
        raise type(error)(message) from error
