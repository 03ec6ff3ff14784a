"""Every key that the plugin declares refuses what it does not take, by its full name."""

from __future__ import annotations

import functools
import re
from operator import getitem

import pytest
from fastreid.config import CfgNode, get_cfg

from fed_plugin.fastreid_adapter.config import (
    KEYS,
    OWN_KEYS,
    add_fed_config,
    check_keys,
    check_value,
    fits,
    naming_keys,
    table_values,
)
from fed_plugin.fastreid_adapter.config_checks import check_config

NAN, INF = float("nan"), float("inf")
NO_SHARE = (-0.1, 1.1, NAN, INF, True, "0.5")
NO_COUNT = (0, -1, 1.0, NAN, True, "1")
NO_SWITCH = (0, 1, "True", 1.0)
NO_RANGE = (
    *((), (0.2,), (0.2, 0.3, 0.4), 0.2, "0.2"),
    *((0.5, 0.2), (0.0, 0.5), (-0.1, 0.5), (0.2, NAN), (0.2, INF), (True, True), ("a", "b")),
)
NO_NAME = ("", 3, "Nobody")
NO_WORD = ("", "other", 3, True)

BAD = {
    "SEED": (1.0, True, NAN, "0", 2**32),
    "SOLVER.CHECKPOINT_ITERS": (-1, 1.5, True, None),
    "SOLVER.FUSED": NO_SWITCH,
    "INPUT.EXTRA_TRANSFORMS": ("NPOAugmentation", ("Fog",), (3,), ("",), 3),
    "SOLVER.LAYER_DECAY": (0, 0.0, 1.1, -1, NAN, True, "1"),
    "SOLVER.BACKBONE_LR_FACTOR": (-0.1, 1001, NAN, True, "1"),
    "SOLVER.WARMUP_EPOCHS": (-1, 1.0, True, "1"),
    "SOLVER.FREEZE_BACKBONE_EPOCHS": (-1, 1.0, True, "1"),
    "SOLVER.CLIP_NORM": (-0.1, NAN, True, "1"),
    "SOLVER.ACCUMULATE": NO_COUNT,
    "SOLVER.EMA": (-0.1, 1.0, NAN, True, "1"),
    "TEST.SIDE_INFORMATION": (3, True, "two\nlines"),
    "DATASETS.P_DUKEMTMC.PROTOCOL": NO_WORD,
    "DATASETS.FOLDER_REID.NAME": ("", " ", "a/b", "..", "a\nb", 3),
    "DATASETS.FOLDER_REID.ROOT": (3, True, "a\0b"),
    "DATASETS.FOLDER_REID.TEST_SHARE": (0.0, 1.0, *NO_SHARE),
    "DATASETS.FOLDER_REID.QUERIES": NO_COUNT,
    "DATASETS.FOLDER_REID.SPLIT_SEED": (-1, 0.0, True, "0"),
    "INPUT.NPO.OCCLUDERS": (3, True, (), "a\0b"),
    "INPUT.NPO.VIEWS": (0, 3, -1, 2.0, True, "2"),
    "INPUT.NPO.PROB": NO_SHARE,
    "INPUT.NPO.PLACEMENT": NO_WORD,
    "INPUT.NPO.HEIGHT": (*NO_RANGE, (0.5, 1.1), (0.1, 0.2)),
    "INPUT.NPO.WIDTH": (*NO_RANGE, (0.5, 1.1), (0.1, 0.2)),
    "INPUT.NPO.COUNT": (*NO_RANGE, (0, 1), (1, 51), (1.0, 2.0), (2, 1)),
    "INPUT.NPO.ALPHA": NO_SWITCH,
    "INPUT.NPO.FEATHER": (-1, 1001, 1.0, NAN, True, "1"),
    "INPUT.NPO.PEOPLE.PROB": NO_SHARE,
    "INPUT.NPO.PEOPLE.SCALE": (*NO_RANGE, (1.0, 4.1)),
    "INPUT.NPO.PEOPLE.HEIGHT": (*NO_RANGE, (0.5, 1.1)),
    "INPUT.NPO.PEOPLE.WIDTH": (*NO_RANGE, (0.5, 1.1)),
    "MODEL.FED.PRECISION": (*NO_WORD, "fp16"),
    "MODEL.FED.NUM_PARTS": (*NO_COUNT, 3),
    "MODEL.FED.ROWS": NO_WORD,
    "MODEL.FED.GLOBAL_TOKEN": NO_WORD,
    "MODEL.FED.NORMALIZE_OUTPUT": NO_SWITCH,
    "MODEL.FED.VIT.NUM_LAYERS": (-1, 1.0, True, "1"),
    "MODEL.FED.VIT.EMBED_DIM": (-1, 1, 4, 32.0, True, "32", 30),
    "MODEL.FED.VIT.NUM_HEADS": (-1, 2.0, True, "2", 3),
    "MODEL.FED.VIT.PATCH_SIZE": (-1, 8.0, True, "8", 33),
    "MODEL.FED.VIT.OUTPUT": (*NO_WORD, "cls"),
    "MODEL.FED.VIT.PRETRAIN_GRID": ((), (14,), (14, 0), (-1, -1), (1.0, 1.0), 14, "14"),
    "MODEL.FED.VIT.PRETRAIN_ACTIVATION": NO_WORD,
    "MODEL.FED.VIT.RESAMPLE_PATCH": NO_SWITCH,
    "MODEL.FED.VIT.RECOMPUTE": NO_SWITCH,
    "MODEL.FED.OEM.ENABLED": NO_SWITCH,
    "MODEL.FED.OEM.NAME": NO_NAME,
    "MODEL.FED.OEM.TARGET": NO_WORD,
    "MODEL.FED.OEM.ERASURE": NO_WORD,
    "MODEL.FED.OEM.LOSS_WEIGHT": (-0.1, 1e300, NAN, INF, True, "1"),
    "MODEL.FED.FDM.ENABLED": NO_SWITCH,
    "MODEL.FED.FDM.NAME": NO_NAME,
    "MODEL.FED.FDM.NUM_NEIGHBORS": (*NO_COUNT, 6),
    "MODEL.FED.FDM.NUM_HEADS": (*NO_COUNT, 7),
    "MODEL.FED.FDM.SCALE": NO_WORD,
    "MODEL.FED.FDM.HEAD_LAYOUT": NO_WORD,
    "MODEL.FED.FDM.SHARE_BN": NO_SWITCH,
    "MODEL.FED.MEMORY.SHARED": NO_SWITCH,
    "MODEL.FED.MEMORY.MOMENTUM": NO_SHARE,
    "MODEL.FED.MEMORY.INIT": NO_WORD,
    "MODEL.FED.CONTRAST.TEMPERATURE": (0.0, -0.1, 1e-40, 1e300, NAN, INF, True, "0.1"),
}
"""Values that a tiny FED config refuses, beside None, which every key does."""


