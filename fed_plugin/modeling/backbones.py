"""Backbones that carry FED: any model of timm, and the ViT of the reference.

FED takes from a backbone what :func:`as_features` takes, and measures the rest (:class:`Facts`); a
module of another project carries FED in the same way.

Shape shorthand: ``B`` images, ``C`` channels, ``L = rows * columns`` cells of the feature grid in
reading order, ``H, W`` image height and width in pixels.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

import fed_plugin.modeling.timm_variants  # noqa: F401 - registers names with timm


class Features(NamedTuple):
    """What a backbone returns."""

    grid: Tensor
    """(B, rows, columns, C), the image's cells in reading order."""
    vector: Tensor
    """(B, C'), one feature of the whole image."""


def check_choice(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of some words.

    Raises:
        ValueError: the message begins with the argument.
    """
    if value not in allowed:
        raise ValueError(f"{argument}={value!r}: expected one of {', '.join(allowed)}")


def as_features(encoded: Features | Tensor) -> Features:
    """Return what any backbone made as :class:`Features`.

    Args:
        encoded: features; a map (B, C, rows, columns), whose mean is the vector; or tokens
            (B, 1 + L, C), the vector first, as one column of L rows.

    Raises:
        ValueError: something else.
    """
    if isinstance(encoded, Features):
        return encoded
    if encoded.ndim == 4:
        grid = encoded.permute(0, 2, 3, 1)
        return Features(grid, grid.mean(dim=(1, 2)))
    if encoded.ndim != 3:
        raise ValueError(
            f"features of shape {tuple(encoded.shape)}: expected tokens (B, 1 + L, C), a map "
            "(B, C, rows, columns) or Features"
        )
    return Features(encoded[:, 1:, None], encoded[:, 0])


@dataclass(frozen=True)
class Facts:
    """What is known of a backbone, and of the weights that it was published with.

    Attributes:
        grid: (rows, columns).
        channels: C of the grid.
        vector_channels: C' of the vector.
        has_tokens: whether the grid is made of tokens, behind a token of the whole image.
        pixel_mean: mean of the images that the weights were trained with, in [0, 255]; None if not
            known.
        pixel_std: divisor, likewise.
    """

    grid: tuple[int, int]
    channels: int
    vector_channels: int
    has_tokens: bool
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None


@torch.no_grad()
def measure(backbone: nn.Module, img_size: tuple[int, int]) -> Facts:
    """Describe one black image (H, W), in evaluation mode: BatchNorm learns nothing from it.

    Raises:
        ValueError: the backbone makes no features that FED takes.
    """
    trains = backbone.training
    backbone.eval()
    try:
        encoded = backbone(torch.zeros(1, 3, *img_size))
    finally:
        backbone.train(trains)
    grid, vector = as_features(encoded)
    tokens = getattr(
        backbone, "prefix_tokens", encoded.ndim == 3 if torch.is_tensor(encoded) else ()
    )
    constants = (getattr(backbone, name, None) for name in ("pixel_mean", "pixel_std"))
    shape = (grid.shape[1], grid.shape[2])
    return Facts(shape, grid.shape[3], vector.shape[1], bool(tokens), *constants)


@lru_cache
def facts_of_timm(
    name: str,
    img_size: tuple[int, int],
    stride: tuple[int, int] | None = None,
    other_size: tuple[int, int] | None = None,
) -> Facts:
    """Return the facts of a timm model without its weights and without computing anything.

    Args:
        name: as :class:`TimmBackbone`.
        img_size: (H, W) that the model is made for.
        stride: as :class:`TimmBackbone`.
        other_size: (H, W) of images that the made model is asked about, if not ``img_size``.

    Raises:
        ValueError: as :class:`TimmBackbone`; or the made model takes no images of ``other_size``.
    """
    with torch.device("meta"):
        model = TimmBackbone(name, img_size, stride)
        try:
            return measure(model, other_size or img_size)
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"other_size={other_size}: {name} is for {img_size} alone") from error


WANTED_STRIDE = 16
"""Pixels of a cell, for families that can choose it."""
OUTPUTS = ("features", "vector", "map")


class TimmBackbone(nn.Module):
    """Model of timm, by name.

    A model that makes tokens gives its patch tokens as the grid, and as the vector what it hands to
    its classifier: the cls token, an attention pool, or the mean. A model that makes a map gives
    the map and its mean.

    Args:
        name: name of a model of timm, such as ``"tf_efficientnet_lite0"``.
        img_size: ``(H, W)`` of the images in pixels.
        stride: pixels between two cells, ``(vertical, horizontal)``. A ViT takes any, patches
            overlap where the stride is below the patch. Maps take 8, 16 or 32, where the family can
            choose. None takes the patch of a ViT, and 16 for maps where the family can choose.
        output: ``"features"``; ``"vector"`` for (B, C', 1, 1) or ``"map"`` for (B, C, rows,
            columns), the shapes that fast-reid's ``EmbeddingHead`` pools.
        drop_path: stochastic depth of the last layer.
        drop: dropout after the position embedding and in every layer of a ViT.
        attn_drop: dropout of attention weights.
        recompute: whether the backward pass computes activations again instead of keeping them.
        pretrained: whether timm fetches its weights of the model, or takes them from its cache.

    Attributes:
        grid: (rows, columns).
        prefix_tokens: meaning of each token that stands before the grid, such as ``("cls",)``;
            empty for maps.
        pixel_mean: mean of the images that the published weights were trained with, in [0, 255].
        pixel_std: divisor, in [0, 255].

    Raises:
        ValueError: timm has no such model, or the model takes no images of this size or no such
            stride.
    """

    def __init__(
        self,
        name: str,
        img_size: tuple[int, int],
        stride: tuple[int, int] | None = None,
        *,
        output: str = "features",
        drop_path: float = 0.0,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        recompute: bool = False,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_choice("output", output, OUTPUTS)
        self.name, self.img_size, self.output = name, img_size, output
        rates = {"drop_path_rate": drop_path, "attn_drop_rate": attn_drop}
        rates |= {"pos_drop_rate": drop, "proj_drop_rate": drop}
        self.model: Any = _create(name, img_size, stride, rates, pretrained)
        if recompute:
            self.model.set_grad_checkpointing(True)
        self.prefix_tokens = prefix_tokens(self.model)
        constants = self.model.pretrained_cfg
        self.pixel_mean = tuple(255 * value for value in constants["mean"])
        self.pixel_std = tuple(255 * value for value in constants["std"])
        self._check_images(stride)

    @torch.enable_grad()
    def _check_images(self, stride: tuple[int, int] | None) -> None:
        """Describe one image; freeze what it did not need, as DDP wants a gradient for the rest.

        Raises:
            ValueError: the model takes no such size or stride.
        """
        trains = self.training
        self.eval()
        try:
            grid, vector = self.features(torch.zeros(1, 3, *self.img_size))
            weights = list(self.model.parameters())
            gradients = torch.autograd.grad(grid.sum() + vector.sum(), weights, allow_unused=True)
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"img_size={self.img_size}: {self.name} takes no images of that height and width "
                f"({str(error).splitlines()[0]})"
            ) from error
        finally:
            self.train(trains)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.requires_grad_(gradient is not None)
        self.grid = rows, columns = grid.shape[1], grid.shape[2]
        if stride is None or _patch_of(self.model):
            return
        wanted = tuple(-(-side // step) for side, step in zip(self.img_size, stride, strict=True))
        if wanted != (rows, columns):
            cell = tuple(
                round(side / n) for side, n in zip(self.img_size, grid.shape[1:3], strict=True)
            )
            raise ValueError(f"stride={stride}: {self.name} has cells of {cell} pixels; try {cell}")

    def features(self, images: Tensor) -> Features:
        """Encode normalised images (B, 3, H, W)."""
        choose_attention(self.model, images)
        encoded = self.model.forward_features(images)
        if encoded.ndim == 4:
            if getattr(self.model, "output_fmt", "NCHW") != "NHWC":
                encoded = encoded.permute(0, 2, 3, 1)
            return Features(encoded, encoded.mean(dim=(1, 2)))
        norm = getattr(self.model, "fc_norm", nn.Identity())  # models that pool before their norm
        cells = norm(encoded[:, len(self.prefix_tokens) :])
        vector = norm(self._vector(encoded))
        return Features(cells.unflatten(1, self._token_grid(cells.shape[1])), vector)

    def _token_grid(self, count: int) -> tuple[int, int]:
        """Return (rows, columns) of ``count`` patch tokens."""
        known = getattr(getattr(self.model, "patch_embed", None), "grid_size", None)
        rows = known[0] if known else round((count * self.img_size[0] / self.img_size[1]) ** 0.5)
        if count % rows:
            raise ValueError(f"{count} patch tokens make no grid of the shape of the images")
        return int(rows), count // int(rows)

    def _vector(self, tokens: Tensor) -> Tensor:
        """Pool tokens as the model does before its classifier."""
        if hasattr(self.model, "pool"):
            return self.model.pool(tokens)
        return tokens[:, 0] if self.prefix_tokens else tokens.mean(dim=1)

    def forward(self, images: Tensor) -> Features | Tensor:
        """Encode normalised images (B, 3, H, W).

        Returns:
            :class:`Features`, or the tensor that ``output`` names.
        """
        features = self.features(images)
        if self.output == "map":
            return features.grid.permute(0, 3, 1, 2)
        return features if self.output == "features" else features.vector[:, :, None, None]


def _create(
    name: str,
    img_size: tuple[int, int],
    stride: tuple[int, int] | None,
    rates: dict[str, float],
    pretrained: bool,
) -> Any:
    """Create a model with the arguments that its class takes."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ValueError(
            f"name={name!r}: timm has no such model; expected one of timm.list_models(), try "
            f"{', '.join(near) or 'another name'}"
        )
    with torch.device("meta"):
        sketch = timm.create_model(name, num_classes=0)
    taken = {
        argument for kind in type(sketch).__mro__ for argument in inspect.signature(kind).parameters
    }
    arguments: dict[str, Any] = {key: rate for key, rate in rates.items() if key in taken}
    patch = _patch_of(sketch)
    if patch is None:
        if "img_size" in taken:
            arguments["img_size"] = img_size
        if "output_stride" in taken:
            arguments["output_stride"] = stride[0] if stride else WANTED_STRIDE
        return _created(name, arguments, stride is not None, pretrained)
    step = stride or patch
    if any(t > p for t, p in zip(step, patch, strict=True)):
        raise ValueError(
            f"stride={stride}: patches of {patch} pixels would leave gaps; expected {patch} or "
            "less, None for the patch itself"
        )
    arguments["img_size"] = size_of_grid(img_size, patch, step)
    if "dynamic_img_size" in taken:  # which resamples positions, even to the same grid
        arguments["dynamic_img_size"] = False
    model = _fetched(name, arguments, pretrained)
    model.patch_embed.proj.stride = tuple(step)
    model.patch_embed.img_size = img_size
    keep_patches_in_fp32(model)
    return model


