"""``data build-occluded-posetrack``: cut Occluded-PoseTrack-ReID out of PoseTrack21."""

from __future__ import annotations

import argparse

from fed_plugin.cli.progress import ProgressLine
from fed_plugin.datasets.posetrack_crops import cut_crops

INTERRUPTED = "the same command goes on from here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument(
        "--posetrack",
        required=True,
        metavar="DIR/PoseTrack21",
        help="with images, posetrack_data and occluded_posetrack_reid/*_dataset_sampling.json; "
        "DIR is what FASTREID_DATASETS names. Crops go to occluded_posetrack_reid/images",
    )


def run(args: argparse.Namespace) -> None:
    """Cut the crops that are not there yet."""
    with ProgressLine("cutting crops") as progress:
        result = cut_crops(args.posetrack, progress=progress)
    print(f"{result.cut} crops cut, {result.there} were there")
    for split, images in result.splits.items():
        print(f"{split}: {images} images, {result.identities[split]} identities")
