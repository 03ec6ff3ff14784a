"""Whole queries of a registered data set, and their pixels, ready to be covered.

Pixels are those that the stock evaluation's pipeline yields: resized, not normalised.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from fastreid.data import build
from fastreid.data.common import CommDataset
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.transforms import build_transforms

from fed_plugin.datasets.layouts import Item
from fed_plugin.datasets.whole_queries import WholeQueries, choose_whole_queries
from fed_plugin.fastreid_adapter.loader_config import as_current
from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings
from fed_plugin.retrieval.feature_dump import unique_names
from fed_plugin.transforms import PeopleSet
from fed_plugin.transforms.covered_queries import PEOPLE, CoveredQueries, choose_people
from fed_plugin.transforms.side_occlusion import Pixels


@dataclass(frozen=True)
class QueryPlan:
    """Say who is searched for, and who is pasted.

    Attributes:
        chosen: whole queries and their gallery.
        names: of the queries; they choose what is pasted.
        people: files by side, one per query; empty if no people are pasted.
    """

    chosen: WholeQueries
    names: tuple[str, ...]
    people: Mapping[str, tuple[str, ...]]

    @property
    def needed(self) -> set[str]:
        """Files whose pixels are needed."""
        queries = {path for path, _, _ in self.chosen.queries}
        return queries.union(*self.people.values())

    def first(self) -> QueryPlan:
        """Return the plan of the first query alone."""
        return QueryPlan(
            replace(self.chosen, queries=self.chosen.queries[:1]),
            self.names[:1],
            {side: paths[:1] for side, paths in self.people.items()},
        )


def plan_queries(cfg: Any, dataset_name: str, settings: RobustnessSettings) -> QueryPlan:
    """List a data set as the stock test loader does, and choose who is searched for and pasted.

    Raises:
        FileNotFoundError: the data set is not there.
        ValueError: no image can be searched for, or there is nobody else to paste.
    """
    with as_current(cfg):
        dataset = DATASET_REGISTRY.get(dataset_name)(root=build._root)
    chosen = choose_whole_queries(
        dataset_name,
        [tuple(item[:3]) for item in dataset.query],
        [tuple(item[:3]) for item in dataset.gallery],
        most=settings.queries,
        per_identity=settings.per_identity,
        source=settings.source,
    )
    names = unique_names([path for path, _, _ in chosen.queries])
    people: dict[str, list[str]] = {}
    if PEOPLE in settings.kinds:
        if len({pid for _, pid, _ in chosen.gallery_people}) < 2:
            raise ValueError(
                f"--kinds people: {dataset_name} has one identity in its gallery, and people cover "
                "others only; expected two or more, try --kinds objects"
            )
        rows = sorted(chosen.gallery_people, key=lambda item: (item[1], os.path.basename(item[0])))
        others = PeopleSet([row[0] for row in rows], [row[1] for row in rows], key="--kinds people")
        pids = [pid for _, pid, _ in chosen.queries]
        people = choose_people(names, pids, others, settings.seed)
    return QueryPlan(chosen, tuple(names), {side: tuple(paths) for side, paths in people.items()})


def load_images(cfg: Any, items: list[Item]) -> Iterable[dict[str, Any]]:
    """Return the stock test loader over some images."""
    images = CommDataset(items, build_transforms(cfg, is_train=False), relabel=False)
    loader, _ = build.build_reid_test_loader(cfg, test_set=images, num_query=0)
    return loader


class PixelStore:
    """Keep the pixels that a plan needs from batches that pass by.

    Args:
        plan: of the queries.
    """

    def __init__(self, plan: QueryPlan) -> None:
        self.plan, self.needed = plan, plan.needed
        self.pixels: dict[str, Pixels] = {}

    def keep(self, batch: Mapping[str, Any]) -> None:
        """Keep what is needed of a batch of the stock test loader."""
        for path, image in zip(batch["img_paths"], batch["images"], strict=True):
            if path in self.needed and path not in self.pixels:
                levels = image.round().clamp(0, 255).to(torch.uint8)
                self.pixels[path] = levels.permute(1, 2, 0).contiguous().numpy()

    def complete(self, cfg: Any, settings: RobustnessSettings) -> CoveredQueries:
        """Read what did not pass by, and return the queries."""
        chosen = self.plan.chosen
        items = {item[0]: item for item in (*chosen.queries, *chosen.gallery)}
        missing = [items[path] for path in sorted(self.needed - self.pixels.keys())]
        for batch in load_images(cfg, missing) if missing else ():
            self.keep(batch)
        return CoveredQueries(
            np.stack([self.pixels[path] for path, _, _ in chosen.queries]),
            self.plan.names,
            settings.load_occluders(),
            {
                side: [self.pixels[path] for path in paths]
                for side, paths in self.plan.people.items()
            },
            settings.seed,
        )


def example_query(
    cfg: Any, dataset_name: str, settings: RobustnessSettings
) -> tuple[str, CoveredQueries]:
    """Return the first query, by name and covered, as every model of this input size sees it.

    Raises:
        FileNotFoundError: as :func:`plan_queries`.
        ValueError: as :func:`plan_queries`.
    """
    plan = plan_queries(cfg, dataset_name, settings).first()
    return plan.names[0], PixelStore(plan).complete(cfg, settings)
