"""``search``: who of an indexed gallery looks like the person on a photo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.retrieval.gallery_index import MATCHINGS

    parser.description = (
        "Find the photos of an index that look most like the persons on other photos: a table, "
        "optionally a JSON file and a picture that says which parts matched. A similarity is no "
        "proof that two photos show one person (docs/model_card.md)."
    )
    parser.add_argument("index", metavar="INDEX", help="a file that `index` wrote")
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a person on each")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="default: 10")
    parser.add_argument(
        "--matching",
        choices=MATCHINGS,
        default="cosine",
        help="visibility compares the parts that both photos show (FED's models only)",
    )
    parser.add_argument("--weights", metavar="FILE.pth", help="where the index's weights lie now")
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument("--json", metavar="FILE", help="write the answers there too")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the answers there")


def run(args: argparse.Namespace) -> None:
    """Search and print.

    Raises:
        FileNotFoundError: no such index, weights or photo.
        ValueError: a photo cannot be read, the weights are others than the index's, or the model
            estimates no visibility to match by.
    """
    from fed_plugin.cli.gallery_model import embedder_of
    from fed_plugin.retrieval.gallery_index import GalleryIndex
    from fed_plugin.retrieval.whole_files import check_writable, written_whole

    for path in filter(None, (args.json, args.picture)):
        check_writable(path)
    if args.top < 1:
        raise ValueError(f"--top {args.top}: expected 1 or more")
    index = GalleryIndex.load(args.index)
    if not len(index):
        raise ValueError(f"{args.index}: holds no photo; try `index GALLERY --add -o {args.index}`")
    if args.matching == "visibility" and not index.num_parts:
        raise ValueError("--matching visibility: the index's model estimates none; try cosine")
    said = embedder_of(index, args.weights, args.device)(args.photos)
    weights = said.visibility if args.matching == "visibility" else None
    scores, rows = index.search(said.descriptors, args.top, weights)
    _print_table(args.photos, index, scores, rows)
    if args.json:
        answers = _as_json(args, index, scores, rows)
        with written_whole(args.json) as file:
            file.write((json.dumps(answers, indent=1) + "\n").encode())
        print(args.json)
    if args.picture:
        from fed_plugin.cli.match_picture import draw_matches

        print(draw_matches(args, index, said, scores, rows))


def _print_table(
    photos: list[str], index: Any, scores: NDArray[np.float32], rows: NDArray[np.int64]
) -> None:
    from tabulate import tabulate

    table = [
        [photo if not rank else "", rank + 1, f"{score:.4f}", index.names[row]]
        for photo, of_photo, rows_of in zip(photos, scores, rows, strict=True)
        for rank, (score, row) in enumerate(zip(of_photo, rows_of, strict=True))
    ]
    print(tabulate(table, ["photo", "rank", "similarity", "in the index"], disable_numparse=True))


def _as_json(
    args: argparse.Namespace, index: Any, scores: NDArray[np.float32], rows: NDArray[np.int64]
) -> dict[str, Any]:
    return {
        "index": str(Path(args.index)),
        "matching": args.matching,
        "model": index.about.get("model"),
        "photos": [
            {
                "photo": photo,
                "answers": [
                    {"name": index.names[row], "similarity": float(score)}
                    for score, row in zip(of_photo, rows_of, strict=True)
                ],
            }
            for photo, of_photo, rows_of in zip(args.photos, scores, rows, strict=True)
        ],
    }
