"""Words of a command that name a model: config, weights and overrides.

They are checked before anything heavy is imported: a wrong word ends a command at once.
"""

from __future__ import annotations

import difflib
import os
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

UNTRAINED = "untrained"
"""Value of ``--weights`` and of ``MODEL.WEIGHTS`` for random weights."""
WEIGHTS = "MODEL.WEIGHTS"
OUTPUT_CONFIG = "config.yaml"
"""Name of the config that the host writes into ``OUTPUT_DIR``."""
FORMATS = ("onnx", "torchscript", "torch-export")
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def add_model_arguments(
    parser: ArgumentParser, *, untrained: bool = False, overrides: bool = True
) -> None:
    """Declare ``--config-file``, ``--weights`` and, at the end, perhaps config overrides.

    ``untrained`` tells whether ``--weights untrained`` takes random weights.
    """
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    add_weights(parser, untrained=untrained)
    parser.set_defaults(overrides=[])
    if overrides:
        add_overrides(parser)


def add_weights(parser: ArgumentParser, *, untrained: bool = False) -> None:
    """Declare ``--weights``; see :func:`add_model_arguments`."""
    also = f"; {UNTRAINED!r} takes random weights, drawn from SEED" if untrained else ""
    parser.add_argument("--weights", metavar="FILE.pth", help=f"checkpoint of that config{also}")


def add_overrides(parser: ArgumentParser) -> None:
    """Declare the last words: keys of the config and their values."""
    parser.add_argument(
        "overrides",
        nargs=REMAINDER,
        metavar="KEY VALUE",
        help="config overrides, such as TEST.FLIP.ENABLED True",
    )


def check_model_words(args: Namespace, *, untrained: bool = False, needed: bool = True) -> None:
    """Check the words of :func:`add_model_arguments`, and replace them by what they stand for.

    Afterwards ``config_file`` is a path, ``overrides`` are keys and values in turn without
    ``MODEL.WEIGHTS``, and ``weights`` is a file, ``UNTRAINED`` or None.

    Raises:
        FileNotFoundError: no such config or checkpoint.
        ValueError: the overrides are no pairs; weights are ``needed`` and missing, or given twice.
    """
    args.config_file = find_config(args.config_file)
    pairs = key_value_pairs(args.overrides)
    keys = list(zip(pairs[::2], pairs[1::2], strict=True))
    key = dict(keys).get(WEIGHTS)
    if args.weights is not None and key not in (None, args.weights):
        raise ValueError(f"{WEIGHTS}={key}: --weights {args.weights} stands there, too; try one")
    args.weights = key if args.weights is None else args.weights
    args.overrides = [word for pair in keys if pair[0] != WEIGHTS for word in pair]
    if args.weights:
        given = "--weights" if key is None else WEIGHTS
        check_weights(args.weights, untrained=untrained, called=given)
    elif needed:
        also = f", or {UNTRAINED}" if untrained else ""
        raise ValueError(f"--weights: expected a checkpoint of the config{also}, got none")


def check_weights(weights: str, *, untrained: bool = False, called: str = "--weights") -> None:
    """Refuse a checkpoint that does not exist, with a FileNotFoundError; a URL is not looked up.

    If ``untrained``, the word ``UNTRAINED`` is allowed. The message begins with ``called``.
    """
    if not ((untrained and weights == UNTRAINED) or "://" in weights):
        also = f", or {UNTRAINED}" if untrained else ""
        check_file(weights, f"a checkpoint{also}", f"{called} {weights}")


def model_overrides(args: Namespace) -> list[Any]:
    """Return the overrides of checked words, with ``MODEL.WEIGHTS`` if weights are given."""
    if args.weights is None:
        return list(args.overrides)
    return [*args.overrides, WEIGHTS, "" if args.weights == UNTRAINED else args.weights]


def key_value_pairs(words: Sequence[Any]) -> list[Any]:
    """Return keys and values in turn, from ``KEY VALUE`` and ``KEY=VALUE``.

    Raises:
        ValueError: a key has no value, or a flag stands among the keys.
    """
    pairs: list[Any] = []
    for word in words:
        if len(pairs) % 2:
            pairs.append(word)
        elif not isinstance(word, str):
            raise ValueError(f"overrides: {word!r}: expected a config key, such as SEED")
        elif word.startswith("-"):
            advice = "try the flag before the first KEY VALUE"
            raise ValueError(f"overrides: {word}: expected a config key, got a flag; {advice}")
        else:
            key, equals, value = word.partition("=")
            is_key = key.replace(".", "").isidentifier()
            pairs += [key, value] if equals and is_key else [word]
    if len(pairs) % 2:
        raise ValueError(
            f"overrides: expected KEY VALUE pairs, got {len(words)} words: "
            f"{' '.join(map(str, words))}; try a value after {pairs[-1]}"
        )
    return pairs


