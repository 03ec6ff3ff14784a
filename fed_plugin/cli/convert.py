"""``convert``: a checkpoint of the released FED code, for fast-reid's ``--eval-only``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from fed_plugin.files import OutputFile, write_atomically
from fed_plugin.modeling import convert_reference_state_dict
from fed_plugin.modeling.checkpoints import read_weights, unwrapped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("source", metavar="IN.pth", help="checkpoint of the released code")
    parser.add_argument(
        "target", type=OutputFile, metavar="OUT.pth", help="file to write, for MODEL.WEIGHTS"
    )
    parser.add_argument("--force", action="store_true", help="write over an existing OUT.pth")


def run(args: argparse.Namespace) -> None:
    """Convert one file and write OUT.pth atomically.

    Raises:
        FileNotFoundError: no such IN.pth.
        FileExistsError: OUT.pth exists, without ``--force``.
        ValueError: IN.pth is no checkpoint of the released code.
    """
    source, target = Path(args.source), Path(args.target)
    if target.exists() and not args.force:
        raise FileExistsError(f"{target}: exists already; try another name, or --force")
    try:
        converted = convert_reference_state_dict(_read(source))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{source}: {error.args[0]}") from error
    with write_atomically(target) as file:
        torch.save({"model": converted}, file)
    values = sum(tensor.numel() for tensor in converted.values())
    print(f"wrote {target}: {len(converted)} tensors, {values / 1e6:.1f} M values")


def _read(source: Path) -> dict[str, Any]:
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file; expected a checkpoint to convert")
    try:
        content = unwrapped(read_weights(source))
    except ValueError as error:
        raise ValueError(
            f"{source}: expected a PyTorch checkpoint of tensors alone; {error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{source}: holds a {type(content).__name__}, expected a state dict")
    return content
