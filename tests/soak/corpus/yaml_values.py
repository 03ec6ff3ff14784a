"""Values of config keys that nobody can train or evaluate with."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.cases import EITHER, REFUSED, Case, nothing
from corpus.material import CHECKPOINT, CONFIG

CATEGORY = "yaml values"
_VALUES: dict[str, tuple[str, ...]] = {
    "SEED": ("one", "1.5", "[1]"),
    "SOLVER.IMS_PER_BATCH": ("0", "-8", "7", "eight", "10000"),
    "SOLVER.MAX_EPOCH": ("0", "-1"),
    "SOLVER.BASE_LR": ("nan", "-0.1", "fast"),
    "SOLVER.OPT": ("Nobody", ""),
    "SOLVER.SCHED": ("Nobody",),
    "SOLVER.CHECKPOINT_PERIOD": ("0", "-1"),
    "TEST.EVAL_PERIOD": ("0", "-1"),
    "TEST.IMS_PER_BATCH": ("0", "-1"),
    "DATALOADER.NUM_INSTANCE": ("0", "-2", "3", "100"),
    "DATALOADER.NUM_WORKERS": ("-1",),
    "DATALOADER.SAMPLER_TRAIN": ("Nobody",),
    "DATASETS.NAMES": ("Nowhere1501", "('Nowhere1501',)", "()"),
    "DATASETS.TESTS": ("('Nowhere1501',)", "()"),
    "DATASETS.FOLDER_REID.NAME": ("''", "a/b"),
    "DATASETS.FOLDER_REID.TEST_SHARE": ("2.0", "-0.5"),
    "DATASETS.FOLDER_REID.QUERIES": ("0",),
    "DATASETS.FOLDER_REID.SPLIT_SEED": ("-1",),
    "INPUT.SIZE_TRAIN": ("[0, 0]", "[-64, 32]", "[64]", "64", "[64, 32, 3]", "['a', 'b']"),
    "INPUT.SIZE_TEST": ("[0, 0]", "[64]"),
    "INPUT.EXTRA_TRANSFORMS": ("('Nobody',)", "Nobody"),
    "INPUT.NPO.PROB": ("2.0", "-1.0", "nan"),
    "INPUT.NPO.VIEWS": ("0", "3"),
    "INPUT.NPO.PLACEMENT": ("nobody",),
    "INPUT.NPO.COUNT": ("(3, 1)", "(0, 1)", "(1,)", "('a', 'b')"),
    "INPUT.NPO.HEIGHT": ("(0.0, 2.0)",),
    "INPUT.NPO.FEATHER": ("-1",),
    "INPUT.NPO.PEOPLE.PROB": ("3.0",),
    "INPUT.NPO.PEOPLE.SCALE": ("(0.0, 9.0)", "(1.0,)"),
    "MODEL.DEVICE": ("nobody",),
    "MODEL.META_ARCHITECTURE": ("Nobody",),
    "MODEL.BACKBONE.NAME": ("nobody",),
    "MODEL.BACKBONE.DEPTH": ("nobody",),
    "MODEL.BACKBONE.STRIDE_SIZE": ("(0, 0)", "(8,)", "8"),
    "MODEL.HEADS.NAME": ("Nobody",),
    "MODEL.HEADS.NUM_CLASSES": ("1", "-5"),
    "MODEL.PIXEL_MEAN": ("[]", "[1.0]"),
    "MODEL.PIXEL_STD": ("[0.0, 0.0, 0.0]", "[1.0]"),
    "MODEL.FED.NUM_PARTS": ("0", "-4", "3", "64"),
    "MODEL.FED.PRECISION": ("fp8",),
    "MODEL.FED.GLOBAL_TOKEN": ("last",),
    "MODEL.FED.ROWS": ("half",),
    "MODEL.FED.VIT.EMBED_DIM": ("-32", "33"),
    "MODEL.FED.VIT.NUM_HEADS": ("-1", "3"),
    "MODEL.FED.VIT.NUM_LAYERS": ("-1",),
    "MODEL.FED.VIT.PATCH_SIZE": ("-8", "1000"),
    "MODEL.FED.VIT.OUTPUT": ("nobody", "cls"),
    "MODEL.FED.OEM.NAME": ("Nobody",),
    "MODEL.FED.OEM.TARGET": ("nobody",),
    "MODEL.FED.OEM.LOSS_WEIGHT": ("-1.0", "nan", "inf"),
    "MODEL.FED.FDM.NAME": ("Nobody",),
    "MODEL.FED.FDM.NUM_NEIGHBORS": ("0", "4", "100"),
    "MODEL.FED.FDM.NUM_HEADS": ("0", "7"),
    "MODEL.FED.MEMORY.MOMENTUM": ("2.0", "nan"),
    "MODEL.FED.MEMORY.INIT": ("nobody",),
    "MODEL.FED.CONTRAST.TEMPERATURE": ("0.0", "-1.0", "nan"),
}
_ALSO = {"MODEL.HEADS.NUM_CLASSES": ("MODEL.FED.FDM.NUM_NEIGHBORS",)}
_MAY_RUN = {
    ("SOLVER.IMS_PER_BATCH", "7"),
    ("SOLVER.CHECKPOINT_PERIOD", "-1"),
    ("INPUT.NPO.COUNT", "(0, 1)"),
    ("MODEL.HEADS.NUM_CLASSES", "1"),
    ("MODEL.FED.VIT.NUM_HEADS", "3"),
    ("MODEL.PIXEL_MEAN", "[1.0]"),
    ("MODEL.PIXEL_STD", "[1.0]"),
}


def make_cases() -> Iterator[Case]:
    """Yield a training per value, then words that are no KEY VALUE."""
    for key, values in _VALUES.items():
        for value in values:
            ends = EITHER if (key, value) in _MAY_RUN else REFUSED
            words = ("train", "--config-file", CONFIG, key, value)
            said = (key, *_ALSO.get(key, ()), *(["obody"] if "obody" in value else []))
            yield Case(f"{CATEGORY}: {key} {value}", nothing, words, said, ends)
    for words in (("SEED",), ("SEED", "1", "2"), ("NOBODY", "1"), ("MODEL.NOBODY", "1"), ("", "")):
        full = ("train", "--config-file", CONFIG, *words)
        yield Case(f"{CATEGORY}: the words {words}", nothing, full, (*words, "override"))
    full = ("dump", "--config-file", CONFIG, "--weights", CHECKPOINT, "-o", "new.npz")
    for words in (("--dataset", "Nowhere1501"), ("DATASETS.TESTS", "()"), ("SEED",)):
        at = 1 if words[0].startswith("--") else len(full)
        named = (*words, "override")
        yield Case(f"{CATEGORY}: dump {words}", nothing, (*full[:at], *words, *full[at:]), named)
