"""``show ranking``: what a dump's method ranks first, and which parts brought it there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.cli.dump import (
    add_model_arguments,
    add_overrides,
    check_weights,
    read_chosen_config,
)

if TYPE_CHECKING:
    from torch import Tensor

    from fed_plugin.fastreid_adapter.loaders import TrainingImages


def add_ranking_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("dump", metavar="DUMP.npz", help="a file that `dump` wrote")
    parser.add_argument(
        "--folder", required=True, metavar="DIR", help="below it lie the dump's images"
    )
    parser.add_argument("--queries", type=int, default=6, metavar="N", help="default: 6")
    parser.add_argument("--top", type=int, default=6, metavar="K", help="default: 6")
    parser.add_argument(
        "--worst", action="store_true", help="the queries with the lowest average precision"
    )
    parser.add_argument(
        "--out", default="ranking.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )


def run_ranking(args: argparse.Namespace) -> None:
    """Rank, choose queries, draw.

    Raises:
        FileNotFoundError: no such dump, or an image that is not below ``--folder``.
        ValueError: the file is neither ``.png`` nor ``.html``, or a number is below 1.
    """
    from fed_plugin.files import check_apart
    from fed_plugin.retrieval.distances import cosine_distance, part_contributions, unit_rows
    from fed_plugin.retrieval.feature_dump import FeatureDump
    from fed_plugin.retrieval.ranking import first_ranked, rank
    from fed_plugin.visualization import Answers, match_sheet
    from fed_plugin.visualization.canvas import check_kind

    check_kind(args.out, "--out")
    check_apart(args.out, [args.dump])
    if args.queries < 1 or args.top < 1:
        raise ValueError("--queries and --top: expected 1 or more")
    dump = FeatureDump.load(args.dump)
    query, gallery = dump.query, dump.gallery
    distances = cosine_distance(dump.features[query], dump.features[gallery])
    labels = [x[rows] for x in (dump.pids, dump.camids) for rows in (query, gallery)]
    ranked = rank(distances, *labels)
    order = ranked.valid_queries
    if args.worst:
        order = order[np.argsort(ranked.average_precisions, kind="stable")]
    asked = order[: args.queries]
    chosen = query[asked]
    q_pids, g_pids, q_camids, g_camids = labels
    found = first_ranked(
        distances[asked], q_pids[asked], g_pids, q_camids[asked], g_camids, args.top
    )
    answered = np.isfinite(found.distances).all(axis=0)  # the camera rule may leave fewer than top
    rows, right = gallery[found.places[:, answered]], found.matches[:, answered]  # (Q, K)
    unit = unit_rows(dump.features.astype(np.float32))
    contributions = []
    if dump.visibility is not None:
        parts = dump.visibility.shape[1]
        contributions = [
            part_contributions(unit[row][None], unit[of], parts)[0]
            for row, of in zip(chosen, rows, strict=True)
        ]
    photo = _reader(dump, Path(args.folder))
    answers = Answers(
        np.stack([[photo(row) for row in of] for of in rows]),
        np.einsum("qd,qkd->qk", unit[chosen], unit[rows]),
        None if dump.visibility is None else dump.visibility[rows],
        np.stack(contributions) if contributions else None,
        [["✓ same person" if x else "✗ another" for x in of] for of in right],
    )
    sheet = match_sheet(
        np.stack([photo(row) for row in chosen]),
        None if dump.visibility is None else dump.visibility[chosen],
        answers,
        args.out,
        [str(dump.names[row]) for row in chosen],
        title=f"{dump.about.get('method', Path(args.dump).stem)}: what is ranked first, and why",
    )
    print(f"{sheet}: {len(chosen)} queries, {right[:, 0].sum()} of them right at rank 1")


def _reader(dump: Any, folder: Path) -> Any:
    """Return a function from a row of the dump to its picture."""
    import cv2

    from fed_plugin.transforms.occluders import read_rgb

    if not folder.is_dir():
        raise FileNotFoundError(f"--folder {folder}: no such folder; expected the data set's")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        files.setdefault(path.name, []).append(path)

    def read(row: int) -> NDArray[np.uint8]:
        name, split = str(dump.names[row]), str(dump.split[row])
        found = [x for x in files.get(Path(name).name, []) if x.as_posix().endswith(name)]
        if not found:
            raise FileNotFoundError(
                f"{name}: not below --folder {folder}; expected the data set that was dumped"
            )
        # one name may stand in both splits; the folder's name tells them apart
        found.sort(key=lambda path: split not in path.parent.name)
        height, width = 192, 96
        return cv2.resize(read_rgb(found[0]), (width, height), interpolation=cv2.INTER_AREA)

    return read


# ``show augment``: a contact sheet of what a config's training pipeline really yields.


def add_augment_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    parser.add_argument(
        "--out", default="augment.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )
    parser.add_argument("--images", type=int, default=16, metavar="N", help="default: %(default)s")
    add_overrides(parser)


def run_augment(args: argparse.Namespace) -> None:
    """Draw the first training images of the config, and say what the sheet shows."""
    from fed_plugin.fastreid_adapter.config_files import find_config, read_config
    from fed_plugin.fastreid_adapter.loaders import first_training_images
    from fed_plugin.visualization.canvas import check_kind

    check_kind(args.out, "--out")
    config_file = find_config(args.config_file)
    cfg = read_config(config_file, args.overrides)
    images = first_training_images(cfg, args.images)
    draw = _draw_pairs if images.views.shape[1] == 2 else _draw_single
    for sentence in draw(cfg, images, Path(args.out), Path(config_file).stem):
        print(sentence)


def _draw_pairs(cfg: Any, images: TrainingImages, path: Path, name: str) -> list[str]:
    """Draw both views, the mask and the target of every image."""
    from fed_plugin.modeling import visibility_target
    from fed_plugin.visualization import pair_sheet

    holistic, occluded = images.views.unbind(1)
    rule, num_parts = cfg.MODEL.FED.OEM.TARGET, cfg.MODEL.FED.NUM_PARTS
    targets = visibility_target(holistic, occluded, num_parts, rule)
    masks = (holistic != occluded).any(dim=1)
    sheet = pair_sheet(
        to_pictures(holistic),
        to_pictures(occluded),
        targets.numpy(),
        path,
        title=f"{name}: training pairs, masks and visibility targets ({rule})",
        masks=masks.numpy(),
        titles=_titles(images),
    )
    teaches = int((targets < 1).any(dim=1).sum())
    covered = int(masks.flatten(1).any(dim=1).sum())
    share = f"{masks.float().mean():.0%} of all pixels"
    return [
        f"{sheet}: {len(masks)} training images of {name}, through the stock loader",
        f"{covered} of them have an occluder, which covers {share}",
        f"{teaches} of them have a target with a hidden part (MODEL.FED.OEM.TARGET {rule!r})",
    ]


def _draw_single(cfg: Any, images: TrainingImages, path: Path, name: str) -> list[str]:
    """Draw the images of a pipeline that makes no second view."""
    from fed_plugin.visualization import image_sheet

    sheet = image_sheet(
        to_pictures(images.views[:, 0]),
        path,
        titles=_titles(images),
        title=f"{name}: training images",
        explanation="As the stock loader yields them, before normalisation; one view each, since "
        f"INPUT.EXTRA_TRANSFORMS is {tuple(cfg.INPUT.EXTRA_TRANSFORMS)}.",
    )
    return [
        f"{sheet}: {len(images.paths)} training images of {name}, through the stock loader",
        "one view each: no NPOAugmentation in INPUT.EXTRA_TRANSFORMS, so no masks and no targets",
    ]


def to_pictures(images: Tensor) -> Any:
    """Turn (N, 3, H, W) in [0, 255] into (N, H, W, 3) uint8 arrays."""
    return images.permute(0, 2, 3, 1).round().clamp(0, 255).byte().cpu().numpy()


def _titles(images: TrainingImages) -> list[str]:
    return [Path(path).name for path in images.paths]


# ``show curves``: losses and learning rate of trainings, from the host's metrics files.


def add_curves_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="OUTPUT_DIR of a training")
    parser.add_argument(
        "--out",
        default="curves.html",
        metavar="FILE",
        help=".html, .png or .svg; default: %(default)s",
    )


def run_curves(args: argparse.Namespace) -> None:
    """Draw a page that needs no network, or a picture.

    Raises:
        FileNotFoundError: no such run, or one without a metrics file.
        ValueError: a file of another kind, or a run has logged no loss yet.
    """
    from fed_plugin.files import write_file
    from fed_plugin.report.curves import TRAINING, Figure, read_training, training_panels
    from fed_plugin.report.renderers import curves_page
    from fed_plugin.visualization.lines import training_figure

    if not args.out.lower().endswith((".html", ".htm", ".png", ".svg")):
        raise ValueError(f"--out {args.out}: expected a file name that ends in .html, .png or .svg")
    runs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in dict.fromkeys(args.runs):
        path = Path(name) / TRAINING
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; expected the OUTPUT_DIR of a training")
        runs[name] = read_training(path)
        if not runs[name]:
            raise ValueError(f"{path}: holds no loss yet; expected a training that has logged some")
    trainings = f"{len(runs)} training{'s' * (len(runs) > 1)}"
    caption = (
        f"Losses and learning rate of {trainings} by iteration, as fast-reid logged them in "
        f"{TRAINING}."
    )
    panels = training_panels([(name, style, one) for style, (name, one) in enumerate(runs.items())])
    if args.out.lower().endswith((".png", ".svg")):
        training_figure(panels, args.out, "Training curves", caption)
    else:
        write_file(args.out, curves_page(Figure(panels, caption)))
    print(f"{args.out}: {trainings}")


# ``show neighbors``: whose memories a trained FED diffuses into its training samples.


def add_neighbors_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    add_model_arguments(parser)
    parser.add_argument("--images", type=int, default=6, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", help="such as cuda:0; default: CUDA where there is one")
    parser.add_argument(
        "--out", default="neighbors.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )
    add_overrides(parser)


def run_neighbors(args: argparse.Namespace) -> None:
    """Take training samples, search the memory, draw.

    Raises:
        FileNotFoundError: no such config, checkpoint or training set.
        ValueError: a model that diffuses nothing, or a checkpoint of other training identities.
    """
    import torch

    from fed_plugin.fastreid_adapter.diffused_neighbors import diffused_neighbors
    from fed_plugin.files import check_apart
    from fed_plugin.visualization import Neighbors, neighbor_sheet
    from fed_plugin.visualization.canvas import check_kind

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

    from fed_plugin.transforms.occluders import read_rgb

    return cv2.resize(read_rgb(path), (width, height), interpolation=cv2.INTER_AREA)


# ``show visibility``: what a trained model believes to see of the persons on photos.

SIZE = (192, 96)


def add_visibility_arguments(parser: argparse.ArgumentParser) -> None:
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


def run_visibility(args: argparse.Namespace) -> None:
    """Describe and draw.

    Raises:
        FileNotFoundError: no such config, checkpoint or folder to write in.
        ValueError: a photo cannot be read, or the model estimates no visibility.
    """
    import cv2
    import numpy as np

    from fed_plugin import Embedder
    from fed_plugin.files import check_apart
    from fed_plugin.transforms.occluders import read_rgb
    from fed_plugin.visualization import visibility_sheet
    from fed_plugin.visualization.canvas import check_kind

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
