"""One strict loader for any published weights, into any model of timm, with a table of what it did.

Shape shorthand: ``C`` channels, ``L`` patch tokens on a ``(rows, columns)`` grid.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from torch import Tensor, nn

from fed_plugin.modeling.weight_files import WeightFile, read_weight_file
from fed_plugin.modeling.weight_layouts import (
    HALF,
    HEADS,
    LUPERSON_GRID,
    SIE,
    Layout,
    explain,
    is_of_kind,
    reason_for,
    recognise,
    without_prefixes,
)

logger = logging.getLogger("fastreid.fed_plugin.weights")

WRONG = ("missing", "unknown", "mismatch")
"""Actions of rows that refuse a file."""
KINDS_TO_KEEP = {"sie": SIE, "heads": HEADS}


@dataclass(frozen=True)
class Row:
    """What became of one tensor.

    Attributes:
        tensor: its name in the file; in the model where it is missing.
        action: ``loaded``, ``renamed``, ``resized``, ``dropped``, ``kept``, ``missing``,
            ``unknown`` or ``mismatch``.
        target: its name in the model.
        detail: sizes, or why it is dropped.
    """

    tensor: str
    action: str
    target: str = ""
    detail: str = ""


@dataclass
class Report:
    """What a loader did with a file.

    Attributes:
        path: the file.
        layout: name of the layout.
        example: a model of timm for these weights.
        wrappers: entries of the file that held the tensors.
        pixel_mean: mean of the images for these weights, in [0, 255]; None if nobody knows.
        pixel_std: divisor, likewise.
        rows: one per tensor.
        kept: tensors without a place in the model that were asked for, by the file's names.
    """

    path: str
    layout: str
    example: str
    wrappers: tuple[str, ...]
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None
    rows: list[Row] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows of each action."""
        return dict(Counter(row.action for row in self.rows))

    def table(self, most: int = 60) -> str:
        """Return the rows as text, errors first, rows that differ in numbers alone as one."""
        alike: dict[tuple[str, ...], int] = {}
        for row in sorted(self.rows, key=lambda row: row.action not in WRONG):
            name, target = (re.sub(r"\.\d+(?=\.)", ".*", n) for n in (row.tensor, row.target))
            key = (row.action, name, "" if target == name else target, row.detail)
            alike[key] = alike.get(key, 0) + 1
        lines = [
            f"{action:9}{number:4} x {name}"
            + f" -> {target}" * bool(target)
            + f"  ({detail})" * bool(detail)
            for (action, name, target, detail), number in alike.items()
        ]
        rest = len(lines) - most
        return "\n".join(lines[:most] + [f".. and {rest} more kinds of rows"] * (rest > 0))

    def as_json(self) -> dict[str, Any]:
        """Return everything but the kept tensors, as JSON takes it."""
        plain = {k: v for k, v in vars(self).items() if k not in ("rows", "kept")}
        return {**plain, "counts": self.counts, "rows": [vars(row) for row in self.rows]}

    def check(self) -> None:
        """Refuse a file that does not fit.

        Raises:
            ValueError: with the first rows of the table.
        """
        wrong = []
        for action in WRONG:
            rows = [row for row in self.rows if row.action == action]
            if action == "mismatch":
                wrong += [f"{row.target} is {row.detail}" for row in rows[:3]]
            elif rows:
                names = [row.tensor for row in rows[:3]]
                wrong.append(f"{action} {names} ({len(rows)} in all)")
        if wrong:
            raise ValueError(
                f"path={self.path!r}: not the weights of this model; {', '.join(wrong)}; the file "
                f"has the layout {self.layout!r}, try a model such as timm's "
                f"{self.example or 'of the same name'}\n{self.table(most=8)}"
            )


