"""Config files read as the stock scripts do, and refused in a sentence where they are none."""

from __future__ import annotations

from typing import Any

from fastreid.config import get_cfg

from fed_plugin.fastreid_adapter.config_checks import check_config
from fed_plugin.fastreid_adapter.stock_config import TypeMismatchError


def read_config(config_file: str, overrides: list[Any]) -> Any:
    """Read a config as the stock scripts do, and check it.

    Raises:
        FileNotFoundError: no such file, or none under its ``_BASE_``.
        KeyError: a key that nobody declared.
        ValueError: a value of another type or that no key takes, see ``check_config``; or the file
            is no config.
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
    except TypeMismatchError as error:
        raise ValueError(f"{config_file}: {error}") from error
    except Exception as error:  # of the YAML parser, and of the host on what is no table of keys
        raise ValueError(
            f"{config_file}: expected YAML of KEY: VALUE, as fast-reid's configs are, and a file "
            f"under _BASE_, if any; got something else ({' '.join(str(error).split())})"
        ) from error
    if len(overrides) % 2:
        raise ValueError(
            f"overrides: expected KEY VALUE pairs, got {len(overrides)} words: "
            f"{' '.join(map(str, overrides))}"
        )
    try:
        cfg.merge_from_list(overrides)
    except ValueError as error:
        raise ValueError(f"overrides: {error}") from error
    except AssertionError as error:  # how yacs refuses a key
        raise KeyError(f"overrides: {error}") from error
    check_config(cfg)
    return cfg
