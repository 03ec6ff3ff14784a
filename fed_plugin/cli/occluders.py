"""``data occluders``: build, check and preview the sets of obstacles that NPO pastes."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.cli.occluder_quality import (
    LeakReport,
    NamedSplit,
    check_words,
    measure_supervision,
    named_split,
    say_supervision,
    search_leaks,
)
from fed_plugin.console import ProgressLine
from fed_plugin.datasets.occluder_sets import (
    MANIFEST,
    Crop,
    LeftOut,
    check_set,
    check_target,
    mine_crops,
    read_crops,
    without_duplicates,
    write_set,
)

INTERRUPTED = "no half-written set is left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the three commands."""
    parser.description = (
        "Occluder sets for INPUT.NPO.OCCLUDERS: folders of obstacle crops with a manifest."
    )
    commands = parser.add_subparsers(metavar="build|check|preview", required=True)
    _add_build(commands)
    _add_check(commands)
    preview = commands.add_parser("preview", help="draw a contact sheet of a set")
    preview.set_defaults(work=run_preview)
    preview.add_argument("folder", metavar="DIR")
    preview.add_argument("--out", default="occluders.png", metavar="FILE", help=".png or .html")
    preview.add_argument(
        "--most", type=int, default=200, metavar="N", help="crops shown; default: %(default)s"
    )
    preview.add_argument("--seed", type=int, default=0, help="of the pasted examples")


def run(args: argparse.Namespace) -> int | None:
    """Run the chosen one of the three commands."""
    status: int | None = args.work(args)
    return status


def _add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = commands.add_parser(
        "build",
        help="write a set: from crops, mined from a training set, or drawn",
        description="Write an occluder set: PNG crops without duplicates, and manifest.json with "
        "source, licence, sha256, size and h/w ratio. The same words give the same bytes.",
    )
    build.set_defaults(work=run_build)
    source = build.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-crops", metavar="DIR", help="image files of any kind; transparency is kept"
    )
    source.add_argument(
        "--mine",
        metavar="NAME|PATH",
        help="cut background beside the people of a data set's TRAINING images; the data set's "
        "licence and withdrawal bind the crops",
    )
    source.add_argument("--drawn", type=int, metavar="N", help="draw N obstacles; no download")
    build.add_argument("--out", required=True, metavar="DIR", help="empty, or not there yet")
    build.add_argument("--licence", metavar="TEXT", help="what binds the crops, for the manifest")
    build.add_argument("--source", metavar="TEXT", help="where they are from, for the manifest")
    build.add_argument(
        "--count", type=int, metavar="N", help="crops at most; default: all, 200 if mined"
    )
    build.add_argument("--seed", type=int, default=0, help="of mining, drawing and the report")
    _add_report(build, "leave out crops that occur in")


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        help="compare a set with its manifest, and with test images",
        description="Check an occluder set, or any folder of crops. Exit status 1 if files are "
        "missing, changed, unlisted, unreadable or there twice, or if a crop leaks.",
    )
    check.set_defaults(work=run_check)
    check.add_argument("folder", metavar="DIR")
    check.add_argument("--seed", type=int, default=0, help="of the report")
    _add_report(check, "also search the crops in")


def _add_report(parser: argparse.ArgumentParser, leaks: str) -> None:
    parser.add_argument(
        "--leaks-in", metavar="NAME|PATH", help=f"{leaks} the query images of this data set"
    )
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"), help="256 128"
    )
    parser.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="placements of the report; 2000"
    )


# What the commands on occluder sets print: what is left out, what leaks, what a set teaches.

_SHOWN = 5  # names of crops in a line


def print_left_out(left_out: Sequence[LeftOut], shown: int | None = None) -> None:
    """Count and name what is not part of a set, by kind.

    Args:
        left_out: all of it.
        shown: how many of each kind are named; None names all.
    """
    kinds = Counter(one.kind for one in left_out)
    for kind, count in sorted(kinds.items()):
        print(f"{kind}: {count}")
        names = [one for one in left_out if one.kind == kind]
        for one in names[:shown]:
            print(f"    {one.name}: {one.reason}")
        if len(names[:shown]) < count:
            print(f"    ... and {count - len(names[:shown])} more, all named in {MANIFEST}")


def print_supervision(supervision: dict[str, Any], crops: Sequence[Crop]) -> None:
    """Print what ``measure`` returned."""
    tall = sum(crop.is_tall for crop in crops)
    for found in supervision.values():
        for line in say_supervision(found, tall, len(crops)):
            print(line)


