"""Config files by path, or by the name of one that is installed with the plugin."""

from __future__ import annotations

from pathlib import Path

import fed_plugin


def find_config(path: str) -> str:
    """Return the path of a config file.

    Args:
        path: a file, or the name of an installed config with or without ``configs/FED/`` and
            ``.yml``.

    Raises:
        FileNotFoundError: neither; the message lists the installed names.
    """
    if path and Path(path).is_file():
        return path
    folder = installed_configs()
    installed = folder / (Path(path).name.removesuffix(".yml") + ".yml")
    if path and installed.is_file():
        return str(installed)
    names = ", ".join(sorted(file.stem for file in folder.glob("*.yml")))
    raise FileNotFoundError(
        f"--config-file {path!r}: no such file; expected a path or one of the installed configs: "
        f"{names}"
    )


def installed_configs() -> Path:
    """Return the folder of the plugin's configs: in the installed package, or in the checkout."""
    package = Path(fed_plugin.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs" / "FED"
