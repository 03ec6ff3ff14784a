"""Search for whole people, then for the same people with one side of every query covered.

Occluders are pasted on what the stock evaluation's pipeline yields (resized, not normalised).
Therefore the visible share is exact for the model, and every image is decoded once.

Shape shorthand: ``V`` queries, ``G`` gallery images, ``D`` numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fed_plugin.datasets.fingerprints import same_photos
from fed_plugin.fastreid_adapter import extract
from fed_plugin.fastreid_adapter.loaders import load_images, query_and_gallery
from fed_plugin.fastreid_adapter.run_cards import describe_evaluation
from fed_plugin.retrieval.evaluation import DISTANCES
from fed_plugin.retrieval.feature_dump import unique_names
from fed_plugin.retrieval.protocol_card import OFF
from fed_plugin.retrieval.ranking import RankingResult, cameras_and_photos, rank
from fed_plugin.robustness import occlusion
from fed_plugin.robustness.curve import RobustnessCurve, summarize_rankings
from fed_plugin.robustness.occlusion import CoveredQueries, Pixels, RobustnessSettings, WholeQueries
from fed_plugin.transforms import PeopleSet


@dataclass(frozen=True)
class QueryPlan:
    """Whole queries, their names, and the files of people by side, one per query.

    A name decides what is pasted on the query; ``people`` is empty if no people are pasted.
    """

    chosen: WholeQueries
    names: tuple[str, ...]
    people: Mapping[str, Sequence[str]]


def plan_queries(cfg: Any, dataset_name: str, settings: RobustnessSettings) -> QueryPlan:
    """Choose the queries of a registered data set, and the people who cover the queries.

    Raises:
        FileNotFoundError: The data set is not there.
        ValueError: No image can be a query, or the gallery holds nobody else to paste.
    """
    query, gallery = query_and_gallery(extract.with_the_trainings_seed(cfg), dataset_name)
    limits = {"most": settings.queries, "per_identity": settings.per_identity}
    limits["source"] = settings.source
    chosen = occlusion.choose_whole_queries(dataset_name, query, gallery, **limits)
    names = unique_names([path for path, _, _ in chosen.queries])
    people: dict[str, list[str]] = {}
    if occlusion.PEOPLE in settings.kinds:
        if len({pid for _, pid, _ in chosen.gallery_people}) < 2:
            raise ValueError(
                f"--kinds people: the gallery of {dataset_name} has one identity, and a person "
                "covers only others; expected two identities or more, try --kinds objects"
            )
        rows = sorted(chosen.gallery_people, key=lambda item: (item[1], os.path.basename(item[0])))
        others = PeopleSet([row[0] for row in rows], [row[1] for row in rows], key="--kinds people")
        pids = [pid for _, pid, _ in chosen.queries]
        people = occlusion.choose_people(names, pids, others, settings.seed)
    return QueryPlan(chosen, tuple(names), people)


class PixelStore:
    """Pixels that a plan needs, collected from batches of the stock test loader."""

    def __init__(self, plan: QueryPlan) -> None:
        queries = {path for path, _, _ in plan.chosen.queries}
        self.plan, self.needed = plan, queries.union(*plan.people.values())
        self.pixels: dict[str, Pixels] = {}

    def keep(self, batch: Mapping[str, Any]) -> None:
        """Keep the needed images of a batch."""
        for path, image in zip(batch["img_paths"], batch["images"], strict=True):
            if path in self.needed and path not in self.pixels:
                levels = image.round().clamp(0, 255).to(torch.uint8)
                self.pixels[path] = levels.permute(1, 2, 0).contiguous().numpy()

    def complete(self, cfg: Any, settings: RobustnessSettings) -> CoveredQueries:
        """Read the files that no batch held, and return the queries."""
        chosen, people = self.plan.chosen, {}
        items = {item[0]: item for item in (*chosen.queries, *chosen.gallery)}
        missing = [items[path] for path in sorted(self.needed - self.pixels.keys())]
        for batch in load_images(cfg, missing) if missing else ():
            self.keep(batch)
        for side, paths in self.plan.people.items():
            people[side] = [self.pixels[path] for path in paths]
        images = np.stack([self.pixels[path] for path, _, _ in chosen.queries])
        occluders = settings.load_occluders()
        return CoveredQueries(images, self.plan.names, occluders, people, settings.seed)


def example_query(
    cfg: Any, dataset_name: str, settings: RobustnessSettings
) -> tuple[str, CoveredQueries]:
    """Return the name and the pixels of the first query; errors are as in ``plan_queries``."""
    plan = plan_queries(cfg, dataset_name, settings)
    chosen = replace(plan.chosen, queries=plan.chosen.queries[:1])
    people = {side: paths[:1] for side, paths in plan.people.items()}
    first = QueryPlan(chosen, plan.names[:1], people)
    return plan.names[0], PixelStore(first).complete(cfg, settings)


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

    An empty ``MODEL.WEIGHTS`` takes random weights; ``progress`` gets images described and images
    in all.

    Raises:
        FileNotFoundError: The data set or the folder of occluders is not there.
        ValueError: The checkpoint is of another model, no image can be a query, or
            ``TEST.METRIC`` is no distance.
    """
    if cfg.TEST.METRIC not in DISTANCES:
        raise ValueError(f"TEST.METRIC={cfg.TEST.METRIC!r}: expected {' or '.join(DISTANCES)}")
    plan = plan_queries(cfg, dataset_name, settings)
    chosen, conditions = plan.chosen, settings.conditions
    trained = extract.load_trained(cfg)
    total = len(chosen.gallery) + len(plan.names) * (1 + len(conditions))
    describe = _Describer(cfg, trained.model, total, progress)
    store, features = PixelStore(plan), []
    for batch in load_images(cfg, chosen.gallery):
        store.keep(batch)
        features.append(describe(batch["images"]))
    gallery = np.concatenate(features)  # (G, D)
    covered, labels = store.complete(cfg, settings), _labels(chosen)

    def ranking(kind: str, side: str, share: float) -> RankingResult:
        query = describe.covered(covered, kind, side, share)
        result = rank(DISTANCES[cfg.TEST.METRIC](query, gallery), *labels)
        assert result.valid_queries.size == len(chosen.queries)  # as the queries were chosen
        return result

    occluders = settings.describe_occluders(settings.load_occluders())
    off = {"rerank": OFF, "query_expansion": OFF, **extract.fields_of_training(cfg, trained)}
    shown = chosen.queries, chosen.gallery
    card = describe_evaluation(cfg, dataset_name, *shown, **off).to_json()
    return summarize_rankings(
        plan.names,
        ranking(occlusion.OBJECTS, occlusion.SIDES[0], 1.0),
        {condition: ranking(*condition) for condition in conditions},
        method=method,
        dataset=card["dataset"],
        queries=chosen.rule,
        seed=settings.seed,
        occluders=occluders,
        settings=settings.as_json(trained.weights_sha256),
        card={**card, "dataset": _card_name(card["dataset"], settings, occluders)},
    )