def measure(folder: Path, args: argparse.Namespace, transparent: bool) -> dict[str, Any]:
    """Measure what a folder of crops teaches, also with its transparency where it has any."""
    size = tuple(args.image_size)
    found = {"supervision": measure_supervision(folder, args.draws, size, seed=args.seed)}
    if transparent:
        found["supervision_with_alpha"] = measure_supervision(
            folder, args.draws, size, seed=args.seed, alpha=True
        )
    return found


def print_leak_search(report: LeakReport, crops: Sequence[Crop]) -> None:
    """Say what was searched, and what could not be."""
    print(
        f"leaks: {len(report.found)} crops occur in {report.images} query images of "
        f"{report.dataset}"
    )
    if report.unsearchable:
        names = ", ".join(crops[index].origin for index in report.unsearchable[:_SHOWN])
        more = len(report.unsearchable) - _SHOWN
        print(
            f"    {len(report.unsearchable)} crops are too small, flat or transparent to be "
            f"recognised: {names}{f' and {more} more' if more > 0 else ''}"
        )
    for name in report.unreadable:
        print(f"    cannot be searched: {name}")


# Where the crops of a new occluder set come from: a folder, a training set, or a program.

DEFAULT_COUNT = 200
_SPARE = 2  # mined crops per crop wanted: some are duplicates or leaks


@dataclass(frozen=True)
class Source:
    """Hold candidates for a set.

    Attributes:
        crops: in order of preference.
        left_out: files that gave none.
        source: where they are from.
        licence: what binds them.
        most: crops that the set may have.
    """

    crops: list[Crop]
    left_out: list[LeftOut]
    source: str
    licence: str
    most: int | None = None


def gather(args: argparse.Namespace) -> Source:
    """Get crops from the source that the command's words name."""
    if args.from_crops is not None:
        return _from_folder(args)
    if args.mine is not None:
        return _mined(args)
    return _drawn(args)


def _from_folder(args: argparse.Namespace) -> Source:
    with ProgressLine("reading crops") as progress:
        crops, left_out = read_crops(args.from_crops, progress)
    source = args.source or f"crops in the folder {Path(args.from_crops).resolve().name}"
    licence = args.licence or "not stated; whoever built this set gave no --licence"
    return Source(crops, left_out, source, licence, args.count)


def _mined(args: argparse.Namespace) -> Source:
    train = named_split(args.mine, "train")
    count = DEFAULT_COUNT if args.count is None else args.count
    with ProgressLine(f"looking through training images of {train.name}") as progress:
        crops, left_out = mine_crops(train.items, _SPARE * count, args.seed, progress)
    licence = (
        f"cut out of training images of {train.name}: its licence, and its withdrawal if there is "
        f"one, bind these crops as they bind the images"
    )
    licence = "; ".join(filter(None, [licence, args.licence, train.note]))
    source = args.source or f"background at the borders of training images of {train.name}"
    return Source(crops, left_out, source, licence, count)


def _drawn(args: argparse.Namespace) -> Source:
    from fed_plugin.transforms import drawn_occluders

    occluders = drawn_occluders(args.drawn, args.seed)
    crops = [
        Crop(name.rpartition("-")[0], pixels, f"drawn, seed {args.seed}: {name}")
        for name, pixels in zip(occluders.names, occluders, strict=True)
    ]
    source = args.source or "drawn by fed_plugin"
    licence = args.licence or "drawn by a program under the Apache License 2.0; nobody's picture"
    return Source(crops, [], source, licence, args.count)


# ``data occluders build``: gather, leave out what must not be in, write, report.


def run_build(args: argparse.Namespace) -> None:
    """Build a set; nothing is written if that fails."""
    check_target(args.out)
    check_words(args.draws, args.image_size)
    if args.count is not None and args.count < 1:
        raise ValueError(f"--count {args.count}: expected 1 or more")
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    source = gather(args)
    crops, duplicates = without_duplicates(source.crops)
    left_out = [*source.left_out, *duplicates]
    leaks = None
    if queries is not None:
        crops, found, leaks = _without_leaks(crops, queries)
        left_out += found
    kept = crops[: source.most]
    if args.mine is None:  # of mined windows there are always more
        reason = f"{source.most} are enough"
        left_out += [LeftOut(c.origin, "beyond --count", reason) for c in crops[len(kept) :]]
    print_left_out(left_out, None if not kept else _SHOWN)
    about = {
        "source": source.source,
        "licence": source.licence,
        "built": {"command": _command(args), "seed": args.seed},
        "leaks": leaks,
        "left_out": [vars(one) for one in left_out],
    }
    supervision: dict[str, Any] = {}

    def describe(folder: Path) -> dict[str, Any]:
        supervision.update(measure(folder, args, any(c.pixels.shape[2] == 4 for c in kept)))
        return supervision

    with ProgressLine("writing crops") as progress:
        folder = write_set(args.out, kept, about, describe, progress)
    _print_summary(args, folder, kept, source)
    print_supervision(supervision, kept)
    print(f"to train with it:\n    INPUT.NPO.OCCLUDERS {folder}")


