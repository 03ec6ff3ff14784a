"""``show augment``: a contact sheet of what a config's training pipeline really yields."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.cli.chosen_model import add_overrides

if TYPE_CHECKING:
    from torch import Tensor

    from fed_plugin.fastreid_adapter.training_images import TrainingImages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--config-file", required=True, help="a path, or an installed config")
    parser.add_argument(
        "--out", default="augment.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )
    parser.add_argument("--images", type=int, default=16, metavar="N", help="default: %(default)s")
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Draw the first training images of the config, and say what the sheet shows."""
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.training_images import first_training_images
    from fed_plugin.installed_configs import find_config
    from fed_plugin.visualization.picture_file import check_kind

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