def put(cfg, key, value):
    """Set a key as a script may, past the checks of yacs."""
    *sections, name = key.split(".")
    functools.reduce(getitem, sections, cfg)[name] = value
    return cfg


def test_every_declared_key_has_a_value_that_is_refused_here():
    assert set(BAD) == set(OWN_KEYS)


def test_a_row_says_all_of_its_key_once_and_is_a_row_alone():
    rows = [(key.path, key.only_for) for key in KEYS]
    assert len(set(rows)) == len(rows)
    assert all(key.words.endswith(".") and key.takes.expected for key in KEYS)


@pytest.mark.parametrize("key", BAD)
def test_a_value_that_the_key_does_not_take_is_refused_by_its_full_name(tiny_cfg, key):
    cfg = tiny_cfg()
    for value in (None, CfgNode(), *BAD[key]):
        put(cfg, key, value)
        with pytest.raises(ValueError, match=rf"^{re.escape(key)}=.*expected ") as refused:
            check_config(cfg)
        assert repr(value) in str(refused.value)


def test_what_is_refused_comes_with_the_default_to_try():
    with pytest.raises(ValueError, match=r"^SEED=None: expected .*; try -1$"):
        check_value(OWN_KEYS["SEED"], None)
    cfg = CfgNode()
    add_fed_config(cfg)
    assert table_values(cfg) == {path: key.default for path, key in OWN_KEYS.items()}
    for key in OWN_KEYS.values():
        check_value(key, key.default)


