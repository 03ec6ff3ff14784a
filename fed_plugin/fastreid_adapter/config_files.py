"""Config files read as the stock scripts do, and refused in a sentence where they are none."""

from __future__ import annotations

import re
from typing import Any

from fastreid.config import get_cfg

TYPE_MISMATCH = re.compile(
    r"Type mismatch \(<class '(?:\w+\.)*(\w+)'> vs\. <class '(?:\w+\.)*(\w+)'>\) with values "
    r"\((.*) vs\. (.*)\) for config key: (\S+)",
    re.DOTALL,
)
"""What yacs says of a value whose type it does not convert, a whole number for a float too."""


def read_config(config_file: str, overrides: list[Any]) -> Any:
    """Read a config as the stock scripts do.

    Raises:
        FileNotFoundError: no such file, or none under its ``_BASE_``.
        KeyError: a key that nobody declared.
        ValueError: a value of another type; or the file is no config.
    """
    cfg = get_cfg()
    try:
        cfg.merge_from_file(config_file)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{config_file}: expected a file, and one under _BASE_, if any; {error.filename} is "
            "not there"
        ) from error
    except KeyError as error:
        raise KeyError(f"{config_file}: {error.args[0]}") from error
    except AssertionError as error:
        raise ValueError(f"{config_file}: {error}") from error
    except Exception as error:  # of the YAML parser, and of the host on what is no table of keys
        if TYPE_MISMATCH.search(str(error)):
            raise ValueError(f"{config_file}: {_in_words(error)}") from error
        raise ValueError(
            f"{config_file}: expected YAML of KEY: VALUE, as fast-reid's configs are, and a file "
            f"under _BASE_, if any; got something else ({_in_words(error)})"
        ) from error
    try:
        cfg.merge_from_list(overrides)
    except ValueError as error:
        raise ValueError(f"overrides: {_in_words(error)}") from error
    return cfg


def _in_words(error: Exception) -> str:
    """Say in a line what is wrong; of a value of another type, which key's, and the fix."""
    found = TYPE_MISMATCH.search(str(error))
    if found is None:
        return " ".join(str(error).split())
    expected, got, example, value, key = found.groups()
    if "CfgNode" in (expected, got):
        which = "keys below it" if expected == "CfgNode" else f"a value such as {example}"
        return f"{key}: expected {which}, got {'keys' if got == 'CfgNode' else value}"
    said = f"{key}: {value}: expected {expected} such as {example}, got {got}"
    return f"{said}; try {key}: {value}.0" if (expected, got) == ("float", "int") else said
