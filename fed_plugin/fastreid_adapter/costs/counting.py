"""What a forward pass multiplies and which of a model's tensors it reads, counted while it runs.

Shape shorthand: ``B`` images, ``H`` heads, ``S, T`` tokens, ``E, F`` channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode


def _attention_flops(q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any, **__: Any):
    """Of q (B, H, S, E), k (B, H, T, E) and v (B, H, T, F): the two products, as elsewhere."""
    B, H, S, E = q
    return 2 * B * H * S * k[2] * (E + v[3])


def _vector_flops(a: Sequence[int], b: Sequence[int], *_: Any, **__: Any) -> int:
    """Of a product of (S, E) or (E,) with (E,)."""
    return 2 * torch.Size(a).numel()


NOT_COUNTED_BY_TORCH = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention_flops,
    "mv": _vector_flops,
    "dot": _vector_flops,
}
"""PyTorch 2.14's counter takes attention on the CPU, which is fused there, for free."""


def count_macs(function: Callable[[], Any]) -> int:
    """Count the multiply-accumulate operations of what a function runs.

    Counted are convolutions, matrix products and attention; nothing elementwise, no sums, no
    sorting. PyTorch counts floating-point operations, which are two to one.

    Args:
        function: run once.
    """
    formulas = {getattr(torch.ops.aten, name): f for name, f in NOT_COUNTED_BY_TORCH.items()}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        function()
    return counter.get_total_flops() // 2


class _Reading(TorchDispatchMode):
    """Remember which of some tensors are handed to an operation."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.known = {id(tensor): tensor for tensor in tensors}
        self.read: dict[int, Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for value in tree_iter((args, kwargs or {})):
            if id(value) in self.known:
                self.read[id(value)] = value
        return func(*args, **(kwargs or {}))


def tensors_read(model: nn.Module, function: Callable[[], Any]) -> list[Tensor]:
    """Return the parameters and buffers of a model that what a function runs reads.

    Args:
        model: asked.
        function: run once.
    """
    with _Reading([*model.parameters(), *model.buffers()]) as reading:
        function()
    return list(reading.read.values())