def load_weights(model: nn.Module, path: str | os.PathLike[str], **options: Any) -> Report:
    """Load a published file into a model of timm; log and return what was done.

    Args:
        model: model to fill, in place; untouched after an error.
        path: file, see :func:`~fed_plugin.modeling.weight_files.read_weight_file`.
        **options: of :func:`plan_weights`.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: the file does not fit; the message has the first rows of the table.
    """
    report, weights = plan_weights(model, path, **options)
    report.check()
    left = {row.tensor: torch.empty(0) for row in report.rows if row.action == "dropped"}
    model.load_state_dict({**left, **weights}, strict=False)  # returns the names that are unused
    logger.info("Loaded %s as %s, %s\n%s", path, report.layout, report.counts, report.table())
    return report


def plan_weights(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    source_grid: tuple[int, int] = (0, 0),
    interpolation: str = "bicubic",
    pixels: str | tuple[Any, Any] = "auto",
    resample_patch: bool = False,
    activation: str = "auto",
    keep: tuple[str, ...] = (),
    wrapper: str = "",
    file: WeightFile | None = None,
) -> tuple[Report, dict[str, Tensor]]:
    """Return what :func:`load_weights` would do, and the tensors by the model's names.

    Args:
        model: model of timm, which may be on the meta device.
        path: file to read.
        source_grid: ``(rows, columns)`` of the file's position embedding; ``(0, 0)`` takes what the
            keys tell, else a square.
        interpolation: of positions, ``"bicubic"`` with antialias as timm, or ``"bilinear"``.
        pixels: ``"auto"`` for the constants of the weights, ``"reid"`` for 127.5 as re-ID projects
            fine-tune with, or ``(mean, std)`` in [0, 255], refused where the weights have others.
        resample_patch: whether kernels of another patch size are resampled.
        activation: that of the weights; ``"auto"`` for what their layout had, or ``"gelu"`` for a
            CLIP that was trained with it; OpenAI's was not.
        keep: of ``"sie"`` and ``"heads"``, tensors for the report instead of dropped ones.
        wrapper: entry of the file that holds the state dict; empty for the usual one.
        file: what is in the file, if it was read already.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: the weights belong to another architecture, a grid is not known, or the
            constants differ.
    """
    path = str(path)
    file = file or read_weight_file(path, wrapper)
    reasons: dict[str, str] = {}
    tensors, prefixes = without_prefixes(file.tensors, reasons)
    layout = recognise(tensors, prefixes, file.wrappers)
    check_architecture(layout, model, activation, path)
    try:
        converted = layout.convert(tensors, model, reasons)
    except (ValueError, AttributeError, KeyError) as error:
        raise ValueError(f"path={path!r}: {error} (layout {layout.name!r})") from error
    resized: dict[str, str] = {}
    _fit_prefix_tokens(converted, model, reasons)
    if "pos_embed" in converted and getattr(model, "pos_embed", None) is not None:
        rows, columns = source_grid
        sizes = _fit_positions(converted, model, layout, (rows, columns), interpolation, path)
        resized |= {"pos_embed": sizes} if sizes else {}
    _fit_sizes(converted, model, resized, resample_patch, path)
    mean, std = _pixels(pixels, layout, model, path)
    report = Report(path, layout.name, layout.example, file.wrappers, mean, std)
    weights = _fill_rows(report, file, converted, model, resized, reasons, keep)
    return report, weights


def describe_weights(path: str | os.PathLike[str], wrapper: str = "") -> dict[str, Any]:
    """Return what the keys of a file tell, as JSON takes it.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: the file holds no tensors.
    """
    file = read_weight_file(path, wrapper)
    tensors, prefixes = without_prefixes(file.tensors, {})
    layout = recognise(tensors, prefixes, file.wrappers)
    positions = [v for k, v in tensors.items() if re.search(r"(^|[./])pos(ition)?(al)?_embed", k)]
    grid = None
    if positions and positions[0].ndim in (2, 3):
        with suppress(ValueError):
            _, grid = find_source_grid(positions[0].shape[-2], [1, 0], (0, 0), (0, 0), layout)
    kernels = [v.shape[-1] for v in tensors.values() if v.ndim == 4]
    about = ("eps", "quick", "pixels", "family", "example")
    return {
        "path": str(path),
        "layout": layout.name,
        "wrappers": file.wrappers,
        "prefixes": prefixes,
        "tensors": len(tensors),
        "million": round(sum(v.numel() for v in tensors.values()) / 1e6, 3),
        "positions": list(positions[0].shape) if positions else None,
        "grid": grid,
        "kernel": kernels[0] if kernels else None,
        **{name: getattr(layout, name) for name in about},
    }


