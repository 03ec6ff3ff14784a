"""``show neighbors``: whose memories a trained FED diffuses into its training samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.cli.chosen_model import (
    add_model_arguments,
    add_overrides,
    check_weights,
    read_chosen_config,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    add_model_arguments(parser)
    parser.add_argument("--images", type=int, default=6, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument(
        "--out", default="neighbors.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Take training samples, search the memory, draw.

    Raises:
        FileNotFoundError: no such config, checkpoint or training set.
        ValueError: a model that diffuses nothing, or a checkpoint of other training identities.
    """
    import torch

    from fed_plugin.cli.show.augment import to_pictures
    from fed_plugin.fastreid_adapter.diffused_neighbors import diffused_neighbors
    from fed_plugin.retrieval.whole_files import check_apart
    from fed_plugin.visualization import Neighbors, neighbor_sheet
    from fed_plugin.visualization.picture_file import check_kind

    check_kind(args.out, "--out")
    check_apart(args.out, [args.weights, args.config_file])
    if args.images < 1:
        raise ValueError(f"--images {args.images}: expected 1 or more")
    check_weights(args)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    _, cfg = read_chosen_config(args, "MODEL.DEVICE", device)
    found = diffused_neighbors(cfg, args.images)
    files = [[found.photos[index] for index in of] for of in found.identities.tolist()]
    size = found.samples.views.shape[-2:]
    note = ""
    if cfg.MODEL.FED.FDM.HEAD_LAYOUT == "reference":
        note = (
            "While training, MODEL.FED.FDM.HEAD_LAYOUT reference joins heads of several samples "
            "of a batch, so that what is shown reaches other samples as well."
        )
    sheet = neighbor_sheet(
        *(to_pictures(view) for view in found.samples.views.unbind(1)),
        None if found.visibility is None else found.visibility.numpy(),
        Neighbors(
            np.stack([[_photo(file, *size) for file in of] for of in files]),
            found.weights.numpy(),
            found.similarity.numpy(),
            [[Path(file).name for file in of] for of in files],
        ),
        args.out,
        [Path(path).name for path in found.samples.paths],
        title=f"{Path(args.weights).name}: whose memories are diffused into training samples",
        note=note,
    )
    largest = found.weights.max(dim=1).values.mean()
    print(
        f"{sheet}: {len(files)} training samples, {len(files[0])} neighbours each; the first takes "
        f"{found.weights[:, 0].mean():.0%} of the attention in the mean, the largest {largest:.0%}"
    )


def _photo(path: str, height: int, width: int) -> NDArray[Any]:
    import cv2

    from fed_plugin.transforms.decoding import read_rgb

    return cv2.resize(read_rgb(path), (width, height), interpolation=cv2.INTER_AREA)
