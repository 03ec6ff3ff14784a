"""``search``: who of an indexed gallery looks like the person on a photo."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import check_apart, check_writable
from fed_plugin.search.gallery_index import GalleryIndex

TOO_LITTLE = "too little of the person is visible"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.search.gallery_index import MATCHINGS

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
    from fed_plugin.files import write_atomically

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
        with write_atomically(args.json) as file:
            file.write((json.dumps(answers, indent=1) + "\n").encode())
        print(args.json)
    if args.picture:
        answered = [i for i, one in enumerate(found) if one["answers"]]
        if answered:
            print(draw_matches(args, index, said, scores, rows, answered))
        else:
            print(f"--picture: no photo has an answer, so {args.picture} is not drawn")


def _calibration(args: argparse.Namespace, embedder: Any) -> Any:
    """Return the calibration beside the weights; None where there is none and nobody asks."""
    from fed_plugin.search.calibration import Calibration, calibration_path

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


# The model that an index of a gallery was made by, again.


def load_gallery(path: str | Path) -> GalleryIndex:
    """Read an index that the command ``index`` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is something else, or does not say what it was made by.
    """
    index = GalleryIndex.load(path)
    kinds = {"config": str, "weights": str, "folder": str, "model": dict}
    lacking = [name for name, kind in kinds.items() if not isinstance(index.about.get(name), kind)]
    if lacking:
        raise ValueError(
            f"{path}: its `about` does not say {', '.join(lacking)}; expected an index that the "
            "command `index` wrote, try making it anew"
        )
    return index


def embedder_of(index: GalleryIndex, weights: str | None, device: str | None) -> Any:
    """Build the ``Embedder`` that an index was made by.

    Args:
        index: whose ``about`` holds the config and where the weights lay.
        weights: where they lie now; None looks where they lay.
        device: as ``Embedder`` takes it.

    Raises:
        FileNotFoundError: The weights are not there.
        KeyError: The index's config has a key that nobody here declares.
        ValueError: The weights are others than the index was made by, or the index's config is
            none.
    """
    from fed_plugin import Embedder

    where = index.about.get("weights", "") if weights is None else weights
    if where and not Path(where).is_file():
        raise FileNotFoundError(
            f"{where}: no such file; expected the weights the index was made by, try --weights FILE"
        )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config_of_the_index.yaml"
        config.write_text(str(index.about.get("config", "")))
        try:
            embedder = Embedder(config, where, device)
        except (ValueError, KeyError) as error:
            told = str(error.args[0]) if error.args else ""
            if str(config) not in told:  # a name that is gone when it is read
                raise
            raise type(error)(told.replace(str(config), "the index's config")) from error
    index.check_model(embedder.model_identity)
    return embedder


# A picture of what ``search`` found, and of why.

SHOWN = 8
"""Answers in a row, at most."""
SIZE = (192, 96)
"""Rows and columns that photos are brought to."""


def draw_matches(
    args: argparse.Namespace,
    index: Any,
    said: Any,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    answered: list[int],
) -> Path:
    """Draw queries and answers to ``args.picture``; return its path.

    Args:
        args: of ``search``.
        index: that was searched.
        said: ``Embeddings`` of the queries.
        scores: (Q, K).
        rows: (Q, K) of the index.
        answered: queries to draw; the others were refused, or found nobody that probable.

    Raises:
        ValueError: the file is no ``.png``.
    """
    from fed_plugin.retrieval.distances import part_contributions, visible_contributions
    from fed_plugin.visualization import Answers, match_sheet

    scores, rows = scores[answered, :SHOWN], rows[answered, :SHOWN]
    descriptors, photos = said.descriptors[answered], [args.photos[i] for i in answered]
    visible = None if said.visibility is None else said.visibility[answered]
    folder = Path(index.about.get("folder", ""))
    images = np.stack([[_photo(folder / index.names[row]) for row in of] for of in rows])
    visibility = contributions = None
    if index.num_parts:
        visibility = index.visibility[rows]
        shares = []
        for query, seen, of in zip(descriptors, visible, rows, strict=True):
            others = index.stored.restored(of)
            if args.matching == "visibility":
                of_query = visible_contributions(
                    query[None], seen[None], others, index.visibility[of]
                )
            else:
                of_query = part_contributions(query[None], others, index.num_parts)
            shares.append(of_query[0])
        contributions = np.stack(shares)
    names = [[_label(index.names[row]) for row in of] for of in rows]
    return match_sheet(
        np.stack([_photo(Path(photo)) for photo in photos]),
        visible,
        Answers(images, scores, visibility, contributions, names),
        args.picture,
        [_label(photo) for photo in photos],
        title=f"The most similar of {len(index)} photos, by {args.matching}"
        + ("" if args.min_probability is None else ", less probable ones too"),
    )


def _label(path: str) -> str:
    """Return a file's name as letters; bytes of a name that are none become question marks."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")


def _photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo for the sheet; one that has gone is grey."""
    from fed_plugin.transforms.occluders import read_rgb

    height, width = SIZE
    try:
        return cv2.resize(read_rgb(path), (width, height), interpolation=cv2.INTER_AREA)
    except Exception:  # whatever a decoder raises; the table has its name
        return np.full((height, width, 3), 217, np.uint8)


# What ``search`` refuses before it reads anything: numbers, and files to write.


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse files to write that cannot be written, or that ``search`` reads.

    Args:
        args: of ``search``.

    Raises:
        FileNotFoundError: A folder to write in is not there.
        ValueError: The picture is no ``.png`` or ``.html``, or two of the files are the same one.
    """
    from fed_plugin.visualization.canvas import check_kind

    taken = [args.index, *args.photos, *filter(None, [args.weights])]
    for flag, path in (("--json", args.json), ("--picture", args.picture)):
        if not path:
            continue
        if path == "-":
            raise ValueError(f"{flag} -: expected the name of a file; the table goes to stdout")
        check_writable(path)
        check_apart(path, taken)
        taken.append(path)
    if args.picture:
        check_kind(args.picture, "--picture")


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that no search takes.

    Args:
        args: of ``search``.

    Raises:
        ValueError: A share is none, or ``--top`` is below 1.
    """
    for name in ("min_probability", "min_visibility", "prior"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected a share from 0 to 1")
    if args.prior in (0, 1):
        raise ValueError(f"--prior {args.prior}: expected a share above 0 and below 1; try 0.001")
    if args.top < 1:
        raise ValueError(f"--top {args.top}: expected 1 or more")
