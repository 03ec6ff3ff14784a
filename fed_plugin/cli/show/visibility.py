"""``show visibility``: what a trained model believes to see of the persons on photos."""

from __future__ import annotations

import argparse
from pathlib import Path

from fed_plugin.cli.chosen_model import add_model_arguments

SIZE = (192, 96)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a person on each")
    add_model_arguments(parser)
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument(
        "--out",
        default="visibility.png",
        metavar="FILE",
        help=".png or .html; default: %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    """Describe and draw.

    Raises:
        FileNotFoundError: no such config, checkpoint or folder to write in.
        ValueError: a photo cannot be read, or the model estimates no visibility.
    """
    import cv2
    import numpy as np

    from fed_plugin import Embedder
    from fed_plugin.retrieval.whole_files import check_apart
    from fed_plugin.transforms.decoding import read_rgb
    from fed_plugin.visualization import visibility_sheet
    from fed_plugin.visualization.picture_file import check_kind

    check_kind(args.out, "--out")
    check_apart(args.out, args.photos)
    said = Embedder(args.config_file, args.weights, args.device)(args.photos)
    if said.visibility is None:
        raise ValueError(
            f"--config-file {args.config_file}: this model estimates no visibility; expected FED "
            "with MODEL.FED.OEM.ENABLED True"
        )
    height, width = SIZE
    images = [
        cv2.resize(read_rgb(photo), (width, height), interpolation=cv2.INTER_AREA)
        for photo in args.photos
    ]
    sheet = visibility_sheet(
        np.stack(images), said.visibility, args.out, titles=[Path(x).name for x in args.photos]
    )
    print(f"{sheet}: {len(images)} photos, visible {said.visibility.mean():.0%} in the mean")
