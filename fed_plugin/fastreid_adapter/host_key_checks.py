"""Values of the host's own keys that no run can use, met before it does hours of work.

Only what the host fails on, or silently spoils, stands here; whatever else it takes, it gets.
"""

from __future__ import annotations

from typing import Any

from fastreid.solver import optim

from fed_plugin.fastreid_adapter.key_kinds import Kind, is_sequence, number, one_of, whole

_OPTIMIZERS = sorted(
    name
    for name, value in vars(optim).items()
    if isinstance(value, type) and not name.startswith("_") and name != "Optimizer"
)
_COUNT, _NONE_OR_MORE = whole(1), whole(0)
_INFINITE = float("inf")


def _all(element: Kind, counts: tuple[int, ...], expected: str) -> Kind:
    """Take sequences of a kind, of one of some lengths; of any but 0 where none is given."""
    return Kind(
        expected,
        lambda value: (
            is_sequence(value)
            and (len(value) in counts if counts else len(value) > 0)
            and all(map(element.accepts, value))
        ),
    )


_size = _all(_COUNT, (1, 2), "[height, width], whole numbers of pixels above 0")
_name = Kind("a name", lambda value: isinstance(value, str) and bool(value))
_rate = number(0, _INFINITE, "a number of 0 or more")
_color = number(-_INFINITE, _INFINITE, "")
_scale = Kind("", lambda value: _color.accepts(value) and value != 0)

KINDS: dict[str, Kind] = {
    "SOLVER.OPT": one_of(*_OPTIMIZERS),
    "SOLVER.SCHED": one_of("MultiStepLR", "CosineAnnealingLR"),
    "SOLVER.BASE_LR": _rate,
    "SOLVER.MAX_EPOCH": _COUNT,
    "SOLVER.IMS_PER_BATCH": _COUNT,
    "SOLVER.CHECKPOINT_PERIOD": _COUNT,
    "TEST.IMS_PER_BATCH": _COUNT,
    "DATALOADER.NUM_WORKERS": _NONE_OR_MORE,
    "INPUT.SIZE_TRAIN": _size,
    "INPUT.SIZE_TEST": _size,
    "MODEL.PIXEL_MEAN": _all(_color, (), "numbers, one for each colour"),
    "MODEL.PIXEL_STD": _all(_scale, (), "numbers other than 0, one for each colour"),
}
"""Kind of the keys that every run reads."""

TRAINING: dict[str, Kind] = {
    "DATASETS.NAMES": _all(_name, (), "names of data sets, one or more"),
    "DATASETS.TESTS": _all(_name, (), "names of data sets, one or more; training ends with them"),
}
"""Kind of keys that only a training reads."""


def check_host_keys(cfg: Any, kinds: dict[str, Kind] = KINDS) -> None:
    """Refuse a value of the host's keys that no run can use.

    Args:
        cfg: a host config.
        kinds: of the keys to look at.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    for key, kind in kinds.items():
        section, name = key.split(".")
        value = cfg[section][name]
        if not kind.accepts(value):
            raise ValueError(f"{key}={value!r}: expected {kind.expected}")
