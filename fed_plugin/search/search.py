"""``search``: who of an indexed gallery looks like the person on a photo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOO_LITTLE = "too little of the person is visible"


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
    parser.add_argument(
        "--min-probability",
        type=float,
        metavar="P",
        help="leave out answers that are less probably the same person, by `calibrate`",
    )
    parser.add_argument(
        "--prior",
        type=float,
        metavar="P",
        help="share of the index that shows the person, for probabilities; default: the share of "
        "right pairs that `calibrate` saw",
    )
    parser.add_argument(
        "--min-visibility",
        type=float,
        default=0.0,
        metavar="V",
        help="answer 'too little of the person is visible' to photos whose parts are, in the mean, "
        "less visible (FED's models only)",
    )
    parser.add_argument("--weights", metavar="FILE.pth", help="where the index's weights lie now")
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument("--json", metavar="FILE", help="write the answers there too")
    parser.add_argument("--picture", metavar="FILE", help="draw the answers there, .png or .html")


def run(args: argparse.Namespace) -> None:
    """Search and print.

    Raises:
        FileNotFoundError: no such index, weights or photo.
        ValueError: a photo cannot be read, the weights are others than the index's, or the model
            estimates no visibility to match by.
    """
    from fed_plugin.cli.gallery_model import embedder_of, load_gallery
    from fed_plugin.cli.search_checks import check_numbers, check_outputs
    from fed_plugin.retrieval.whole_files import written_whole

    check_outputs(args)
    check_numbers(args)
    index = load_gallery(args.index)
    if not len(index):
        raise ValueError(f"{args.index}: holds no photo; try `index GALLERY --add -o {args.index}`")
    if args.matching == "visibility" and not index.num_parts:
        raise ValueError("--matching visibility: the index's model estimates none; try cosine")
    if args.min_visibility and not index.num_parts:
        raise ValueError("--min-visibility: the index's model estimates no visibility")
    embedder = embedder_of(index, args.weights, args.device)
    curve = _calibration(args, embedder)
    said = embedder(args.photos)
    weights = said.visibility if args.matching == "visibility" else None
    scores, rows = index.search(said.descriptors, args.top, weights)
    found = [
        _found(index, *one, args, curve)
        for one in zip(args.photos, said.visibility_means(), scores, rows, strict=True)
    ]
    _print_table(found)
    if args.json:
        answers = {
            "index": str(Path(args.index)),
            "matching": args.matching,
            "model": index.about.get("model"),
            "photos": found,
        }
        with written_whole(args.json) as file:
            file.write((json.dumps(answers, indent=1) + "\n").encode())
        print(args.json)
    if args.picture:
        from fed_plugin.cli.match_picture import draw_matches

        answered = [i for i, one in enumerate(found) if one["answers"]]
        if answered:
            print(draw_matches(args, index, said, scores, rows, answered))
        else:
            print(f"--picture: no photo has an answer, so {args.picture} is not drawn")


def _calibration(args: argparse.Namespace, embedder: Any) -> Any:
    """Return the calibration beside the weights; None where there is none and nobody asks."""
    from fed_plugin.cli.calibrate import calibration_path
    from fed_plugin.retrieval.calibration import Calibration

    weights = embedder.cfg.MODEL.WEIGHTS
    path = calibration_path(weights) if weights else None
    if path is None or not path.is_file():
        if args.min_probability is None and args.prior is None:
            return None
        raise FileNotFoundError(
            f"{path}: no such file, so no probability is known; try `calibrate DUMP --weights "
            f"{weights or 'FILE.pth'}`"
        )
    try:
        curve = Calibration.load(path)
    except ValueError as error:
        raise ValueError(f"{error}; try `calibrate` again, or moving the file away") from error
    fits = curve.weights_sha256 == embedder.model_identity["weights_sha256"]
    if fits and curve.matching == args.matching:
        return curve
    if args.min_probability is None and args.prior is None:
        return None
    raise ValueError(
        f"{path}: is of {'other weights' if not fits else f'--matching {curve.matching}'}; try "
        "`calibrate` again, for these"
    )


def _found(
    index: Any,
    photo: str,
    visible: float | None,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    args: argparse.Namespace,
    curve: Any,
) -> dict[str, Any]:
    """Say in words that JSON has what was found for one photo."""
    found: dict[str, Any] = {"photo": photo, "visible": visible, "answers": []}
    if visible is not None and visible < args.min_visibility:
        return {**found, "refused": TOO_LITTLE}
    probable = [None] * len(rows)
    if curve is not None:
        probable = curve.probabilities(scores, args.prior).tolist()
    for row, score, probability in zip(rows, scores, probable, strict=True):
        if args.min_probability is not None and (probability or 0.0) < args.min_probability:
            continue
        answer = {"name": index.names[row], "similarity": float(score)}
        found["answers"].append(
            answer if probability is None else {**answer, "probability": probability}
        )
    return found


def _print_table(found: list[dict[str, Any]]) -> None:
    from tabulate import tabulate

    table = []
    for one in found:
        photo = one["photo"]
        if not one["answers"]:
            table.append([photo, "", "", "", one.get("refused", "nobody that probable")])
        for rank, answer in enumerate(one["answers"], start=1):
            probability = answer.get("probability")
            words = "" if probability is None else f"{probability:.3f}"
            table.append([photo, rank, f"{answer['similarity']:.4f}", words, answer["name"]])
            photo = ""
    columns = ["photo", "rank", "similarity", "probability", "in the index"]
    if not any(row[3] for row in table):
        columns.pop(3)
        table = [[*row[:3], row[4]] for row in table]
    printed = tabulate(table, columns, disable_numparse=True)
    print(printed.encode("utf-8", "backslashreplace").decode())  # names may be no text
