"""The robustness curve of a config's model: whole queries with one side covered, share by share.

Images pass the stock evaluation's pipeline first. Occluders are pasted on what comes out of it, so
that the visible share is that of what the model sees, and every image is decoded once.

Shape shorthand: ``V`` queries, ``G`` gallery images, ``D`` numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fed_plugin.datasets.whole_queries import WholeQueries
from fed_plugin.fastreid_adapter.card import describe_evaluation
from fed_plugin.fastreid_adapter.covered_queries import PixelStore, load_images, plan_queries
from fed_plugin.fastreid_adapter.description import checked_descriptors
from fed_plugin.fastreid_adapter.dumping import known_of_weights
from fed_plugin.fastreid_adapter.evaluated_epoch import evaluated_epoch
from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings
from fed_plugin.fastreid_adapter.trained_model import load_trained
from fed_plugin.retrieval.evaluation import DISTANCES
from fed_plugin.retrieval.protocol_card import OFF
from fed_plugin.retrieval.ranking import RankingResult, rank
from fed_plugin.retrieval.robustness_curve import RobustnessCurve
from fed_plugin.retrieval.robustness_summary import summarize_rankings
from fed_plugin.transforms.covered_queries import OBJECTS, CoveredQueries
from fed_plugin.transforms.side_occlusion import SIDES

Progress = Callable[[int, int], None]


@torch.no_grad()
def measure_robustness(
    cfg: Any,
    dataset_name: str,
    settings: RobustnessSettings,
    method: str,
    progress: Progress | None = None,
) -> RobustnessCurve:
    """Search a gallery for whole people, then for the same people with one side covered.

    Args:
        cfg: any config of the host; ``MODEL.WEIGHTS`` names the checkpoint, empty takes random
            weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        settings: what is measured.
        method: name in tables.
        progress: called with images described and images in all.

    Raises:
        FileNotFoundError: the data set or the folder of occluders is not there.
        ValueError: the checkpoint is of another model, no image can be searched for, or
            ``TEST.METRIC`` is no distance.
    """
    if cfg.TEST.METRIC not in DISTANCES:
        raise ValueError(f"TEST.METRIC={cfg.TEST.METRIC!r}: expected {' or '.join(DISTANCES)}")
    plan = plan_queries(cfg, dataset_name, settings)
    chosen = plan.chosen
    model = load_trained(cfg)
    epoch = evaluated_epoch(cfg, model)
    conditions = settings.conditions
    total = len(chosen.gallery) + len(plan.names) * (1 + len(conditions))
    describe = _Describer(cfg, model, total, progress)
    store, features = PixelStore(plan), []
    for batch in load_images(cfg, chosen.gallery):
        store.keep(batch)
        features.append(describe(batch["images"]))
    gallery = np.concatenate(features)
    covered = store.complete(cfg, settings)

    def ranking(kind: str, side: str, share: float) -> RankingResult:
        query = describe.covered(covered, kind, side, share)
        return _rank(DISTANCES[cfg.TEST.METRIC](query, gallery), chosen)

    whole = ranking(OBJECTS, SIDES[0], 1.0)
    occluders = settings.describe_occluders(settings.load_occluders())
    card = describe_evaluation(
        cfg,
        dataset_name,
        chosen.queries,
        chosen.gallery,
        rerank=OFF,
        query_expansion=OFF,
        **known_of_weights(cfg, epoch.epoch, epoch.choice),
    ).to_json()
    return summarize_rankings(
        plan.names,
        whole,
        {condition: ranking(*condition) for condition in conditions},
        method=method,
        dataset=card["dataset"],
        queries=chosen.rule,
        seed=settings.seed,
        occluders=occluders,
        settings=settings.asked(cfg.MODEL.WEIGHTS),
        card={**card, "dataset": _card_name(card["dataset"], settings, occluders)},
    )


class _Describer:
    """Turn images into descriptors as the stock evaluation does, and count them."""

    def __init__(self, cfg: Any, model: nn.Module, total: int, progress: Progress | None) -> None:
        self.model, self.batch = model, cfg.TEST.IMS_PER_BATCH
        self.flip, self.total, self.progress = cfg.TEST.FLIP.ENABLED, total, progress
        self.done = 0

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Describe (B, 3, H, W) images in [0, 255]; return (B, D)."""
        features = self._describe(images)
        if self.flip:
            features = (features + self._describe(images.flip(dims=[3]))) / 2
        self.done += len(images)
        if self.progress is not None:
            self.progress(self.done, self.total)
        return features.float().cpu().numpy()

    def covered(
        self, queries: CoveredQueries, kind: str, side: str, share: float
    ) -> NDArray[np.float32]:
        """Describe all queries with one side covered; return (V, D)."""
        features = []
        for top in range(0, len(queries), self.batch):
            rows = range(top, min(top + self.batch, len(queries)))
            pixels = queries.cover(kind, side, share, rows)
            features.append(self(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()))
        return np.concatenate(features)

    def _describe(self, images: Tensor) -> Tensor:
        images = images.clone().to(self.model.device)  # stock models write into what they get
        return checked_descriptors(self.model, self.model({"images": images}))


def _rank(distances: NDArray[np.float32], chosen: WholeQueries) -> RankingResult:
    ids = [
        np.array([item[place] for item in items])
        for place in (1, 2)
        for items in (chosen.queries, chosen.gallery)
    ]
    result = rank(distances, *ids)
    assert result.valid_queries.size == len(chosen.queries)  # they were chosen so
    return result


def _card_name(dataset: str, settings: RobustnessSettings, occluders: dict[str, str]) -> str:
    pasted = ", ".join(f"{kind} ({words})" for kind, words in occluders.items())
    shares = " ".join(f"{share:g}" for share in settings.visible_shares)
    return f"{dataset}, whole queries under {pasted}; visible {shares}; seed {settings.seed}"
