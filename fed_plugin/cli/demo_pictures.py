"""The demo's pictures: augmented pairs, predicted visibility, ranking lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.cli.demo_table import rank_description
from fed_plugin.cli.show.augment import to_pictures
from fed_plugin.datasets.synthocc import read_visibility
from fed_plugin.fastreid_adapter.description import Description
from fed_plugin.fastreid_adapter.training_images import first_training_images
from fed_plugin.modeling import visibility_target
from fed_plugin.retrieval import cosine_distance
from fed_plugin.retrieval.first_ranked import first_ranked
from fed_plugin.visualization import (
    RankingLists,
    pair_sheet,
    ranking_sheet,
    visibility_sheet,
)

NUM_PAIRS = 16
NUM_QUERIES = 18
NUM_LISTS = 6
LIST_LENGTH = 8
TILE = (128, 64)


def draw_all(cfg: Any, described: dict[str, Description], dataset: Path, out: Path) -> list[Path]:
    """Draw every sheet that the described methods allow.

    Args:
        cfg: a FED config, for its training pipeline.
        described: by method, what it says of the test set.
        dataset: SynthOcc's folder, with its side file.
        out: folder for the pictures.
    """
    paths = [_pairs(cfg, out / "augmented_pairs.png")]
    for method, description in described.items():
        if description.visibility is not None:
            name = f"visibility_{method.replace(' ', '_').lower()}.png"
            paths.append(_visibility(method, description, dataset, out / name))
    paths.append(_rankings(described, out / "ranking_lists.png"))
    return paths


def _pairs(cfg: Any, path: Path) -> Path:
    """Show what the training pipeline of the config yields, through the stock loader."""
    holistic, occluded = first_training_images(cfg, NUM_PAIRS).views.unbind(1)
    rule = cfg.MODEL.FED.OEM.TARGET
    targets = visibility_target(holistic, occluded, cfg.MODEL.FED.NUM_PARTS, rule)
    return pair_sheet(
        to_pictures(holistic),
        to_pictures(occluded),
        targets.numpy(),
        path,
        title=f"Training pairs and visibility targets ({rule})",
    )


def _visibility(method: str, description: Description, dataset: Path, path: Path) -> Path:
    """Show queries with predicted and true visibility, from the least to the most visible."""
    truth = {name: row.shares for name, row in read_visibility(dataset).items()}
    queries = range(description.num_query)
    overall = [truth[Path(description.paths[i]).name][0] for i in queries]
    shown = np.linspace(0, len(overall) - 1, min(NUM_QUERIES, len(overall))).astype(int)
    order = np.argsort(overall)[shown]
    shares = np.array([truth[Path(description.paths[i]).name][1:] for i in order])
    return visibility_sheet(
        np.stack([_read(description.paths[i]) for i in order]),
        description.visibility[order],
        path,
        truth=np.nan_to_num(shares, nan=1.0),
        title=f"{method}: visibility of occluded queries, predicted and true",
    )


def _rankings(described: dict[str, Description], path: Path) -> Path:
    """Show the queries on which the methods differ most, their lists under each other."""
    first = next(iter(described.values()))
    precisions = np.stack([rank_description(d).average_precisions for d in described.values()])
    queries = np.argsort(-np.ptp(precisions, axis=0), kind="stable")[:NUM_LISTS]
    return ranking_sheet(
        np.stack([_read(first.paths[i]) for i in queries]),
        {method: _lists(description, queries) for method, description in described.items()},
        path,
        title="Queries on which the methods differ most",
    )


def _lists(description: Description, queries: NDArray[np.int64]) -> RankingLists:
    Q = description.num_query
    pids, camids = description.pids, description.camids
    first = first_ranked(
        cosine_distance(description.features[queries], description.features[Q:]),
        pids[queries],
        pids[Q:],
        camids[queries],
        camids[Q:],
        LIST_LENGTH,
    )
    return RankingLists(
        np.stack([[_read(description.paths[Q + i]) for i in row] for row in first.places]),
        first.matches,
        1 - first.distances,
    )


def _read(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        height, width = TILE
        return np.asarray(image.convert("RGB").resize((width, height)))
