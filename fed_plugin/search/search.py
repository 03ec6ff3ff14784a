"""Command ``search``: find the photos of an index that look most like persons on other photos."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.arguments import check_file
from fed_plugin.console import printable
from fed_plugin.files import OutputFile, below, check_apart, write_json
from fed_plugin.search import MATCHINGS

if TYPE_CHECKING:
    from fed_plugin.search.gallery_index import GalleryIndex

TOO_LITTLE = "too little of the person is visible"
_IN_A_ROW = 8  # answers in a picture
_PHOTO_SIZE = (192, 96)  # rows and columns of a photo in a picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.description = (
        "Find the photos of an index that look most like the persons on other photos. Print a "
        "table, and optionally write a JSON file and a picture of the parts that match. A "
        "similarity is no proof that two photos show one person (docs/model_card.md)."
    )
    add = parser.add_argument
    add("index", metavar="INDEX", help="a file that `index` wrote")
    words = "photo of one person, or a folder of photos"
    add("photos", nargs="+", metavar="PHOTO", help=words)
    words = "go on without the photos that cannot be read"
    add("--skip-errors", action="store_true", help=words)
    words = "leave out answers with a lower probability, computed by `calibrate`"
    add("--min-probability", type=float, metavar="P", help=words)
    words = (
        "share of the index that shows the person, for probabilities; default: the share of right "
        "pairs in `calibrate`"
    )
    add("--prior", type=float, metavar="P", help=words)
    add("--top", type=int, default=10, metavar="K", help="default: 10")
    words = "visibility compares the parts that both photos show (models with FED only)"
    add("--matching", choices=MATCHINGS, default="cosine", help=words)
    words = (
        f"answer {TOO_LITTLE!r} for photos with a lower mean visibility of the parts (models with "
        "FED only)"
    )
    add("--min-visibility", type=float, default=0.0, metavar="V", help=words)
    add("--weights", metavar="FILE.pth", help="new path of the index's weights")
    add("--device", help="such as cuda:0; default: CUDA if there is a GPU")
    add("--json", type=OutputFile, metavar="FILE", help="write the answers there too")
    add("--picture", type=OutputFile, metavar="FILE", help="draw the answers, .png or .html")


def run(args: argparse.Namespace) -> None:
    """Search and print."""
    _check_numbers(args)
    if args.picture:
        from fed_plugin.visualization.canvas import check_kind

        check_kind(args.picture, "--picture")
    index = load_gallery(args.index)
    if not len(index):
        raise ValueError(f"{args.index}: holds no photo; try `index GALLERY --add -o {args.index}`")
    if args.matching == "visibility" and not index.num_parts:
        raise ValueError("--matching visibility: the index's model estimates none; try cosine")
    if args.min_visibility and not index.num_parts:
        raise ValueError("--min-visibility: the index's model estimates no visibility")
    args.photos = _readable(args)
    embedder = embedder_of(index, args.weights, args.device)
    curve = _calibration(args, embedder)
    outputs = embedder(args.photos)
    weights = outputs.visibility if args.matching == "visibility" else None
    scores, rows = index.search(outputs.descriptors, args.top, weights)
    matches = [
        _matches(index, *one, args, curve)
        for one in zip(args.photos, outputs.visibility_means(), scores, rows, strict=True)
    ]
    _print_table(matches)
    if args.json:
        about = {"index": str(Path(args.index)), "matching": args.matching}
        write_json(args.json, {**about, "model": index.about.get("model"), "photos": matches})
        print(args.json)
    if args.picture:
        answered = [i for i, one in enumerate(matches) if one["answers"]]
        if answered:
            print(_draw_matches(args, index, outputs, scores, rows, answered))
        else:
            print(f"--picture: no photo has an answer, so {args.picture} is not drawn")


def _readable(args: argparse.Namespace) -> list[str]:
    """Return the photos to search with, folders expanded; name those that are left out."""
    from fed_plugin.datasets.listing import readable_photos

    try:
        photos, notes = readable_photos(args.photos, args.skip_errors)
    except ValueError as error:
        hint = "" if args.skip_errors else ", try --skip-errors to go on with the others"
        raise ValueError(f"{error}{hint}") from error
    for path in filter(None, (args.json, args.picture)):
        check_apart(path, photos)
    for note in notes:
        print(note, file=sys.stderr)
    return photos


def _check_numbers(args: argparse.Namespace) -> None:
    for name in ("min_probability", "min_visibility", "prior"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected a share from 0 to 1")
    if args.prior in (0, 1):
        raise ValueError(f"--prior {args.prior}: expected a share above 0 and below 1; try 0.001")
    if args.top < 1:
        raise ValueError(f"--top {args.top}: expected 1 or more")


def load_gallery(path: str | Path) -> GalleryIndex:
    """Read an index that the command ``index`` wrote.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no index, or does not name the model.
    """
    from fed_plugin.search.gallery_index import GalleryIndex

    index = GalleryIndex.load(path)
    kinds = {"config": str, "weights": str, "folder": str, "model": dict}
    lacking = [name for name, kind in kinds.items() if not isinstance(index.about.get(name), kind)]
    if lacking:
        raise ValueError(
            f"{path}: its `about` holds no {', '.join(lacking)}; expected an index that the "
            "command `index` wrote, try making the index anew"
        )
    return index


def embedder_of(index: GalleryIndex, weights: str | None, device: str | None) -> Any:
    """Build the ``Embedder`` of an index.

    The weights are a new path; None takes the path of the index. The device is as for ``Embedder``.

    Raises:
        FileNotFoundError: the weights do not exist.
        KeyError: the config of the index has an unknown key.
        ValueError: the weights or the config are not those of the index.
    """
    where = index.about.get("weights", "") if weights is None else weights
    if where:
        check_file(where, "the weights of the index, try --weights FILE")
    from fed_plugin.fastreid_adapter.embedder import Embedder, config_of_former_hash

    sha256, text = index.about["model"].get("config_sha256"), str(index.about["config"])
    former = config_of_former_hash(text, sha256)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config_of_the_index.yaml"
        config.write_text(text if former is None else former)
        try:
            embedder = Embedder(config, where, device)
        except (ValueError, KeyError) as error:
            message = str(error.args[0]) if error.args else ""
            if str(config) not in message:  # the file is gone when the message is read
                raise
            raise type(error)(message.replace(str(config), "the index's config")) from error
    if former is not None:
        embedder.model_identity["former_config_sha256"] = sha256
    index.check_model(embedder.model_identity)
    return embedder


def _calibration(args: argparse.Namespace, embedder: Any) -> Any:
    """Return the calibration beside the weights, or None if no argument asks for one."""
    from fed_plugin.search.calibration import Calibration, calibration_path

    weights = embedder.cfg.MODEL.WEIGHTS
    needed = args.min_probability is not None or args.prior is not None
    path = calibration_path(weights) if weights else None
    problem: Exception = FileNotFoundError(
        f"{path}: no such file, therefore no probability; try `calibrate DUMP --weights "
        f"{weights or 'FILE.pth'}`"
    )
    if path is not None and path.is_file():
        try:
            curve = Calibration.load(path)
        except ValueError as error:
            raise ValueError(f"{error}; try `calibrate` again, or moving the file away") from error
        fits = curve.weights_sha256 == embedder.model_identity["weights_sha256"]
        if fits and curve.matching == args.matching:
            return curve
        other = f"--matching {curve.matching}" if fits else "other weights"
        problem = ValueError(f"{path}: is of {other}; try `calibrate` again, for these")
    if needed:
        raise problem
    return None


def _matches(
    index: GalleryIndex,
    photo: str,
    visible: float | None,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    args: argparse.Namespace,
    curve: Any,
) -> dict[str, Any]:
    if visible is not None and visible < args.min_visibility:
        return {"photo": photo, "visible": visible, "answers": [], "refused": TOO_LITTLE}
    names, answers = [index.names[row] for row in rows], []
    chances = [1.0] * len(rows) if curve is None else curve.probabilities(scores, args.prior)
    for name, score, chance in zip(names, scores, chances, strict=True):
        known = {} if curve is None else {"probability": float(chance)}
        if chance >= (args.min_probability or 0):
            answers.append({"name": name, "similarity": float(score), **known})
    return {"photo": photo, "visible": visible, "answers": answers}


def _print_table(matches: list[dict[str, Any]]) -> None:
    from tabulate import tabulate

    table = []
    for one in matches:
        photo = one["photo"]
        if not one["answers"]:
            table.append([photo, "", "", "", one.get("refused", "nobody with that probability")])
        for rank, answer in enumerate(one["answers"], start=1):
            probability = answer.get("probability")
            chance = "" if probability is None else f"{probability:.3f}"
            table.append([photo, rank, f"{answer['similarity']:.4f}", chance, answer["name"]])
            photo = ""
    columns = ["photo", "rank", "similarity", "probability", "in the index"]
    if not any(row[3] for row in table):
        columns.pop(3)
        table = [[*row[:3], row[4]] for row in table]
    lines = [[printable(str(cell)) for cell in row] for row in table]
    print(tabulate(lines, columns, disable_numparse=True))


def _draw_matches(
    args: argparse.Namespace,
    index: GalleryIndex,
    outputs: Any,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    answered: list[int],
) -> Path:
    """Draw the ``answered`` queries with their answers and what each part adds."""
    from fed_plugin.datasets.listing import printable
    from fed_plugin.retrieval.distances import part_contributions, visible_contributions
    from fed_plugin.visualization import Answers, match_sheet

    scores, rows = scores[answered, :_IN_A_ROW], rows[answered, :_IN_A_ROW]
    descriptors, photos = outputs.descriptors[answered], [args.photos[i] for i in answered]
    visible = None if outputs.visibility is None else outputs.visibility[answered]
    folder = Path(index.about.get("folder", ""))
    inside = {row: below(folder, index.names[row]) for row in rows.ravel().tolist()}
    if outside := [row for row, path in inside.items() if path is None]:
        print(
            f"--picture: {len(outside)} answers are grey, as their names lead out of {folder}, "
            f"first {printable(index.names[outside[0]])}"
        )
    images = np.stack([[_photo(inside[row]) for row in of] for of in rows.tolist()])
    visibility = contributions = None
    if index.num_parts:
        visibility, shares = index.visibility[rows], []
        for query, seen, of, parts in zip(descriptors, visible, rows, visibility, strict=True):
            others = index.stored.restored(of)
            if args.matching == "visibility":
                shares.append(visible_contributions(query[None], seen[None], others, parts)[0])
            else:
                shares.append(part_contributions(query[None], others, index.num_parts)[0])
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
    """Return the name of a file as text; bytes that are no UTF-8 become question marks."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")


def _photo(path: Path | None) -> NDArray[np.uint8]:
    """Read a photo for the picture; a photo that cannot be read is grey."""
    import cv2

    from fed_plugin.photos import read_rgb

    height, width = _PHOTO_SIZE
    grey = np.full((height, width, 3), 217, np.uint8)
    try:
        pixels = grey if path is None else read_rgb(path)
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    except Exception:  # decoders raise many kinds; the table has the name of the photo
        return grey
