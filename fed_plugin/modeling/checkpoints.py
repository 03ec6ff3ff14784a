"""ImageNet weights for the token ViT, from checkpoints with timm's names.

Shape shorthand: ``C`` channels, ``L`` patch tokens on a ``(rows, columns)`` grid.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fed_plugin.modeling.vit import NUM_PREFIX_TOKENS, TokenViT
from fed_plugin.modeling.weight_files import read_weights, unwrapped

logger = logging.getLogger(__name__)

UNUSED_PREFIXES = ("head", "pre_logits", "fc_norm", "fc.")
"""Classifier parts of a timm checkpoint, which a re-ID model has no place for."""

_KEY = "MODEL.BACKBONE.PRETRAIN_PATH"


def load_pretrained(vit: TokenViT, path: str, source_grid: tuple[int, int] = (0, 0)) -> None:
    """Load a timm-named ViT checkpoint into ``vit``, position embedding resized.

    Args:
        vit: model to fill, in place.
        path: file with a state dict, alone or under ``model`` or ``state_dict``.
        source_grid: ``(rows, columns)`` of the file's position embedding; ``(0, 0)`` takes a
            square grid where one fits, else the factors closest to the shape of ``vit.grid``.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: not a checkpoint, a missing or unknown name, or a wrong shape; the message
            names the config key and the file.
    """
    check_pretrained_path(path)
    weights = {
        name: value
        for name, value in _read_state_dict(path).items()
        if not name.startswith(UNUSED_PREFIXES)
    }
    if "pos_embed" in weights:
        weights["pos_embed"] = resize_position_embedding(
            weights["pos_embed"], vit.grid, source_grid, path
        )
    _check_fit(weights, vit.state_dict(), path)
    vit.load_state_dict(weights)
    logger.info("Loaded %d pretrained tensors from %s", len(weights), path)


def check_pretrained_path(path: str) -> None:
    """Refuse a path without a file.

    Raises:
        FileNotFoundError: there is none; the message names the config key.
    """
    if not path or not Path(path).is_file():
        raise FileNotFoundError(
            f"{_KEY}={path!r}: no such file; expected a ViT checkpoint with timm's names "
            "(or set MODEL.BACKBONE.PRETRAIN False to start from random weights)"
        )


def resize_position_embedding(
    embedding: Tensor, grid: tuple[int, int], source_grid: tuple[int, int] = (0, 0), path: str = ""
) -> Tensor:
    """Resize a position embedding to another grid, bilinearly; the cls entry stays as it is.

    Args:
        embedding: (1, 1 + L_old, C).
        grid: ``(rows, columns)`` wanted.
        source_grid: ``(rows, columns)`` of ``embedding``; ``(0, 0)`` to infer them.
        path: file it came from, for the error message.

    Returns:
        (1, 1 + rows * columns, C).

    Raises:
        ValueError: ``source_grid`` does not hold L_old tokens, or ``embedding`` is no such tensor.
    """
    if embedding.ndim != 3 or embedding.shape[1] <= NUM_PREFIX_TOKENS:
        raise ValueError(
            f"{_KEY}={path!r}: pos_embed is {tuple(embedding.shape)}, expected (1, 1 + L, C)"
        )
    num_tokens = embedding.shape[1] - NUM_PREFIX_TOKENS
    rows, columns = source_grid if any(source_grid) else _infer_grid(num_tokens, grid)
    if rows * columns != num_tokens:
        raise ValueError(
            f"MODEL.FED.VIT.PRETRAIN_GRID={tuple(source_grid)}: {path!r} holds {num_tokens} "
            f"position embeddings, expected {rows} x {columns}"
        )
    if (rows, columns) == tuple(grid):
        return embedding
    prefix, patches = embedding[:, :NUM_PREFIX_TOKENS], embedding[:, NUM_PREFIX_TOKENS:]
    patches = patches.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    patches = F.interpolate(patches, size=grid, mode="bilinear", align_corners=False)
    logger.info("Resized position embedding from %dx%d to %dx%d", rows, columns, *grid)
    return torch.cat((prefix, patches.flatten(2).transpose(1, 2)), dim=1)


def _infer_grid(num_tokens: int, grid: tuple[int, int]) -> tuple[int, int]:
    side = math.isqrt(num_tokens)
    if side * side == num_tokens:
        return side, side
    wanted = math.log(grid[0] / grid[1])
    rows = min(
        (r for r in range(1, num_tokens + 1) if num_tokens % r == 0),
        key=lambda r: abs(math.log(r * r / num_tokens) - wanted),
    )
    return rows, num_tokens // rows


def _read_state_dict(path: str) -> dict[str, Tensor]:
    try:
        content = unwrapped(read_weights(path))
    except ValueError as error:
        raise ValueError(
            f"{_KEY}={path!r}: not a PyTorch checkpoint of tensors ({error})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{_KEY}={path!r}: holds a {type(content).__name__}, expected a state dict"
        )
    return {
        name.removeprefix("module."): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _check_fit(weights: dict[str, Tensor], expected: dict[str, Tensor], path: str) -> None:
    unknown = sorted(weights.keys() - expected.keys())
    missing = sorted(expected.keys() - weights.keys())
    if unknown or missing:
        raise ValueError(
            f"{_KEY}={path!r}: not the ViT that MODEL.BACKBONE.DEPTH and MODEL.FED.VIT describe; "
            f"missing {missing[:3]} ({len(missing)} in all), "
            f"unknown {unknown[:3]} ({len(unknown)} in all)"
        )
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"{_KEY}={path!r}: {name} is {tuple(value.shape)}, expected "
                f"{tuple(expected[name].shape)} by MODEL.BACKBONE.DEPTH, MODEL.FED.VIT and "
                "INPUT.SIZE_TRAIN"
            )