def check_architecture(layout: Layout, model: nn.Module, activation: str, path: str) -> None:
    """Refuse a model that computes something else with the same names.

    Raises:
        ValueError: another family, epsilon or activation than the weights were trained with.
    """
    families = [kind.__name__ for kind in type(model).__mro__]
    wrong = ""
    block = next((m for m in model.modules() if hasattr(m, "norm1") and hasattr(m, "mlp")), None)
    eps = getattr(getattr(block, "norm1", None), "eps", None)
    act = type(getattr(getattr(block, "mlp", None), "act", None)).__name__
    quick = layout.quick and activation != "gelu"
    if layout.family and layout.family not in families:
        wrong = f"the model is a {families[0]}, expected a {layout.family}"
    elif block is not None and layout.quick is not None and quick != (act == "QuickGELU"):
        wrong = f"the model has {act}, expected {'QuickGELU' if quick else 'GELU'}"
        wrong += "; activation='gelu' takes a CLIP that was trained with GELU" * bool(quick)
    elif eps is not None and layout.eps is not None and not math.isclose(eps, layout.eps):
        wrong = f"the model's LayerNorms have eps {eps:g}, expected {layout.eps:g}"
    elif layout.name.endswith(("SOLIDER", "SOLIDER)")):
        wrong = _wrong_windows(model)
    elif "ICS" in layout.name and not hasattr(model.patch_embed, "conv"):
        wrong = "the model has no convolution stem"
    if wrong:
        raise ValueError(
            f"path={path!r}: weights of {layout.name}, but {wrong}; try a model such as timm's "
            f"{layout.example}"
        )


