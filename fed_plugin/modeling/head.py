"""The head that wires FED together: features in, descriptor or losses out.

Shape shorthand: ``V = 2`` views (holistic first), ``B`` images, ``P`` parts, ``C`` channels,
``D = P*C``, ``L`` patch tokens, ``M`` identities.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fed_plugin.modeling import losses
from fed_plugin.modeling.backbones import Features, as_features, check_choice
from fed_plugin.modeling.fdm import FeatureDiffusionModule
from fed_plugin.modeling.memory import IdentityMemory, cosines, nearest_others
from fed_plugin.modeling.oem import (
    NothingErased,
    OcclusionErasingModule,
    visibility_target,
)
from fed_plugin.modeling.parts import ROWS, pool_rows


class Classifier(nn.Module):
    """Bias-free linear classifier that starts near zero; its first loss is near ln M.

    Args:
        in_features: channels of a feature.
        num_classes: identities M; 0 for a head that only evaluates.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.001 * torch.randn(num_classes, in_features))

    def forward(self, features: Tensor) -> Tensor:
        """Score identities, (..., in_features) -> (..., M)."""
        return F.linear(features, self.weight)


class HeadOutputs(NamedTuple):
    """Outputs of a training step for the losses; the leading axis holds the views."""

    visibility: Tensor
    """s (V, B, P) in (0, 1)."""
    erased_features: Tensor
    """z (V, B, D)."""
    diffused_features: Tensor | None
    """u (V, B, D); None without FDM."""
    erased_logits: Tensor
    """(V, B, M)."""
    diffused_logits: Tensor | None
    """(V, B, M); None without FDM."""
    global_logits: Tensor
    """(V, B, M)."""
    erased_similarity: Tensor
    """Cosines of z and the erased memory's slots (V, B, M), float32."""
    diffused_similarity: Tensor | None
    """Cosines of u and the diffused memory's slots (V, B, M), float32; None without FDM."""


NUM_VIEWS = 2
GLOBAL_TOKENS = ("first_patch", "cls")
ERASURES = ("before_norm", "after_norm")