def _patch_of(model: nn.Module) -> tuple[int, int] | None:
    """Return the patch of a plain ViT in pixels, None for other models."""
    embed = getattr(model, "patch_embed", None)
    is_plain = hasattr(model, "num_prefix_tokens") and isinstance(
        getattr(embed, "proj", None), nn.Conv2d
    )
    return tuple(embed.patch_size) if is_plain and embed is not None else None


def _created(name: str, arguments: dict[str, Any], required: bool, pretrained: bool) -> Any:
    """Create a model; without a wanted stride where the family has no such, unless required."""
    try:
        return _fetched(name, arguments, pretrained)
    except (AssertionError, NotImplementedError) as error:
        stride = arguments.pop("output_stride", None)
        if stride is None:
            raise
        if required:
            raise ValueError(
                f"{name} has no output stride of {stride}; expected 32, or another model"
            ) from error
    return _fetched(name, arguments, pretrained)


def _fetched(name: str, arguments: dict[str, Any], pretrained: bool) -> Any:
    if not pretrained:
        return timm.create_model(name, num_classes=0, **arguments)
    try:
        return timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except Exception as error:  # of the hub, the network, or a name without weights
        raise ValueError(
            f"name={name!r}: timm's weights cannot be had ({str(error).splitlines()[0]:.200}); "
            "expected a network or the cache of timm, try a file of weights"
        ) from error


