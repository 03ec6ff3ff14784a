"""What an exported file computes: photos in, unit descriptors and visibility out.

Shape shorthand: ``B`` images, ``H, W`` height and width in pixels, ``D`` numbers, ``P`` parts.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fed_plugin.fastreid_adapter.description import checked_descriptors
from fed_plugin.fastreid_adapter.meta_arch import FED

INPUT = "images"
DESCRIPTOR, VISIBILITY = "descriptor", "visibility"


class DeployedModel(nn.Module):
    """Take photos of ``INPUT.SIZE_TEST`` as they are, and do the rest inside.

    Args:
        model: of any config, in evaluation mode and float32.
        flip: whether the mirror images count, too, as with ``TEST.FLIP.ENABLED``.
    """

    def __init__(self, model: nn.Module, flip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.flip = flip
        fed = isinstance(model, FED)
        seen = fed and model.heads.estimates_visibility
        self.output_names = (DESCRIPTOR, VISIBILITY) if seen else (DESCRIPTOR,)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Describe photos.

        Args:
            images: (B, H, W, 3) uint8 RGB.

        Returns:
            Descriptors (B, D) of unit length; with FED's OEM also the visibility (B, P) in [0, 1],
            1 = visible.

        Raises:
            ValueError: The model yields no descriptors.
        """
        planes = images.permute(0, 3, 1, 2).float()  # (B, 3, H, W) in [0, 255]
        if not self.flip:
            said = self._describe(planes)
            return (F.normalize(said[0]), *said[1:])
        # in one pass: weights that a graph uses twice are not stored as int8 can take them
        both = self._describe(torch.cat((planes, planes.flip(3))))  # (2B, ...)
        count = images.shape[0]
        said = tuple((out[:count] + out[count:]) / 2 for out in both)
        return (F.normalize(said[0]), *said[1:])

    def _describe(self, images: Tensor) -> tuple[Tensor, ...]:
        model = self.model
        if not isinstance(model, FED):  # stock models write into what they get
            answer = model({"images": images.clone()})
            return (checked_descriptors(model, answer),)
        # Not FED.describe: its move to the model's device would be frozen into the file.
        tokens = model.backbone((images - model.pixel_mean) / model.pixel_std)
        visibility, descriptors = model.heads.erase(tokens)
        if model.normalize_output:
            descriptors = F.normalize(descriptors)
        return (descriptors, visibility)[: len(self.output_names)]


class _Touched(TorchFunctionMode):
    """Remember which tensors any operation got."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._remember(args)
        self._remember((kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def _remember(self, values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor):
                self.ids.add(id(value))
            elif isinstance(value, (tuple, list)):
                self._remember(value)


@torch.no_grad()
def without_training_weights(graph: DeployedModel, example: Tensor) -> DeployedModel:
    """Return a copy without the weights that evaluation never touches.

    Classifiers, memories and FDM would make a file several times larger.

    Args:
        graph: left as it is.
        example: (B, H, W, 3) uint8, to run it once.
    """
    lean = copy.deepcopy(graph)
    with _Touched() as touched:
        lean(example)
    for module in lean.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None and id(tensor) not in touched.ids:
                    held[name] = None
    return lean.requires_grad_(False)