@pytest.mark.parametrize("section", ["MODEL.FED", "MODEL.FED.OEM", "INPUT.NPO", "INPUT.NPO.PEOPLE"])
def test_a_section_that_was_written_over_is_named(tiny_cfg, section):
    with pytest.raises(ValueError, match=rf"^{section}=None: expected keys, such as {section}\."):
        check_config(put(tiny_cfg(), section, None))


def test_keys_that_a_config_lacks_are_passed_over():
    assert table_values(CfgNode({"MODEL": {}, "SEED": 3})) == {"SEED": 3}
    check_keys({"SEED": 3}, "")


def test_a_stock_config_passes_and_is_left_as_it_was():
    cfg = get_cfg()
    kept = cfg.clone()
    check_config(cfg)
    assert cfg == kept


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("INPUT.NPO.PROB", 1, r"^INPUT.NPO.PROB=1: expected float, such as 1.0, got int; try 1.0$"),
        ("MODEL.FED.NUM_PARTS", 4.0, r"^MODEL.FED.NUM_PARTS=4.0: expected int, .* got float$"),
        ("SOLVER.BASE_LR", 1, r"^SOLVER.BASE_LR=1: expected float, .*, got int; try 1.0$"),
    ],
)
def test_yacs_says_in_words_which_type_a_key_wants(tmp_path, key, value, message):
    with pytest.raises(ValueError, match=message):
        get_cfg().merge_from_list([key, value])
    *sections, name = key.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    (tmp_path / "mine.yml").write_text("\n".join([*lines, f"{'  ' * len(lines)}{name}: {value}"]))
    with pytest.raises(ValueError, match=message):
        get_cfg().merge_from_file(str(tmp_path / "mine.yml"))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": 1}, (1, 2**70), (0, 1.0, True, "1", None)),
        ({"type": "number", "maximum": 2}, (2, -1.5, -(10**400)), (2.1, NAN, -INF, False)),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": 0}, (0.1,), (0, 0.0)),
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 1}, ((), [True]), ("", (1,))),
        ({"anyOf": [{"enum": ["a"]}, {"type": "boolean"}]}, ("a", False), ("b", 0, ["a"])),
    ],
)
def test_values_fit_a_schema_as_they_do_in_json(schema, good, bad):
    assert all(fits(schema, value) for value in good)
    assert not any(fits(schema, value) for value in bad)


def test_a_message_about_an_argument_names_the_key_that_sets_it():
    with (
        pytest.raises(ValueError, match=r"^A\.B=3: expected A\.B=2, not a\.width=1$"),
        naming_keys(width="A.B"),
    ):
        raise ValueError("width=3: expected width=2, not a.width=1")
    with pytest.raises(ValueError, match=r"^height=3$"), naming_keys(width="A.B"):
        raise ValueError("height=3")


def test_the_words_of_a_key_are_those_that_its_reader_takes():
    from fed_plugin.modeling import fdm, head, oem, parts, vit
    from fed_plugin.transforms import placement_rule

    words = {
        "INPUT.NPO.PLACEMENT": placement_rule.PLACEMENTS,
        "MODEL.FED.ROWS": parts.ROWS,
        "MODEL.FED.GLOBAL_TOKEN": head.GLOBAL_TOKENS,
        "MODEL.FED.OEM.TARGET": oem.VISIBILITY_RULES,
        "MODEL.FED.OEM.ERASURE": head.ERASURES,
        "MODEL.FED.FDM.SCALE": fdm.SCALES,
        "MODEL.FED.FDM.HEAD_LAYOUT": fdm.HEAD_LAYOUTS,
        "MODEL.BACKBONE.DEPTH": tuple(vit.VIT_PRESETS),
    }
    for path, taken in words.items():
        rows = [key.takes.schema.get("enum") for key in KEYS if key.path == path]
        assert list(taken) in rows, path
