"""Every config key the plugin adds, declared once; ``key_checks.py`` says what each takes.

The comment right above a key is its description in docs/configuration.md, which
``benchmarks/configuration_page.py`` writes.

A value says the default; ``Base-FED.yml`` and its leaves say what a method uses. Letters are those
of the maths: ``P`` parts, ``C`` channels of a token, ``K`` neighbours, ``M`` identities.
"""

from __future__ import annotations

from typing import Any


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