def size_of_grid(
    img_size: tuple[int, int], patch: Sequence[int], stride: Sequence[int]
) -> tuple[int, int]:
    """Return the image size that has as many patches without overlap as ``img_size`` has with it.

    timm derives the position embedding from image size and patch size alone.
    """
    if min(img_size[0] - patch[0], img_size[1] - patch[1]) < 0:
        raise ValueError(f"img_size={img_size} is smaller than a patch {tuple(patch)}")
    rows, columns = ((s - p) // t + 1 for s, p, t in zip(img_size, patch, stride, strict=True))
    return rows * patch[0], columns * patch[1]


def prefix_tokens(model: nn.Module) -> tuple[str, ...]:
    """Name the tokens of a timm model that stand before the patch tokens."""
    count = int(getattr(model, "num_prefix_tokens", 0))
    named = [name for name in ("cls", "dist") if getattr(model, f"{name}_token", None) is not None]
    return (*named, *["register"] * (count - len(named)))[:count]


@cache
def _in_fp32(kind: Any) -> Any:
    def forward(self: Any, x: Tensor) -> Any:
        with torch.autocast("cpu", enabled=False) if x.is_cpu else nullcontext():
            return kind.forward(self, x)

    return type(kind.__name__, (kind,), {"forward": forward})


def keep_patches_in_fp32(model: Any) -> None:
    """Keep autocast off the projection of a ViT's patches on a CPU.

    PyTorch's bf16 convolution for AMX gives NaN now and then.
    """
    kind: Any = type(model.patch_embed)
    model.patch_embed.__class__ = _in_fp32(kind)


def choose_attention(model: nn.Module, images: Tensor) -> None:
    """Turn the fused attention off where it is slow.

    In bf16 on a CPU the fused kernel of PyTorch 2.14 takes four times as long, backward included
    (129 tokens, AVX-512 with bf16). In fp32 the kernel takes a tenth less to a third more, by
    machine, and keeps no weights (benchmarks/speed/choices.py).
    """
    bf16 = images.is_cpu and torch.is_autocast_enabled("cpu")
    modules: Iterable[Any] = model.modules()
    for module in modules:
        if hasattr(module, "fused_attn"):
            module.fused_attn = not bf16
