"""``show``: pictures of rankings, training images, training curves, neighbours and visibility."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin import arguments, visualization
from fed_plugin.datasets.listing import photos_below, readable_photos
from fed_plugin.files import OutputFile, OutputFileInNewFolder, below, check_apart, write_file
from fed_plugin.photos import read_rgb
from fed_plugin.report.curves import TRAINING, Figure, read_training, training_panels
from fed_plugin.report.renderers import curves_page
from fed_plugin.retrieval.distances import cosine_distance, part_contributions, unit_rows
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.ranking import first_ranked, rank
from fed_plugin.visualization.canvas import check_kind
from fed_plugin.visualization.lines import COLORS, styles_of, training_figure

if TYPE_CHECKING:
    from torch import Tensor

    from fed_plugin.fastreid_adapter.loaders import TrainingImages

_DEVICE = "such as cuda:0; default: CUDA if available"
SIZE = (192, 96)  # height and width of a photo on a sheet


def _add_out(
    parser: argparse.ArgumentParser,
    default: str,
    kinds: str = ".png or .html",
    kind: type[OutputFile] = OutputFile,
) -> None:
    help_text = f"{kinds}; default: %(default)s"
    parser.add_argument("--out", type=kind, default=default, metavar="FILE", help=help_text)


def _check(args: argparse.Namespace, *counts: str) -> None:
    """Refuse another kind of picture, and counts below 1."""
    check_kind(args.out, "--out")
    for name in counts:
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} {getattr(args, name)}: expected 1 or more")


def read_photo(path: str | Path, size: tuple[int, int] = SIZE) -> NDArray[Any]:
    """Return a photo as (*size, 3) uint8 RGB."""
    return cv2.resize(read_rgb(path), size[::-1], interpolation=cv2.INTER_AREA)


def to_pictures(images: Tensor) -> Any:
    """Turn (N, 3, H, W) in [0, 255] into (N, H, W, 3) uint8 arrays."""
    return images.permute(0, 2, 3, 1).round().clamp(0, 255).byte().cpu().numpy()


def _names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


# ``show ranking``: the first answers to queries of a dump, and the share of each part.


def add_ranking_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``show ranking``."""
    add = parser.add_argument
    add("dump", metavar="DUMP.npz", help="a file that `dump` wrote")
    words = "folder that holds the images of the dump; default: where they were dumped"
    add("--folder", metavar="DIR", help=words)
    add("--queries", type=int, default=6, metavar="N", help="default: 6")
    add("--top", type=int, default=6, metavar="K", help="default: 6")
    words = "draw the queries with the lowest average precision"
    add("--worst", action="store_true", help=words)
    _add_out(parser, "ranking.png")


def run_ranking(args: argparse.Namespace) -> None:
    """Rank the gallery of a dump, choose queries, draw their first answers."""
    _check(args, "queries", "top")
    dump = FeatureDump.load(args.dump)
    photo = _photos_of(dump, args.folder)
    chosen, rows, right, ranks = _first_answers(dump, args)
    scores, contributions = _scores(dump, chosen, rows)
    own = theirs = None
    if dump.visibility is not None:
        own, theirs = dump.visibility[chosen], dump.visibility[rows]
    names = [_names(dump.names[of].tolist()) for of in rows]
    photos = np.stack([[photo(row) for row in of] for of in rows])
    titles = [
        f"{dump.names[row]}: first right answer at rank {rank} of {count}"
        for row, rank, count in zip(chosen, *ranks, strict=True)
    ]
    sheet = visualization.match_sheet(
        np.stack([photo(row) for row in chosen]),
        own,
        visualization.Answers(photos, scores, theirs, contributions, names, right),
        args.out,
        titles,
        title=f"{dump.about.get('method', Path(args.dump).stem)}: what is ranked first, and why",
    )
    print(
        f"{sheet}: {len(chosen)} queries, {right[:, 0].sum()} of them right at rank 1; first right "
        f"answers at rank {', '.join(map(str, ranks[0]))}"
    )