class _Describer:
    def __init__(self, cfg: Any, model: nn.Module, total: int, progress: Progress | None) -> None:
        self.model, self.batch = model, cfg.TEST.IMS_PER_BATCH
        self.flip, self.total, self.progress = cfg.TEST.FLIP.ENABLED, total, progress
        self.done = 0

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Describe (B, 3, H, W) images in [0, 255]; return (B, D)."""
        features = extract.describe_images(self.model, images, self.flip).descriptors
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


def _labels(chosen: WholeQueries) -> tuple[NDArray[np.int64], ...]:
    """Return identities and cameras, so that no query finds a copy of its own photo."""
    images, count = [*chosen.queries, *chosen.gallery], len(chosen.queries)
    own = [(row, count + place) for row, place in same_photos(chosen.queries, chosen.gallery)]
    pids, camids = (np.array([item[k] for item in images], dtype=np.int64) for k in (1, 2))
    cameras = cameras_and_photos(camids, np.array(own, dtype=np.int64).reshape(-1, 2))
    return pids[:count], pids[count:], cameras[:count], cameras[count:]


def _card_name(dataset: str, settings: RobustnessSettings, occluders: dict[str, str]) -> str:
    pasted = ", ".join(f"{kind} ({words})" for kind, words in occluders.items())
    shares = " ".join(f"{share:g}" for share in settings.visible_shares)
    return f"{dataset}, whole queries under {pasted}; visible {shares}; seed {settings.seed}"
