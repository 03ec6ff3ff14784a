"""A benchmark's configs, resolved and checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastreid.config import get_cfg
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY

from fed_plugin.fastreid_adapter import dataset_checks
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.training_checks import check_training
from fed_plugin.fastreid_adapter.transform_registry import is_registered

ALWAYS = ("DATASETS.NAMES", "DATASETS.TESTS", "SEED")
NEVER = ("OUTPUT_DIR",)
SCORED_WITHOUT = {
    "TEST.RERANK.ENABLED": False,
    "TEST.AQE.ENABLED": False,
}


@dataclass(frozen=True)
class ResolvedConfig:
    """A config with nothing left to look up.

    Attributes:
        text: all of it, as YAML that the host reads.
        settings: what differs from the host's defaults, and on what it is trained and tested; dots
            in the keys, values as JSON has them.
    """

    text: str
    settings: dict[str, Any]


def resolve_config(
    config_file: str, overrides: dict[str, Any], trained: bool = False
) -> ResolvedConfig:
    """Read a config, set keys in it, and check what can be checked without reading data.

    Args:
        config_file: path.
        overrides: values by key.
        trained: whether it is trained, so that what a training needs must be there.

    Raises:
        ValueError: the file or a key or a value of it is wrong, it asks to be scored in another
            way than the benchmark scores, or it cannot be trained.
    """
    try:
        cfg = read_config(config_file, [word for pair in overrides.items() for word in pair])
        if trained:
            check_training(cfg)
    except (KeyError, ValueError, AssertionError, OSError) as error:
        raise ValueError(_in_words(error, config_file, overrides)) from error
    flat = _flatten(cfg)
    for key, expected in SCORED_WITHOUT.items():
        if flat.get(key, expected) != expected:
            raise ValueError(
                f"{config_file}: {key}={flat[key]!r}: every method is scored alike, with "
                f"{expected!r}; try {key}: {expected} in overrides"
            )
    if not is_registered(META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE):
        raise ValueError(
            f"{config_file}: MODEL.META_ARCHITECTURE={cfg.MODEL.META_ARCHITECTURE!r}: not "
            "registered; a plugin that has it must be installed"
        )
    defaults = _flatten(get_cfg())
    settings = {
        key: value
        for key, value in sorted(flat.items())
        if key in ALWAYS or (key not in NEVER and value != defaults.get(key, ...))
    }
    return ResolvedConfig(cfg.dump(), settings)


def check_datasets(config_file: str, overrides: dict[str, Any], trained: bool = True) -> None:
    """List the data sets of a config, so that one that is not there is not met hours later.

    Args:
        config_file: path.
        overrides: values by key.
        trained: whether it is trained, so that training images are wanted.

    Raises:
        ValueError: a name is not registered, or a data set is not there or not whole.
    """
    cfg = read_config(config_file, [word for pair in overrides.items() for word in pair])
    try:
        dataset_checks.check_datasets(cfg, training=trained)
    except (OSError, ValueError) as error:
        raise ValueError(f"datasets: {error}") from error


def _in_words(error: Exception, config_file: str, overrides: dict[str, Any]) -> str:
    """Say what is wrong with a config, and where the value stands."""
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if text.startswith((f"{config_file}: ", "overrides: ")):
        return text
    where = "overrides" if text.partition("=")[0] in overrides else config_file
    return f"{where}: {text}"


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return values by dotted key, tuples as lists."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _plain(value)
    return flat


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