def _first_answers(
    dump: FeatureDump, args: argparse.Namespace
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return rows of queries (Q,) and of their answers (Q, K), right ones (Q, K), and ranks (2, Q).

    The ranks are those of the first right answers, and of the last answers.
    """
    query, gallery = dump.query, dump.gallery
    distances = cosine_distance(dump.features[query], dump.features[gallery])
    ranked = rank(distances, *dump.labels())
    valid = np.arange(len(ranked.valid_queries))
    if args.worst:
        valid = np.argsort(ranked.average_precisions, kind="stable")
    valid = valid[: args.queries]
    asked = ranked.valid_queries[valid]
    first = first_ranked(distances[asked], *dump.labels(query[asked]), len(gallery))
    shown = np.isfinite(first.distances[:, : args.top]).all(axis=0)  # the rules may leave fewer
    ranks = np.stack([1 + ranked.first_hits[valid], np.isfinite(first.distances).sum(axis=1)])
    rows, right = (of[:, : args.top][:, shown] for of in (first.places, first.matches))
    return query[asked], gallery[rows], right, ranks


def _scores(
    dump: FeatureDump, chosen: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return (Q, K) cosines and (Q, K, P) contributions of parts; None for a model without."""
    unit = unit_rows(dump.features.astype(np.float32))
    scores = np.einsum("qd,qkd->qk", unit[chosen], unit[rows])
    if dump.visibility is None:
        return scores, None
    pairs, parts = zip(unit[chosen], unit[rows], strict=True), dump.visibility.shape[1]
    return scores, np.stack([part_contributions(one[None], of, parts)[0] for one, of in pairs])


def _photos_of(dump: FeatureDump, folder: str | None) -> Callable[[int], NDArray[np.uint8]]:
    """Return a function that reads the photo of a row, from ``--folder`` or where the dump says."""
    recorded = dump.about.get("folders")
    recorded = recorded if isinstance(recorded, dict) else {}
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"--folder {folder}: no such folder; expected the data set's")
    if folder is None and not recorded:
        raise ValueError("--folder: expected the folder of the data set, as the dump names none")
    files = photos_below(folder, needed=False).images if folder is not None else []

    def photo(row: int) -> NDArray[np.uint8]:
        name, split = str(dump.names[row]), str(dump.split[row])
        if folder is not None:
            return read_photo(_only_one(name, split, files, folder, recorded))
        path = below(str(recorded[split]), name) if recorded.get(split) else None
        if path is None or not path.is_file():
            raise FileNotFoundError(
                f"{name}: not below {recorded.get(split)}, the folder that the dump names; try "
                "--folder DIR with the data set"
            )
        return read_photo(path)

    return photo


def _only_one(
    name: str, split: str, files: list[str], folder: str, recorded: dict[str, Any]
) -> str:
    """Return the file of a name in a split.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several, and neither the dump nor a folder's name says which.
    """
    other = "gallery" if split == "query" else "query"
    ours, theirs = (Path(str(recorded.get(one, ""))).name for one in (split, other))
    parents = {
        path: Path(path[: -len(name)]).resolve().name
        for path in files
        if Path(path).as_posix().endswith(f"/{name}")
    }
    fitting = [path for path, parent in parents.items() if parent == ours or parent != theirs]
    if not fitting:
        raise FileNotFoundError(
            f"{name}: not below --folder {folder}; expected the data set that was dumped"
        )
    own = [path for path in fitting if parents[path] == ours]
    own = own or [path for path in fitting if split in parents[path]]
    own = own or [path for path in fitting if other not in parents[path]] or fitting
    if len(own) > 1:
        raise ValueError(
            f"{name}: stands several times below --folder {folder}: {own[0]} and {own[1]}; "
            "expected one file of that name, try a folder that holds the dumped data set alone"
        )
    return own[0]


# ``show augment``: a contact sheet of the images that a config's training pipeline yields.