def _wrong_windows(model: Any) -> str:
    """Say where a Swin shifts or cuts windows otherwise than SOLIDER's."""
    for layer in model.layers:
        for number, block in enumerate(layer.blocks):
            window = block.window_size
            padded = any(s % w for s, w in zip(block.input_resolution, window, strict=True))
            shift = tuple(side // 2 * (number % 2) for side in window)
            if (padded and type(block).__name__ != "PaddedFirst") or block.shift_size != shift:
                return f"the model's windows on a map of {block.input_resolution} differ"
    return ""


def _pixels(asked: Any, layout: Layout, model: Any, path: str) -> tuple[Any, Any]:
    """Return mean and deviation."""
    known = layout.pixels
    if known is None and isinstance(asked, str):
        constants = getattr(model, "pretrained_cfg", None) or {}
        if "mean" in constants:
            known = tuple(tuple(255 * x for x in constants[k]) for k in ("mean", "std"))  # type: ignore[assignment]
    if isinstance(asked, str):
        if asked not in ("auto", "reid"):
            raise ValueError(f"pixels={asked!r}: expected 'auto', 'reid' or (mean, std)")
        return HALF if asked == "reid" else known or (None, None)
    given = tuple(tuple(float(x) for x in numbers) for numbers in asked)
    if known is not None:
        pairs = zip((*given[0], *given[1]), (*known[0], *known[1]), strict=True)
        if any(abs(a - b) > 0.6 for a, b in pairs):
            raise ValueError(
                f"pixels={given}: the weights {path!r} ({layout.name}) were trained with {known}; "
                "try 'auto' for theirs, or 'reid' for 127.5 as re-ID projects fine-tune with"
            )
    return given[0], given[1]


def _fit_prefix_tokens(weights: dict[str, Tensor], model: Any, reasons: dict[str, str]) -> None:
    """Drop a distillation token that the model has no place for, and its position."""
    if "dist_token" in weights and getattr(model, "dist_token", None) is None:
        why = "distillation token, of which the model has none"
        explain(reasons, why, weights.pop("dist_token"))
        positions = weights["pos_embed"]
        weights["pos_embed"] = torch.cat((positions[:, :1], positions[:, 2:]), dim=1)
    own = model.state_dict().keys()
    if "fc_norm.weight" in own and "norm.weight" not in own and "fc_norm.weight" not in weights:
        for kind in ("weight", "bias"):  # models that pool before their norm, of MAE's weights
            if f"norm.{kind}" in weights:
                weights[f"fc_norm.{kind}"] = weights.pop(f"norm.{kind}")


def _fit_positions(
    weights: dict[str, Tensor],
    model: Any,
    layout: Layout,
    source_grid: tuple[int, int],
    interpolation: str,
    path: str,
) -> str:
    """Bring the position embedding to the model's grid; return "from -> to", empty for equal."""
    positions = weights["pos_embed"]
    rows, columns = grid_of(model)
    wanted_prefix = model.pos_embed.shape[1] - rows * columns
    if positions.ndim != 3 or positions.shape[2] != model.pos_embed.shape[2]:
        return ""  # a mismatch of its own
    tokens = sum(f"{name}_token" in weights for name in ("cls", "dist"))
    prefix, grid = find_source_grid(
        positions.shape[1], sorted({0, tokens}, reverse=True), (rows, columns), source_grid,
        layout, path,
    )  # fmt: skip
    cells = positions[:, prefix:]
    before = positions[:, :prefix]
    if grid != (rows, columns):
        cells = resize_grid(cells, grid, (rows, columns), interpolation)
    if prefix == 1 and wanted_prefix == 0 and "cls_token" in weights:  # the sum is the same
        weights["cls_token"], before = weights["cls_token"] + before, before[:, :0]
    elif prefix == 0 and wanted_prefix:
        before = cells.new_zeros(1, wanted_prefix, cells.shape[2])
    weights["pos_embed"] = torch.cat((before, cells), dim=1)
    return "" if grid == (rows, columns) else f"grid {grid[0]}x{grid[1]} -> {rows}x{columns}"


def grid_of(model: Any) -> tuple[int, int]:
    """Return (rows, columns) of a ViT's patch tokens."""
    rows, columns = getattr(model.patch_embed, "grid_size", None) or model.grid
    return rows, columns


def find_source_grid(
    length: int,
    prefixes: list[int],
    grid: tuple[int, int],
    given: tuple[int, int],
    layout: Layout,
    path: str = "",
) -> tuple[int, tuple[int, int]]:
    """Return how many of ``length`` positions are no patches, and the grid of the others.

    Args:
        length: positions of the file.
        prefixes: how many of them may be no patches.
        grid: ``(rows, columns)`` of the model.
        given: ``(rows, columns)`` of the file; ``(0, 0)`` if the user does not say.
        layout: of the file.
        path: for the message.

    Raises:
        ValueError: no grid fits, or more than one.
    """
    for known in (given, layout.grid):
        for prefix in prefixes:
            if known and any(known) and known[0] * known[1] == length - prefix:
                return prefix, (known[0], known[1])
    if any(given):
        raise ValueError(
            f"source_grid={given}: {path!r} holds {length - prefixes[0]} position embeddings, "
            f"expected {given[0]} x {given[1]}"
        )
    several = False
    for prefix in prefixes:
        cells, side = length - prefix, math.isqrt(length - prefix)
        people = [(r, cells // r) for r in range(1, cells + 1) if cells % r == 0]
        people = [(r, c) for r, c in people if 1.6 * c <= r <= 4 * c]
        fits = set()
        if side * side == cells and (layout.squares or grid == (side, side)):
            fits.add((side, side))
        if cells == grid[0] * grid[1] and people == [grid]:  # as the model, the one upright grid
            fits.add(grid)
        if len(fits) == 1:
            return prefix, fits.pop()
        several = several or len(fits) > 1
    why = "more than one grid fits" if several else "no square grid fits"
    raise ValueError(
        f"source_grid=(0, 0): {path!r} ({layout.name}) holds {length} position embeddings, and "
        f"{why}; expected (rows, columns) of the file's own images, such as {LUPERSON_GRID} for "
        "256x128 and patches of 16"
    )


def resize_grid(
    cells: Tensor, source: tuple[int, int], target: tuple[int, int], interpolation: str
) -> Tensor:
    """Resize positions (1, L_old, C) between grids: bicubic with antialias, or bilinear."""
    if interpolation not in ("bicubic", "bilinear"):
        raise ValueError(f"interpolation={interpolation!r}: expected bicubic or bilinear")
    image = cells.reshape(1, *source, -1).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    smooth = {"antialias": True} if interpolation == "bicubic" else {}
    image = F.interpolate(image, size=target, mode=interpolation, align_corners=False, **smooth)
    return image.flatten(2).transpose(1, 2)


def _fit_sizes(
    weights: dict[str, Tensor],
    model: nn.Module,
    resized: dict[str, str],
    resample_patch: bool,
    path: str,
) -> None:
    """Resample patches, if asked, and the relative positions of windows."""
    for name, target in model.state_dict().items():
        tensor = weights.get(name)
        if tensor is None or tensor.shape == target.shape:
            continue
        sizes = f"{tuple(tensor.shape)} -> {tuple(target.shape)}"
        if name.endswith("relative_position_bias_table") and tensor.shape[1] == target.shape[1]:
            if math.isqrt(tensor.shape[0]) ** 2 != tensor.shape[0]:
                continue
            window: Any = model.get_submodule(name.rpartition(".")[0]).window_size
            weights[name] = resize_rel_pos_bias_table(tensor, window, tuple(target.shape))
            resized[name] = sizes
        elif name == "patch_embed.proj.weight" and tensor.shape[:2] == target.shape[:2]:
            old, new = tensor.shape[-1], target.shape[-1]
            if not resample_patch:
                raise ValueError(
                    f"resample_patch=False: {path!r} has patches of {old} pixels, the model of "
                    f"{new}; expected the same, or True to resample the kernel"
                )
            weights[name] = resample_patch_embed(tensor, list(target.shape[-2:]))
            resized[name] = f"patch {old} -> {new}"


def _fill_rows(
    report: Report,
    file: WeightFile,
    converted: dict[str, Tensor],
    model: nn.Module,
    resized: dict[str, str],
    reasons: dict[str, str],
    keep: tuple[str, ...],
) -> dict[str, Tensor]:
    """Give every tensor of file and model a row; return the plain tensors to load."""
    unheard = set(keep) - KINDS_TO_KEEP.keys()
    if unheard:
        raise ValueError(f"keep={tuple(keep)}: expected some of {', '.join(KINDS_TO_KEEP)}")
    own = model.state_dict()
    weights = {name: value.as_subclass(Tensor) for name, value in converted.items() if name in own}
    targets: dict[str, str] = {}
    for name in weights:
        targets |= dict.fromkeys(getattr(converted[name], "sources", ()), name)
    for name, tensor in file.tensors.items():
        target = targets.get(name, "")
        reason = reasons.get(name) or reason_for(name)
        if target and weights[target].shape != own[target].shape:
            sizes = f"{tuple(weights[target].shape)}, expected {tuple(own[target].shape)}"
            row = Row(name, "mismatch", target, sizes)
        elif target:
            action = "resized" if target in resized else "loaded" if target == name else "renamed"
            row = Row(name, action, target, resized.get(target, ""))
        elif any(is_of_kind(name, KINDS_TO_KEEP[kind]) for kind in keep):
            report.kept[name] = tensor
            row = Row(name, "kept", detail=str(tuple(tensor.shape)))
        else:
            row = Row(name, "dropped" if reason else "unknown", detail=reason)
        report.rows.append(row)
    missing = [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]
    report.rows += [Row(name, "missing", name, str(tuple(own[name].shape))) for name in missing]
    return weights