def _without_leaks(
    crops: list[Crop], queries: NamedSplit
) -> tuple[list[Crop], list[LeftOut], dict[str, Any]]:
    """Search and take out; also return what the manifest says of the search."""
    with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
        report = search_leaks(crops, queries, progress)
    print_leak_search(report, crops)
    kept = [crop for index, crop in enumerate(crops) if index not in report.found]
    leaks = [LeftOut(crops[i].origin, "leak", text) for i, text in sorted(report.found.items())]
    return kept, leaks, report.to_json(crops)


def _print_summary(
    args: argparse.Namespace,
    folder: Path,
    kept: Sequence[Crop],
    source: Source,
) -> None:
    tall = sum(crop.is_tall for crop in kept)
    print(f"{len(kept)} crops, {tall} tall and {len(kept) - tall} wide, in {folder}")
    if args.mine is not None and len(kept) < (source.most or 0):
        print(f"    fewer than the {source.most} asked for: no more windows show only background")
    print(f"    source: {source.source}\n    licence: {source.licence}")
    if args.leaks_in is None:
        print("    not searched for leaks: --leaks-in NAME does so")


def _command(args: argparse.Namespace) -> str:
    """Write the command as anybody could repeat it: without the folders of this machine."""
    words = ["python", "-m", "fed_plugin", "data", "occluders", "build"]
    named = {
        "--from-crops": args.from_crops and Path(args.from_crops).resolve().name,
        "--mine": args.mine and Path(args.mine).name,
        "--drawn": args.drawn,
        "--count": args.count,
        "--licence": args.licence,
        "--source": args.source,
        "--leaks-in": args.leaks_in and Path(args.leaks_in).name,
        "--draws": args.draws,
    }
    for word, value in named.items():
        words += [] if value is None else [word, str(value)]
    size = ["--image-size", *map(str, args.image_size)]
    return shlex.join([*words, *size, "--seed", str(args.seed)])


# ``data occluders check``: a set against its manifest, or somebody's folder of crops.


def run_check(args: argparse.Namespace) -> int:
    """Check and print; status 1 if there is a problem or a leak."""
    check_words(args.draws, args.image_size)
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    with ProgressLine("reading crops") as progress:
        check = check_set(args.folder, progress)
    crops, problems = check.crops, list(check.problems)
    tall = sum(crop.is_tall for crop in crops)
    print(f"{args.folder}: {len(crops)} crops, {tall} tall and {len(crops) - tall} wide")
    if check.manifest is None:
        print(
            f"warning: no {MANIFEST}, so nothing says where the crops are from or whether they "
            "are as they were; `data occluders build --from-crops` makes a set of them"
        )
    else:
        about = check.manifest.about
        print(f"    source: {about.get('source')}\n    licence: {about.get('licence')}")
    searched = True
    if queries is not None and crops:
        with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
            report = search_leaks(crops, queries, progress)
        print_leak_search(report, crops)
        searched = not report.unreadable
        problems += [
            LeftOut(crops[i].origin, "leak", text) for i, text in sorted(report.found.items())
        ]
    print_left_out(check.warnings)
    print_left_out(problems)
    if crops and not any(problem.kind == "broken" for problem in problems):
        transparent = any(crop.pixels.shape[2] == 4 for crop in crops)
        print_supervision(measure(Path(args.folder), args, transparent), crops)
    if not crops:
        print("not one usable crop")
    return int(bool(problems) or not searched or not crops)


# ``data occluders preview``: a contact sheet of a set, some of it pasted over drawn people.

_EXAMPLES = 12
_SIZE = (256, 128)


def run_preview(args: argparse.Namespace) -> None:
    """Draw the sheet, and say what it shows and what it does not."""
    from fed_plugin.visualization.canvas import check_kind
    from fed_plugin.visualization.sheets import occluder_sheet

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
    from fed_plugin.synthocc.build import take
    from fed_plugin.synthocc.casting import SIZES, TRAIN, plan

    shots = [shot for shot in plan(SIZES["tiny"], 0) if shot.split == TRAIN]
    height, width = _SIZE
    chosen = shots[:: max(1, len(shots) // _EXAMPLES)][:_EXAMPLES]
    images = [Image.fromarray(take("tiny", 0, shot).pixels) for shot in chosen]
    return [np.array(image.resize((width, height), Image.Resampling.BICUBIC)) for image in images]
