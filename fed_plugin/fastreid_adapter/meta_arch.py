"""The FED meta-architecture, which the stock trainer and evaluator call.

Shape shorthand: ``B`` images, ``P`` parts, ``C`` channels, ``D = P*C``, ``L`` patch tokens,
``M`` identities, ``H, W`` image height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from fastreid.config import configurable
from fastreid.modeling.backbones import build_backbone
from fastreid.modeling.heads import REID_HEADS_REGISTRY, build_heads
from fastreid.modeling.meta_arch.baseline import Baseline
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils.events import get_event_storage
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_global_token,
    check_rows,
    check_targets,
)
from fed_plugin.fastreid_adapter.memory_init import training_centroids
from fed_plugin.fastreid_adapter.ranks import gather_across_ranks
from fed_plugin.modeling import HeadOutputs, visibility_target
from fed_plugin.modeling.backbones import Features, as_features, measure
from fed_plugin.modeling.checkpoints import misfit
from fed_plugin.modeling.head import VisibilityHead

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


class EvaluationOutputs(NamedTuple):
    """Outputs of a model in evaluation; float32 for FED."""

    descriptors: Tensor
    """(B, D)."""
    visibility: Tensor | None = None
    """(B, P) in [0, 1], 1 = visible; None without an OEM."""
    part_features: Tensor | None = None
    """(B, P, C) pooled parts, not erased; None for a model without parts."""


@META_ARCH_REGISTRY.register()
class FED(nn.Module):
    """Feature Erasing and Diffusion Network.

    Training takes two views of each image and returns the losses; one memory update follows the
    losses, outside autograd. Evaluation takes one view and returns descriptors.

    Args:
        backbone: images (B, 3, H, W) -> ``Features``, or what ``as_features`` takes.
        heads: a ``FEDHead``.
        pixel_mean: three values that are subtracted from images in [0, 255].
        pixel_std: three divisors of the difference.
        visibility_rule: ``"reference"`` or ``"coverage"``, see ``visibility_target``.
        precision: ``"fp32"`` or ``"bf16"``.
        normalize_output: whether descriptors have unit length.
        compute_centroids: ``model -> (M, D)``, called at the first training step of a fresh run;
            None starts from zeros.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: nn.Module,
        heads: nn.Module,
        pixel_mean: list[float],
        pixel_std: list[float],
        visibility_rule: str = "reference",
        precision: str = "fp32",
        normalize_output: bool = True,
        compute_centroids: Callable[[FED], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.visibility_rule = visibility_rule
        self.autocast_dtype = PRECISIONS[precision]
        self.normalize_output = normalize_output
        self._compute_centroids = compute_centroids
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read the config, see ``config.py``.

        Raises:
            ValueError: keys that contradict each other or the method.
        """
        check_config(cfg)
        fed, backbone = cfg.MODEL.FED, build_backbone(cfg)
        return {
            "backbone": backbone,
            "heads": build_heads(_with_measured(cfg, backbone)),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "visibility_rule": fed.OEM.TARGET,
            "precision": fed.PRECISION,
            "normalize_output": fed.NORMALIZE_OUTPUT,
            "compute_centroids": (
                training_centroids(cfg) if fed.MEMORY.INIT == "centroids" else None
            ),
        }

    @property
    def device(self) -> torch.device:
        """Device of the model, which the stock predictor reads."""
        return self.pixel_mean.device

    def forward(self, batched_inputs: dict[str, Any] | Tensor) -> dict[str, Tensor] | Tensor:
        """Compute losses in training, descriptors in evaluation; the input is not modified.

        Args:
            batched_inputs: a batch of the host, or the bare images. ``images`` float in [0, 255]:
                (B, 2, 3, H, W) in training, (B, 3, H, W) in evaluation. ``targets`` (B,) int64 in
                [0, M) in training; negative targets (the host's PreciseBN) change no memory.

        Returns:
            Weighted losses by name, seven with OEM and FDM; or (B, D) descriptors.

        Raises:
            ValueError: images of another shape, or targets out of range.
        """
        if self.training:
            return self._training_step(batched_inputs)
        images = batched_inputs if torch.is_tensor(batched_inputs) else batched_inputs["images"]
        return self.describe(images.to(self.device)).descriptors

    def describe(self, images: Tensor) -> EvaluationOutputs:
        """Compute descriptors, visibility and part features of whole images, in evaluation mode.

        Args:
            images: (B, 3, H, W) float in [0, 255], on the model's device.

        Returns:
            Outputs whose descriptors have unit length if the model was built so.

        Raises:
            ValueError: images of another shape.
        """
        if images.ndim != 4:
            raise ValueError(f"images are {tuple(images.shape)}, expected (B, 3, H, W) to evaluate")
        with self._autocast():
            parts = self.heads.part_features(self.features(images))
            visibility, descriptors = self.heads.erase_parts(parts)
        descriptors = descriptors.float()  # (B, D)
        if self.normalize_output:
            descriptors = F.normalize(descriptors)
        seen = visibility.float() if self.estimates_visibility else None
        return EvaluationOutputs(descriptors, seen, parts.float())

    def _training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        images = batch["images"].to(self.device)
        check_views(images)
        remembered = check_targets(batch["targets"], self.num_classes)
        if remembered:
            self._initialize_memories()
        return self._learn(images, batch["targets"].clamp(min=0).to(self.device), remembered)

    def _learn(self, images: Tensor, targets: Tensor, remembered: bool) -> dict[str, Tensor]:
        """Compute the losses, then update the memories; nothing before the log waits for a GPU.

        Args:
            images: (B, 2, 3, H, W) on the model's device.
            targets: (B,) int64 in [0, M) on the model's device.
            remembered: whether the targets are identities, which update the memories.
        """
        holistic, occluded = images.unbind(1)
        target = visibility_target(holistic, occluded, self.heads.num_parts, self.visibility_rule)
        with self._autocast():
            outputs = self.heads(self.features(torch.cat((holistic, occluded))), targets)
        losses = self.heads.losses(outputs, targets, target)
        if remembered:
            self._update_memories(outputs, targets, torch.stack([*losses.values()]).detach())
        log_step(outputs, targets, target)
        return losses

    def features(self, images: Tensor) -> Features:
        """Normalise images (B, 3, H, W) out of place and encode them."""
        return as_features(self.backbone((images - self.pixel_mean) / self.pixel_std))

    @property
    def estimates_visibility(self) -> bool:
        """Whether :meth:`describe` returns a visibility."""
        return bool(self.heads.estimates_visibility)

    @property
    def num_classes(self) -> int:
        """Training identities M."""
        return self.heads.memory("erased").features.shape[0]

    @torch.no_grad()
    def _update_memories(self, outputs: HeadOutputs, targets: Tensor, losses: Tensor) -> None:
        """Write the holistic view into the memories, all ranks' samples in rank order.

        If the losses (7,) of one rank are not finite, no rank writes.
        """
        good = losses.isfinite().all()
        features = [outputs.erased_features[0].detach().float()]
        if outputs.diffused_features is not None:
            features.append(outputs.diffused_features[0].detach().float())
        written = [gather_across_ranks(x.masked_fill(~good, torch.nan)) for x in features]
        written = [x.masked_fill(~x.isfinite().all(), torch.nan) for x in written]
        erased, diffused = written if len(written) == 2 else (*written, None)
        self.heads.update_memories(erased, diffused, gather_across_ranks(targets))

    @torch.no_grad()
    def _initialize_memories(self) -> None:
        memories = list(self.heads.memories.values())
        storage = _open_storage()
        fresh_run = storage is not None and storage.iter == 0
        if all(m.filled and not (m.loaded and fresh_run) for m in memories):
            return
        features = (
            torch.zeros_like(memories[0].features)
            if self._compute_centroids is None
            else self._compute_centroids(self)
        )
        # The host's autocast would use weights again that were cast without gradients.
        torch.clear_autocast_cache()
        for memory in memories:
            memory.fill(features)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.autocast_dtype is None:
            return nullcontext()  # an autocast of the host's AMPTrainer stays in force
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, **kwargs: Any
    ) -> Any:
        """Load weights, and refuse weights of another model even if not ``strict``.

        Raises:
            ValueError: as :func:`check_loaded`.
        """
        result = super().load_state_dict(state_dict, strict=strict, **kwargs)
        check_loaded(self, result)
        return result


def _with_measured(cfg: Any, backbone: nn.Module) -> Any:
    """Return a config that holds the channels of the backbone.

    Raises:
        ValueError: parts do not divide the rows of its grid, or a map has no patch token.
    """
    facts = measure(backbone, tuple(cfg.INPUT.SIZE_TRAIN))
    check_global_token(cfg, facts.has_tokens)
    if facts.grid[1] > 1:  # tokens of another project have no columns: their parts divide tokens
        check_rows(cfg, facts.grid[0])
    measured = cfg.clone()
    measured.defrost()
    measured.MODEL.BACKBONE.FEAT_DIM = facts.channels
    measured.MODEL.BACKBONE.VECTOR_DIM = facts.vector_channels
    return measured


@META_ARCH_REGISTRY.register()
class BaselineWithVisibility(Baseline):
    """fast-reid's ``Baseline``, and FED's OEM beside its head.

    Head and losses see the occluded view, as a ``Baseline`` does with ``INPUT.NPO.VIEWS`` 1. The
    whole view only tells the OEM what is hidden. No gradient of the OEM reaches the rest:
    losses, weights and descriptors are those of the ``Baseline``.

    Args:
        visibility: a ``VisibilityHead``.
        **arguments: of ``Baseline``.
    """

    estimates_visibility = True

    @configurable
    def __init__(self, *, visibility: VisibilityHead, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.visibility = visibility

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read the config, see ``config.py``.

        Raises:
            ValueError: keys that contradict each other.
        """
        check_config(cfg)
        arguments, fed = super().from_config(cfg), cfg.MODEL.FED
        facts = measure(arguments["backbone"], tuple(cfg.INPUT.SIZE_TRAIN))
        if facts.grid[1] > 1:
            check_rows(cfg, facts.grid[0])
        oem = REID_HEADS_REGISTRY.get(fed.OEM.NAME)(cfg)
        head = VisibilityHead(oem, fed.NUM_PARTS, fed.ROWS, fed.OEM.TARGET, fed.OEM.LOSS_WEIGHT)
        return {**arguments, "visibility": head}

    def forward(self, batched_inputs: dict[str, Any] | Tensor) -> dict[str, Tensor] | Tensor:
        """Compute losses in training, descriptors in evaluation, as :meth:`FED.forward`.

        Raises:
            ValueError: images of another shape.
        """
        images = batched_inputs if torch.is_tensor(batched_inputs) else batched_inputs["images"]
        images = images.to(self.device)
        if not self.training:
            return self.describe(images).descriptors
        check_views(images)
        targets = batched_inputs["targets"].clamp(min=0).to(self.device)
        holistic, occluded = images.unbind(1)
        encoded, grid = self._encode(occluded)
        losses: dict[str, Tensor] = self.losses(self.heads(encoded, targets), targets)
        return {**losses, "loss_visibility": self.visibility.loss(grid, holistic, occluded)}

    def describe(self, images: Tensor) -> EvaluationOutputs:
        """Compute the descriptors of the ``Baseline``, and visibility, as :meth:`FED.describe`."""
        encoded, grid = self._encode(images)
        return EvaluationOutputs(self.heads(encoded), self.visibility(grid))

    def _encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the host's heads pool, (B, C, rows, columns), and the grid."""
        encoded = self.backbone((images - self.pixel_mean) / self.pixel_std)
        grid, vector = as_features(encoded)
        is_map = torch.is_tensor(encoded) and encoded.ndim == 4
        return encoded if is_map else vector[:, :, None, None], grid


def check_views(images: Tensor) -> None:
    """Refuse training images that are not two views (B, 2, 3, H, W).

    Raises:
        ValueError: the message names the keys.
    """
    if images.ndim != 5 or images.shape[1] != 2:
        raise ValueError(
            f"training images are {tuple(images.shape)}, expected two views (B, 2, 3, H, W): "
            "add NPOAugmentation to INPUT.EXTRA_TRANSFORMS, with INPUT.NPO.VIEWS 2"
        )


# Scalars for the host's event storage, which is open inside a training alone.


def _open_storage() -> Any:
    try:
        return get_event_storage()
    except AssertionError:  # the host raises this error outside a training
        return None


@torch.no_grad()
def log_step(outputs: HeadOutputs, targets: Tensor, visibility_target: Tensor) -> None:
    """Log the visibility of the parts, its target, and the accuracy of the classifier.

    Args:
        outputs: outputs of the head in training.
        targets: (B,) int64.
        visibility_target: (B, P) for the occluded view.
    """
    storage = _open_storage()
    if storage is None:
        return
    holistic, occluded = outputs.visibility
    correct = outputs.erased_logits.argmax(dim=-1) == targets  # (V, B)
    scalars = {
        "visibility_holistic": holistic.float().mean(),
        "visibility_occluded": occluded.float().mean(),
        "visibility_target": visibility_target.mean(),
        "accuracy_holistic": correct[0].float().mean(),
        "accuracy_occluded": correct[1].float().mean(),
    }
    values = torch.stack([value.float() for value in scalars.values()]).tolist()
    storage.put_scalars(**dict(zip(scalars, values, strict=True)))


def check_loaded(model: FED, result: Any) -> None:
    """Refuse weights of another model, which the host would only log.

    Args:
        model: model that was loaded.
        result: result of ``load_state_dict``, with the names of missing and unexpected weights.

    Raises:
        ValueError: weights that evaluation needs are missing, or the file holds weights of another
            model, such as a deeper one or one with an OEM.
    """
    left_out = [name for name in result.unexpected_keys if name.startswith("heads.oem.")]
    if left_out and not model.heads.estimates_visibility:
        raise ValueError(
            "MODEL.WEIGHTS: the checkpoint was trained with an OEM that MODEL.FED.OEM.ENABLED "
            "False leaves out, so its descriptors would be others; try MODEL.FED.OEM.ENABLED "
            "True"
        )
    why = misfit(model, result.missing_keys, result.unexpected_keys)
    if why:
        raise ValueError(
            f"MODEL.WEIGHTS: not a checkpoint of this FED model: {why}; expected a file that "
            "this config trained, or one made by `fed-plugin convert`"
        )