def check_file(path: str | os.PathLike[str], expected: str, called: str = "") -> None:
    """Refuse a path that is no file to read, before anything heavy starts.

    Args:
        path: of a regular file, or a link to one.
        expected: what the file should be, such as ``"a checkpoint"``.
        called: how the message names the path, if not by itself.

    Raises:
        FileNotFoundError: nothing is there, or a folder, a pipe or a device.
    """
    if not os.path.isfile(path):
        there = "not a regular file" if os.path.exists(path) else "no such file"
        there = "a folder, no file" if os.path.isdir(path) else there
        raise FileNotFoundError(f"{called or os.fspath(path)}: {there}; expected {expected}")


def similar(word: str, known: Iterable[str]) -> str:
    """Return "; try NAME" with the known name that is most like a word; empty if none is.

    Keys of a config are compared whole, in capitals, and by their last part.
    """
    names = list(known)
    capitals = {name.upper(): name for name in names}
    parts = {name.upper().rpartition(".")[2]: name for name in reversed(names)}
    upper, last = word.upper(), word.upper().rpartition(".")[2]
    whole, part = (upper, capitals), (last, parts)
    for (wanted, among), cutoff in ((whole, 0.8), (part, 0.9), (whole, 0.6)):
        if alike := difflib.get_close_matches(wanted, among, n=1, cutoff=cutoff):
            return f"; try {among[alike[0]]}"
    return ""


def name_of_method(config_file: str, weights: str | None = None) -> str:
    """Return the name of a model in tables: of the folder of its training, or of its config.

    A folder is the ``OUTPUT_DIR`` of a training if the host wrote ``config.yaml`` into the folder.
    A cell of a benchmark has the name of its method beside the folder's, ``FED/seed0``.
    """
    files = [Path(file) for file in (weights, config_file) if file and file != UNTRAINED]
    for folder in (file.absolute().parent for file in files):
        if files[-1].name == OUTPUT_CONFIG or (folder / OUTPUT_CONFIG).is_file():
            return name_of_run(folder)
    return files[-1].stem


def name_of_run(folder: str | Path) -> str:
    """Return the name of a training's folder; for a cell of a benchmark ``FED/seed0``."""
    *_, method, name = ("", *Path(folder).absolute().parts)
    return f"{method}/{name}" if name.removeprefix("seed").isdecimal() else name


def find_config(path: str) -> str:
    """Return the path of a config: a file, or an installed config with or without ``.yml``.

    Raises:
        FileNotFoundError: neither is there; the message names a similar one that is installed.
    """
    if path and Path(path).is_file():
        return path
    folder = installed_configs()
    installed = folder / (Path(path).name.removesuffix(".yml") + ".yml")
    if path and installed.is_file():
        return str(installed)
    if path and os.path.exists(path):
        check_file(path, "a config", f"--config-file {path!r}")
    names = [file.stem for file in sorted(folder.glob("*.yml"))]
    raise FileNotFoundError(
        f"--config-file {path!r}: no such file; expected a path or one of the {len(names)} "
        f"installed configs in {folder}{similar(Path(path).stem, names) or f'; try {names[-1]}'}"
    )


def installed_configs() -> Path:
    """Return the folder of the plugin's configs: in the installed package, or in the checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs" / "FED"


def check_format(name: str, int8: bool = False, find: Callable[[str], Any] = find_spec) -> None:
    """Refuse a format of exported files that is not known, or that cannot be written here.

    ``find`` returns None for a package that is not installed.

    Raises:
        ValueError: an unknown format, int8 in another format than ONNX, or a missing package.
    """
    if name not in FORMATS:
        raise ValueError(f"--format {name}: expected one of {', '.join(FORMATS)}")
    if int8 and name != "onnx":
        raise ValueError(f"--int8: expected --format onnx, got {name}; try without --int8")
    if name == "onnx":
        missing = [package for package in ONNX_PACKAGES if find(package) is None]
        if missing:
            raise ValueError(
                f"--format onnx needs the packages {', '.join(ONNX_PACKAGES)}, and "
                f"{', '.join(missing)} is not installed; try pip install 'fed_plugin[onnx]'"
            )