class FEDHead(nn.Module):
    """Head of FED: parts, OEM and BatchNorm; in training also neighbours, FDM and classifiers.

    Args:
        oem: ``OcclusionErasingModule`` or a module with the same call; None erases nothing and
            has no visibility losses.
        fdm: ``FeatureDiffusionModule`` or a module with the same call and ``num_neighbors``; both
            views come at once, on an axis before the batch's. None diffuses nothing and has no
            losses of diffused features.
        num_parts: stripes P.
        embed_dim: channels C of a cell of the grid.
        num_classes: training identities M; 0 builds a head for evaluation only.
        vector_dim: channels C' of the backbone's vector; 0 for C.
        rows: ``"whole"`` or ``"adaptive"``, see ``pool_rows``.
        global_token: what the global classifier sees: ``"first_patch"``, the first cell, or
            ``"cls"``, the backbone's vector.
        erasure: whether parts are scaled by their visibility ``"before_norm"`` or ``"after_norm"``.
        visibility_weight: weight of both visibility losses.
        share_bn: whether diffused features use the BatchNorm of the erased ones.
        share_memory: whether the erased and the diffused memory are one.
        memory_momentum: share of the old value that a memory update keeps.
        temperature: divisor of the cosine in the contrast losses.

    Raises:
        ValueError: an unknown ``global_token`` or ``erasure``, or as many neighbours as identities
            or more.
    """

    def __init__(
        self,
        *,
        oem: OcclusionErasingModule | None,
        fdm: FeatureDiffusionModule | None,
        num_parts: int,
        embed_dim: int,
        num_classes: int,
        vector_dim: int = 0,
        rows: str = "whole",
        global_token: str = "first_patch",
        erasure: str = "before_norm",
        visibility_weight: float = 1.0,
        share_bn: bool = True,
        share_memory: bool = True,
        memory_momentum: float = 0.2,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        check_choice("global_token", global_token, GLOBAL_TOKENS)
        check_choice("erasure", erasure, ERASURES)
        check_choice("rows", rows, ROWS)
        if fdm is not None and num_classes and fdm.num_neighbors >= num_classes:
            raise ValueError(
                f"num_neighbors={fdm.num_neighbors}: expected fewer neighbours than "
                f"the {num_classes} training identities; try {num_classes - 1} or less"
            )
        dim = num_parts * embed_dim
        self.num_parts = num_parts
        self.rows = rows
        self.global_token = global_token
        self.erasure = erasure
        self.visibility_weight = visibility_weight
        self.temperature = temperature
        self.estimates_visibility = oem is not None
        self.oem = NothingErased() if oem is None else oem
        self.fdm = fdm
        self.bottleneck = _batch_norm(dim)
        # NOTE(reference): u passes the BatchNorm layers of z, therefore their running statistics
        # see four streams a step; share_bn=False gives u layers of its own.
        self.diffused_bottleneck = None if share_bn or fdm is None else _batch_norm(dim)
        self.erased_classifier = Classifier(dim, num_classes)
        self.diffused_classifier = None if fdm is None else Classifier(dim, num_classes)
        from_vector = global_token == "cls" and vector_dim
        self.global_classifier = Classifier(from_vector or embed_dim, num_classes)
        erased = IdentityMemory(num_classes, dim, memory_momentum)
        # NOTE(reference): one tensor is both memories, the paper's Figure 2 draws two;
        # share_memory=False separates them.
        self.memories = nn.ModuleDict({"erased": erased})
        if fdm is not None:
            self.memories["diffused"] = (
                erased if share_memory else IdentityMemory(num_classes, dim, memory_momentum)
            )

    def part_features(self, features: Features | Tensor) -> Tensor:
        """Pool features to ``f`` (B, P, C)."""
        return pool_rows(as_features(features).grid, self.num_parts, self.rows)

    def global_features(self, features: Features | Tensor) -> Tensor:
        """Pick ``g`` (B, C or C') from features."""
        grid, vector = as_features(features)
        # NOTE(reference): takes patch token 0, an off-by-one, therefore the cls token has no direct
        # loss; global_token="cls" repairs this.
        return grid[:, 0, 0] if self.global_token == "first_patch" else vector

    def memory_features(self, features: Features | Tensor) -> Tensor:
        """Return the first content of a memory: ``[BN_1(f_1)..BN_P(f_P)]`` (B, D), not erased."""
        return self.bottleneck(self.part_features(features).flatten(1))

    def erase(self, features: Features | Tensor) -> tuple[Tensor, Tensor]:
        """Return ``visibility`` (B, P) and the descriptor ``z`` (B, D) of one view."""
        return self.erase_parts(self.part_features(features))

    def erase_parts(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``visibility`` (B, P) and the descriptor ``z`` (B, D) of parts (B, P, C)."""
        visibility, erased = self.oem(parts)
        if self.erasure == "after_norm":
            normed = self.bottleneck(parts.flatten(1)).reshape(parts.shape)
            return visibility, (visibility.unsqueeze(-1) * normed).flatten(1)
        # NOTE(reference): BatchNorm follows the erasure, therefore an invisible part leaves its
        # negative mean in the descriptor; with erasure="after_norm" the part leaves nothing.
        return visibility, self.bottleneck(erased.flatten(1))

    def forward(
        self, features: Features | Tensor, targets: Tensor | None = None
    ) -> Tensor | HeadOutputs:
        """Describe images, or compute the outputs that the losses need.

        Args:
            features: of B images in evaluation; of V*B in training, all holistic views before all
                occluded ones. ``Features``, or what ``as_features`` takes.
            targets: (B,) int64 in [0, M), in training.

        Returns:
            ``z`` (B, D) in evaluation, ``HeadOutputs`` in training. The memories are only read.
        """
        if not self.training:
            return self.erase(features)[1]
        assert targets is not None
        both = as_features(features)
        views = [Features(*view) for view in zip(*(x.chunk(NUM_VIEWS) for x in both), strict=True)]
        # BatchNorm sees the views one after the other: z_h, z_o, then u_h, u_o.
        visibility, erased = map(torch.stack, zip(*map(self.erase, views), strict=True))
        slots = self.memory("erased").normalized()  # (M, D)
        erased_similarity = cosines(erased, slots)  # (V, B, M)
        diffused = diffused_logits = diffused_similarity = None
        if self.fdm is not None and self.diffused_classifier is not None:
            nearest = nearest_others(erased_similarity, targets, self.fdm.num_neighbors)
            diffused = self.diffuse(erased, visibility, slots, nearest)
            diffused_logits = self.diffused_classifier(diffused)
            if self.memory("diffused") is not self.memory("erased"):
                slots = self.memory("diffused").normalized()
            diffused_similarity = cosines(diffused, slots)
        global_features = torch.stack([self.global_features(view) for view in views])
        return HeadOutputs(
            visibility=visibility,
            erased_features=erased,
            diffused_features=diffused,
            erased_logits=self.erased_classifier(erased),
            diffused_logits=diffused_logits,
            global_logits=self.global_classifier(global_features),
            erased_similarity=erased_similarity,
            diffused_similarity=diffused_similarity,
        )

    def diffuse(
        self, erased_features: Tensor, visibility: Tensor, slots: Tensor, nearest: Tensor
    ) -> Tensor:
        """Return ``u`` (V, B, D) of both views.

        Args:
            erased_features: ``z`` (V, B, D).
            visibility: ``s`` (V, B, P).
            slots: (M, D) of unit length.
            nearest: (V, B, K) int64 in [0, M).
        """
        assert self.fdm is not None
        diffused = self.fdm(erased_features, visibility, slots, nearest)
        norm = self.diffused_bottleneck or self.bottleneck
        return torch.stack([norm(view) for view in diffused])

    def losses(
        self, outputs: HeadOutputs, targets: Tensor, visibility_target: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted losses of a step; their sum is the training loss.

        Args:
            outputs: of ``forward`` in training.
            targets: (B,) int64 in [0, M).
            visibility_target: (B, P) in [0, 1] for the occluded view.

        Returns:
            Seven float32 scalars by name, each already weighted; five without OEM or without FDM,
            three without both.
        """
        named = {}
        if self.estimates_visibility:
            holistic, occluded = outputs.visibility
            for view, visibility, target in (
                ("holistic", holistic, 1.0),
                ("occluded", occluded, visibility_target),
            ):
                loss = losses.visibility_loss(visibility, target)
                named[f"loss_visibility_{view}"] = self.visibility_weight * loss
        named["loss_id_erased"] = losses.identity_loss(outputs.erased_logits, targets)
        if outputs.diffused_logits is not None:
            named["loss_id_diffused"] = losses.identity_loss(outputs.diffused_logits, targets)
        named["loss_id_global"] = losses.identity_loss(outputs.global_logits, targets)
        named["loss_contrast_erased"] = losses.erased_contrast_loss(
            outputs.erased_similarity, targets, self.temperature
        )
        if outputs.diffused_similarity is not None:
            named["loss_contrast_diffused"] = losses.diffused_contrast_loss(
                outputs.diffused_similarity, targets, self.temperature
            )
        return named

    def update_memories(self, erased: Tensor, diffused: Tensor | None, targets: Tensor) -> None:
        """Write a step's holistic features into the memories, after the losses were computed.

        Args:
            erased: ``z_h`` (B, D) of all ranks.
            diffused: ``u_h`` (B, D) of all ranks; None without FDM.
            targets: (B,) int64 of all ranks.
        """
        if diffused is not None:
            self.memory("diffused").update(diffused, targets)
        self.memory("erased").update(erased, targets)

    def memory(self, name: str) -> IdentityMemory:
        """Return the memory ``"erased"`` or, with FDM, ``"diffused"``; one object when shared."""
        return cast(IdentityMemory, self.memories[name])


class VisibilityHead(nn.Module):
    """FED's OEM beside another method's head: it tells how visible parts are, and changes nothing.

    Args:
        oem: ``OcclusionErasingModule`` or a module with the same call.
        num_parts: stripes P.
        rows: ``"whole"`` or ``"adaptive"``, see ``pool_rows``.
        rule: ``"reference"`` or ``"coverage"``, see ``visibility_target``.
        weight: of the loss.
    """

    def __init__(
        self,
        oem: OcclusionErasingModule,
        num_parts: int,
        rows: str = "whole",
        rule: str = "reference",
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.oem, self.num_parts, self.rows, self.rule = oem, num_parts, rows, rule
        self.weight = weight

    def forward(self, grid: Tensor) -> Tensor:
        """Return the visibility (B, P) in (0, 1) of a grid (B, rows, columns, C), cut off."""
        visibility: Tensor = self.oem(pool_rows(grid.detach(), self.num_parts, self.rows))[0]
        return visibility.float()

    def loss(self, grid: Tensor, holistic: Tensor, occluded: Tensor) -> Tensor:
        """Return the weighted loss, a scalar; the views (B, 3, H, W) tell what is hidden.

        Args:
            grid: (B, rows, columns, C) of the occluded view.
            holistic: the images before, in any float range.
            occluded: the images after an occluder was pasted on.
        """
        target = visibility_target(holistic, occluded, self.num_parts, self.rule)
        return self.weight * losses.visibility_loss(self(grid), target)


def _batch_norm(dim: int) -> nn.BatchNorm1d:
    """Return a BatchNorm over all (independent) parts at once, its shift frozen at 0."""
    norm = nn.BatchNorm1d(dim)
    norm.bias.requires_grad_(False)
    return norm
