"""``data occluders preview``: a contact sheet of a set, some of it pasted over drawn people."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.cli.data.occluder_report import print_left_out
from fed_plugin.datasets.occluder_sets import Crop, check_set

_EXAMPLES = 12
_SIZE = (256, 128)


def run(args: argparse.Namespace) -> None:
    """Draw the sheet, and say what it shows and what it does not."""
    from fed_plugin.visualization.occluder_sheet import occluder_sheet
    from fed_plugin.visualization.picture_file import check_kind

    check_kind(args.out, "--out")
    if args.most < 1:
        raise ValueError(f"--most {args.most}: expected 1 or more")
    check = check_set(args.folder)
    if not check.crops:
        print_left_out(check.problems)
        raise ValueError(f"{args.folder}: holds no crop that can be shown")
    shown = check.crops[: args.most]
    hidden = len(check.crops) - len(shown)
    note = f"{len(shown)} of {len(check.crops)} crops are shown." if hidden else ""
    if any(crop.pixels.shape[2] == 4 for crop in shown):
        note += " The examples keep transparency, as INPUT.NPO.ALPHA True does."
    pictures, lines = _paste_examples(shown, args.seed)
    source = check.manifest.about.get("source") if check.manifest else None
    sheet = occluder_sheet(
        [crop.pixels for crop in shown],
        [crop.name for crop in shown],
        args.out,
        examples=pictures,
        example_titles=lines,
        title=f"Occluder set {Path(args.folder).resolve().name}"
        + (f": {source}" if source else ""),
        note=note.strip(),
    )
    print(f"{sheet}: {len(shown)} of {len(check.crops)} crops")
    print_left_out([*check.warnings, *check.problems])


def _paste_examples(crops: list[Crop], seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Paste crops over drawn people by the reference's rules, and say what the target marks."""
    import torch

    from fed_plugin.modeling import visibility_target
    from fed_plugin.transforms import NPOAugmentation, OccluderSet

    npo = NPOAugmentation(OccluderSet([crop.pixels for crop in crops]))
    generator = torch.Generator().manual_seed(seed)
    pictures, lines = [], []
    for person in _people():
        image = torch.from_numpy(person).permute(2, 0, 1).float()
        views = npo(image, generator)
        target = visibility_target(views[:1], views[1:], 4)[0]
        parts = [str(part + 1) for part, visible in enumerate(target.tolist()) if visible < 1]
        lines.append(f"hidden: {', '.join(parts)}" if parts else "all visible")
        pictures.append(views[1].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())
    return np.stack(pictures), lines


def _people() -> list[NDArray[np.uint8]]:
    """Draw people; those of SynthOcc, so that no data set is needed."""
    from fed_plugin.datasets.synthocc.build import take
    from fed_plugin.datasets.synthocc.plan import SIZES, TRAIN, plan

    shots = [shot for shot in plan(SIZES["tiny"], 0) if shot.split == TRAIN]
    height, width = _SIZE
    chosen = shots[:: max(1, len(shots) // _EXAMPLES)][:_EXAMPLES]
    images = [Image.fromarray(take("tiny", 0, shot).pixels) for shot in chosen]
    return [np.array(image.resize((width, height), Image.Resampling.BICUBIC)) for image in images]
