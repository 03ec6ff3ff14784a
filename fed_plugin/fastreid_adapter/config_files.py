"""Config files: the host's config object with the plugin's keys, and reading."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from fastreid.config import CfgNode, defaults, get_cfg

from fed_plugin.arguments import find_config as find_config  # its place before
from fed_plugin.arguments import key_value_pairs, similar
from fed_plugin.fastreid_adapter.config import OWN_KEYS, add_fed_config, prune_defaults
from fed_plugin.files import flatten

_TYPE_MISMATCH = re.compile(
    r"Type mismatch \(<class '(?:\w+\.)*(\w+)'> vs\. <class '(?:\w+\.)*(\w+)'>\) with values "
    r"\((.*) vs\. (.*)\) "
    r"for config key: (\S+)",
    re.DOTALL,
)
"""Message of yacs about a value whose type it does not convert, such as a whole number's."""


_UNKNOWN_KEY = re.compile(r"Non-existent (?:config )?key: (.*)$")
"""Message of yacs about a key that nobody declared."""
_host_keys: set[str] = set()


class TypeMismatchError(ValueError):
    """Value of another type than its key has; yacs converts few types."""


def extend_defaults() -> None:
    """Add the plugin's keys to the host's defaults, and leave them out of dumps that use none.

    The methods that merge values name the expected type in plain words.
    """
    _host_keys.update(flatten(defaults._C))
    add_fed_config(defaults._C)
    if getattr(CfgNode.dump, "prunes_fed_keys", False):
        return
    stock_dump = CfgNode.dump

    def dump(self: Any, **arguments: Any) -> str:
        return stock_dump(prune_defaults(self), **arguments)

    dump.__doc__ = stock_dump.__doc__
    dump.prunes_fed_keys = True
    CfgNode.dump = dump
    for name in ("merge_from_list", "merge_from_other_cfg"):
        setattr(CfgNode, name, _with_plain_type_errors(getattr(CfgNode, name)))


def keys_of_other_projects(cfg: Any) -> set[str]:
    """Return the keys of a config that neither the host nor this plugin declares."""
    return flatten(cfg).keys() - _host_keys - OWN_KEYS.keys()


def _with_plain_type_errors(merge: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(merge)
    def merge_with_plain_type_errors(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            merge(self, *args, **kwargs)
        except ValueError as error:
            mismatch = _TYPE_MISMATCH.search(str(error))
            if mismatch is None:
                raise
            raise TypeMismatchError(_type_message(*mismatch.groups())) from error
        except (KeyError, AssertionError) as error:
            unknown = _UNKNOWN_KEY.match(str(error.args[0]) if error.args else "")
            if unknown is None:
                raise
            raise type(error)(unknown[0] + similar(unknown[1], _names(get_cfg()))) from error
        except TypeError as error:  # yacs looks for a key in a value
            raise ValueError("a key stands below a value; expected the key of a value") from error
        except (MemoryError, RecursionError) as error:  # how Python's parser ends
            raise ValueError("a value is nested too deep; expected a plain value") from error

    return merge_with_plain_type_errors


def _names(cfg: Any) -> list[str]:
    """Return the dotted names of all keys and sections of a config."""
    names = dict.fromkeys(flatten(cfg))
    sections = (name.rpartition(".")[0] for name in names)
    return [*names, *dict.fromkeys(filter(None, sections))]


def _type_message(expected: str, got: str, example: str, value: str, key: str) -> str:
    value = value if len(value) <= 80 else f"{value[:80]}..."
    if "CfgNode" in (expected, got):
        kind = "keys below it" if expected == "CfgNode" else f"a value such as {example}"
        return f"{key}: expected {kind}, got {'keys' if got == 'CfgNode' else value}"
    message = f"{key}={value}: expected {expected}, such as {example}, got {got}"
    return f"{message}; try {value}.0" if (expected, got) == ("float", "int") else message


def read_config(config_file: str, overrides: list[Any], *, checked: bool = True) -> Any:
    """Read a config as the stock scripts do, and check it.

    Args:
        config_file: path of a YAML file.
        overrides: keys and values in turn, or KEY=VALUE; they replace the values of the file.
        checked: whether to check the config here, before its data.

    Raises:
        FileNotFoundError: no such file, or no file under its ``_BASE_``.
        KeyError: a key that nobody declared.
        ValueError: a value of another type or one that its key does not take, see
            ``check_config``; or the file is no config.
    """
    cfg = get_cfg()
    try:
        cfg.merge_from_file(config_file)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{config_file}: expected a file, and a file under _BASE_, if any; {error.filename} is "
            "not there"
        ) from error
    except KeyError as error:
        raise KeyError(f"{config_file}: {error.args[0]}") from error
    except (AssertionError, TypeMismatchError) as error:
        raise ValueError(f"{config_file}: {error}") from error
    except Exception as error:  # of the YAML parser, and of the host where the file has no keys
        raise ValueError(
            f"{config_file}: expected YAML of KEY: VALUE, as fast-reid's configs are, and a file "
            f"under _BASE_, if any; got something else ({' '.join(str(error).split())})"
        ) from error
    pairs = key_value_pairs(overrides)
    try:
        cfg.merge_from_list(pairs)
    except ValueError as error:
        raise ValueError(f"overrides: {error}") from error
    except AssertionError as error:  # how yacs refuses a key
        raise KeyError(f"overrides: {error}") from error
    _refuse_nothing(cfg, get_cfg())
    if checked:
        from fed_plugin.fastreid_adapter.config_checks import check_config

        check_config(cfg)
    return cfg


def _refuse_nothing(cfg: Any, defaults: Any, prefix: str = "") -> None:
    """Refuse null in the place of a value, which yacs lets pass for every key."""
    for key, default in defaults.items():
        if isinstance(default, dict):
            _refuse_nothing(cfg[key], default, f"{prefix}{key}.")
        elif cfg[key] is None and default is not None:
            raise ValueError(f"{prefix}{key}=None: expected a value such as {default!r}")