def add_augment_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``show augment``."""
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    _add_out(parser, "augment.png", kind=OutputFileInNewFolder)
    parser.add_argument("--images", type=int, default=16, metavar="N", help="default: %(default)s")
    arguments.add_overrides(parser)


def run_augment(args: argparse.Namespace) -> None:
    """Draw the first training images of a config, and describe the sheet."""
    _check(args, "images")
    config_file = arguments.find_config(args.config_file)
    overrides = arguments.key_value_pairs(args.overrides)

    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.loaders import first_training_images

    cfg = read_config(config_file, overrides)
    images = first_training_images(cfg, args.images)
    draw = draw_pairs if images.views.shape[1] == 2 else _draw_single
    for sentence in draw(cfg, images, Path(args.out), Path(config_file).stem):
        print(sentence)


def draw_pairs(cfg: Any, images: TrainingImages, path: Path, name: str) -> list[str]:
    """Draw holistic and occluded views with masks and targets; return sentences about them."""
    from fed_plugin.modeling import visibility_target

    holistic, occluded = images.views.unbind(1)
    rule = cfg.MODEL.FED.OEM.TARGET
    targets = visibility_target(holistic, occluded, cfg.MODEL.FED.NUM_PARTS, rule)
    masks = (holistic != occluded).any(dim=1)
    sheet = visualization.pair_sheet(
        *map(to_pictures, (holistic, occluded)),
        targets.numpy(),
        path,
        title=f"{name}: training pairs, masks and visibility targets ({rule})",
        masks=masks.numpy(),
        titles=_names(images.paths),
    )
    hidden, covered = (int(x.flatten(1).any(dim=1).sum()) for x in (targets < 1, masks))
    share = f"{masks.float().mean():.0%} of all pixels"
    return [
        f"{sheet}: {len(masks)} training images of {name}, through the stock loader",
        f"{covered} of them have an occluder, which covers {share}",
        f"{hidden} of them have a target with a hidden part (MODEL.FED.OEM.TARGET {rule!r})",
    ]


def _draw_single(cfg: Any, images: TrainingImages, path: Path, name: str) -> list[str]:
    sheet = visualization.image_sheet(
        to_pictures(images.views[:, 0]),
        path,
        titles=_names(images.paths),
        title=f"{name}: training images",
        explanation="As the stock loader yields them, before normalisation; one view each, because "
        f"INPUT.EXTRA_TRANSFORMS is {tuple(cfg.INPUT.EXTRA_TRANSFORMS)}.",
    )
    return [
        f"{sheet}: {len(images.paths)} training images of {name}, through the stock loader",
        "one view each: INPUT.EXTRA_TRANSFORMS has no NPOAugmentation, therefore there are no "
        "masks and no targets",
    ]


# ``show curves``: losses and learning rate of trainings, from the host's metrics files.


def add_curves_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``show curves``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="OUTPUT_DIR of a training")
    _add_out(parser, "curves.html", ".html, .png or .svg")


def run_curves(args: argparse.Namespace) -> None:
    """Draw a page that loads nothing, or a picture."""
    kind = check_kind(args.out, "--out", (".html", ".htm", ".png", ".svg")).suffix.lower()
    runs: list[tuple[str, int, Any]] = []
    names = list(dict.fromkeys(args.runs))
    methods = [arguments.name_of_run(name).partition("/")[0] for name in names]
    styles, before = styles_of(methods), Counter[str]()
    for name, method in zip(names, methods, strict=True):
        path = Path(name) / TRAINING
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; expected the OUTPUT_DIR of a training")
        logged = read_training(path)
        if not logged:
            raise ValueError(f"{path}: holds no loss yet; expected a training that has logged some")
        style = styles[method] + before[method] * len(COLORS)  # the colour, other dashes
        runs.append((name, style, logged))
        before[method] += 1
    trainings = f"{len(runs)} training{'s' * (len(runs) > 1)}"
    caption = (
        f"Losses, learning rate, Rank-1 and mAP of {trainings} by iteration, as fast-reid logged "
        f"them in {TRAINING}, and the last evaluation in log.txt."
    )
    panels = training_panels(runs)
    if kind in (".png", ".svg"):
        training_figure(panels, args.out, "Training curves", caption)
    else:
        write_file(args.out, curves_page(Figure(panels, caption)))
    print(f"{args.out}: {trainings}")


# ``show neighbors``: the identities whose memories a trained FED diffuses into its samples.


def add_neighbors_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``show neighbors``."""
    parser.add_argument("--images", type=int, default=6, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", help=_DEVICE)
    _add_out(parser, "neighbors.png")
    arguments.add_model_arguments(parser)


def run_neighbors(args: argparse.Namespace) -> None:
    """Take training samples, search the memory, draw."""
    arguments.check_model_words(args)
    _check(args, "images")

    import torch

    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.diffused_neighbors import diffused_neighbors

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    cfg = read_config(args.config_file, [*arguments.model_overrides(args), "MODEL.DEVICE", device])
    diffused = diffused_neighbors(cfg, args.images)
    method = arguments.name_of_method(args.config_file, args.weights)
    samples, weights = diffused.samples, diffused.weights
    files = [[diffused.photos[index] for index in of] for of in diffused.identities.tolist()]
    size = tuple(samples.views.shape[-2:])
    note = (
        "MODEL.FED.FDM.HEAD_LAYOUT reference joins heads of several samples of a batch in "
        "training. Therefore the neighbours reach other samples of the batch as well."
    )
    sheet = visualization.neighbor_sheet(
        *(to_pictures(view) for view in samples.views.unbind(1)),
        None if diffused.visibility is None else diffused.visibility.numpy(),
        visualization.Neighbors(
            np.stack([[read_photo(file, size) for file in of] for of in files]),
            weights.numpy(),
            diffused.similarity.numpy(),
            [_names(of) for of in files],
        ),
        args.out,
        _names(samples.paths),
        title=f"{method}: whose memories are diffused into training samples",
        note=note if cfg.MODEL.FED.FDM.HEAD_LAYOUT == "reference" else "",
    )
    print(
        f"{sheet}: {len(files)} training samples, {len(files[0])} neighbours each; on average the "
        f"first takes {weights[:, 0].mean():.0%} of the attention, the largest "
        f"{weights.max(dim=1).values.mean():.0%}"
    )


# ``show visibility``: the visibilities that a trained model gives to photos.


def add_visibility_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``show visibility``."""
    words = "photo of one person, or a folder"
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help=words)
    arguments.add_model_arguments(parser, overrides=False)
    parser.add_argument("--device", help=_DEVICE)
    _add_out(parser, "visibility.png")


def run_visibility(args: argparse.Namespace) -> None:
    """Describe photos and draw their visibilities."""
    arguments.check_model_words(args)
    _check(args)
    args.photos, notes = readable_photos(args.photos)
    check_apart(args.out, args.photos)
    for note in notes:
        print(note, file=sys.stderr)

    from fed_plugin import Embedder

    visibility = Embedder(args.config_file, args.weights, args.device)(args.photos).visibility
    if visibility is None:
        raise ValueError(
            f"--config-file {args.config_file}: this model estimates no visibility; expected FED "
            "with MODEL.FED.OEM.ENABLED True"
        )
    images = np.stack([read_photo(photo) for photo in args.photos])
    sheet = visualization.visibility_sheet(images, visibility, args.out, titles=_names(args.photos))
    print(f"{sheet}: {len(images)} photos, on average {visibility.mean():.0%} visible")
