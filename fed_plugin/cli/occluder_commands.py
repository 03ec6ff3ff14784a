"""``data occluders``: build, check and preview the sets of obstacles that NPO pastes."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFile, OutputFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fed_plugin.cli.occluder_quality import LeakReport
    from fed_plugin.datasets.occluder_sets import Crop, LeftOut
    from fed_plugin.datasets.splits import Item, Layout

INTERRUPTED = "no half-written set is left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the three commands."""
    words = "Occluder sets for INPUT.NPO.OCCLUDERS: folders of obstacle crops with a manifest."
    parser.description = words
    commands = parser.add_subparsers(metavar="build|check|preview", required=True)
    _add_build(commands)
    _add_check(commands)
    preview = commands.add_parser("preview", help="draw a contact sheet of a set")
    preview.set_defaults(work=run_preview)
    add = preview.add_argument
    add("folder", metavar="DIR")
    add("--out", type=OutputFile, default="occluders.png", metavar="FILE", help=".png or .html")
    add("--most", type=int, default=200, metavar="N", help="crops shown; default: %(default)s")
    add("--seed", type=int, default=0, help="of the pasted examples")


def run(args: argparse.Namespace) -> int | None:
    """Run the chosen one of the three commands."""
    return args.work(args)


def _add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = commands.add_parser(
        "build",
        help="write a set: from crops, mined from a training set, or drawn",
        description="Write an occluder set: PNG crops without duplicates, and manifest.json with "
        "source, licence, sha256, size and h/w ratio. The same words give the same bytes.",
    )
    build.set_defaults(work=run_build)
    source = build.add_mutually_exclusive_group(required=True)
    words = "image files of any kind; transparency is kept"
    source.add_argument("--from-crops", metavar="DIR", help=words)
    source.add_argument(
        "--mine",
        metavar="NAME|PATH",
        help="cut background beside the people of a data set's TRAINING images; the data set's "
        "licence and withdrawal bind the crops",
    )
    source.add_argument("--drawn", type=int, metavar="N", help="draw N obstacles; no download")
    add = build.add_argument
    words = "an empty folder, or a new one"
    add("--out", type=OutputFolder, required=True, metavar="DIR", help=words)
    add("--licence", metavar="TEXT", help="licence of the crops, for the manifest")
    add("--source", metavar="TEXT", help="source of the crops, for the manifest")
    add("--count", type=int, metavar="N", help="crops at most; default: all, 200 if mined")
    add("--seed", type=int, default=0, help="of mining, drawing and the report")
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
    add, size = parser.add_argument, (256, 128)
    add("--leaks-in", metavar="NAME|PATH", help=f"{leaks} the query images of this data set")
    add("--image-size", type=int, nargs=2, default=size, metavar=("H", "W"), help="256 128")
    add("--draws", type=int, default=2000, metavar="N", help="placements of the report; 2000")


# The source of the crops of a new set: a folder, a training set, or a program.

_MINED = 200  # crops of a mined set without --count
_SPARE = 2  # mined crops per wanted crop: some crops are duplicates or leaks
_NAMED = 5  # names of crops in a line


@dataclass(frozen=True)
class Source:
    """Candidates for a set of at most ``most`` crops, in order of preference.

    ``left_out`` holds files without a usable crop, ``source`` is the origin of the crops.
    """

    crops: list[Crop]
    left_out: list[LeftOut]
    source: str
    licence: str
    most: int | None


def _from_folder(args: argparse.Namespace) -> Source:
    from fed_plugin.datasets.occluder_sets import read_crops

    with ProgressLine("reading crops") as progress:
        crops, left_out = read_crops(args.from_crops, progress)
    source = args.source or f"crops in the folder {Path(args.from_crops).resolve().name}"
    licence = args.licence or "not stated; whoever built this set gave no --licence"
    return Source(crops, left_out, source, licence, args.count)


def _mined(args: argparse.Namespace) -> Source:
    from fed_plugin.cli.occluder_quality import named_split
    from fed_plugin.datasets.occluder_mining import mine_crops

    layout, train = named_split(args.mine, "train")
    count = _MINED if args.count is None else args.count
    with ProgressLine(f"reading training images of {layout.name}") as progress:
        crops, left_out = mine_crops(train, _SPARE * count, args.seed, progress)
    licence = (
        f"cut out of training images of {layout.name}: its licence, and its withdrawal if there is "
        f"one, bind these crops as they bind the images"
    )
    withdrawn = layout.note if "withdrawn" in layout.note else ""
    licence = "; ".join(filter(None, [licence, args.licence, withdrawn]))
    source = args.source or f"background at the borders of training images of {layout.name}"
    return Source(crops, left_out, source, licence, count)


def _drawn(args: argparse.Namespace) -> Source:
    from fed_plugin.datasets.occluder_sets import Crop
    from fed_plugin.transforms import drawn_occluders

    occluders = drawn_occluders(args.drawn, args.seed)
    crops = [
        Crop(name.rpartition("-")[0], pixels, f"drawn, seed {args.seed}: {name}")
        for name, pixels in zip(occluders.names, occluders, strict=True)
    ]
    source = args.source or "drawn by fed_plugin"
    licence = args.licence or "drawn by a program under the Apache License 2.0; nobody's picture"
    return Source(crops, [], source, licence, args.count)


# ``data occluders build``


def run_build(args: argparse.Namespace) -> None:
    """Gather crops, leave out duplicates and leaks, write the set, report; or write nothing."""
    from fed_plugin.cli.occluder_quality import check_words, named_split
    from fed_plugin.datasets import occluder_sets as sets

    sets.check_target(args.out)
    check_words(args.draws, args.image_size)
    if args.count is not None and args.count < 1:
        raise ValueError(f"--count {args.count}: expected 1 or more")
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    gather = _drawn if args.from_crops is None else _from_folder
    source = (gather if args.mine is None else _mined)(args)
    crops, duplicates = sets.without_duplicates(source.crops)
    left_out = [*source.left_out, *duplicates]
    leaks = None
    if queries:
        report = _search(crops, *queries)
        leaks = report.to_json(crops)
        left_out += report.left_out(crops)
        crops = [crop for index, crop in enumerate(crops) if index not in report.leaks]
    kept = crops[: source.most]
    rest = crops[len(kept) :]
    if args.mine is None:  # a training set always has more windows
        enough = ("beyond --count", f"{source.most} are enough")
        left_out += [sets.LeftOut(crop.origin, *enough) for crop in rest]
    _print_left_out(left_out, None if not kept else _NAMED)
    about = {
        "source": source.source,
        "licence": source.licence,
        "built": {"command": _command(args), "seed": args.seed},
        "leaks": leaks,
        "left_out": [vars(one) for one in left_out],
    }
    measured: dict[str, Any] = {}

    def describe(folder: Path) -> dict[str, Any]:
        measured.update(_measure(folder, args, kept))
        return measured

    with ProgressLine("writing crops") as progress:
        folder = sets.write_set(args.out, kept, about, describe, progress)
    _print_summary(args, folder, kept, source)
    _print_supervision(measured, kept)
    print(f"to train with it:\n    INPUT.NPO.OCCLUDERS {folder}")


def _print_summary(
    args: argparse.Namespace, folder: Path, kept: Sequence[Crop], source: Source
) -> None:
    print(f"{_counted(kept)}, in {folder}")
    if args.mine is not None and len(kept) < (source.most or 0):
        print(f"    fewer than the {source.most} asked for: no more windows show only background")
    print(f"    source: {source.source}\n    licence: {source.licence}")
    if args.leaks_in is None:
        print("    not searched for leaks: --leaks-in NAME does so")


def _command(args: argparse.Namespace) -> str:
    """Return the command in words for any machine, without the folders of this machine."""
    words = ["fed-plugin", "data", "occluders", "build"]
    folders, others = ("from_crops", "mine", "leaks_in"), ("drawn", "count", "licence", "source")
    for name in (*folders, *others, "draws"):
        value = getattr(args, name)
        if value is not None:
            value = Path(value).resolve().name if name in folders else str(value)
            words += [f"--{name.replace('_', '-')}", value]
    size = ["--image-size", *map(str, args.image_size)]
    return shlex.join([*words, *size, "--seed", str(args.seed)])


# ``data occluders check``


def run_check(args: argparse.Namespace) -> int:
    """Check and print; status 1 if there is a problem or a leak."""
    from fed_plugin.cli.occluder_quality import check_words, named_split
    from fed_plugin.datasets.occluder_sets import MANIFEST, check_set

    check_words(args.draws, args.image_size)
    queries = named_split(args.leaks_in, "query") if args.leaks_in else None
    with ProgressLine("reading crops") as progress:
        check = check_set(args.folder, progress)
    crops, problems = check.crops, list(check.problems)
    print(f"{args.folder}: {_counted(crops)}")
    if check.manifest is None:
        print(
            f"warning: no {MANIFEST}: the origin of the crops is unknown, and changes cannot be "
            "detected; `data occluders build --from-crops` makes a set of them"
        )
    else:
        about = check.manifest.about
        print(f"    source: {about.get('source')}\n    licence: {about.get('licence')}")
    searched = True
    if queries is not None and crops:
        report = _search(crops, *queries)
        searched = not report.unreadable
        problems += report.left_out(crops)
    _print_left_out(check.warnings)
    _print_left_out(problems)
    if crops and not any(problem.kind == "broken" for problem in problems):
        _print_supervision(_measure(Path(args.folder), args, crops), crops)
    if not crops:
        print("not one usable crop")
    return int(bool(problems) or not searched or not crops)


# Reports of build and check: crops left out, leaks, and the supervision that a set gives.


def _counted(crops: Sequence[Crop]) -> str:
    tall = sum(crop.is_tall for crop in crops)
    return f"{len(crops)} crops, {tall} tall and {len(crops) - tall} wide"


def _print_left_out(left_out: Sequence[LeftOut], most: int | None = None) -> None:
    """Count the crops that are left out by kind, and name ``most`` of each kind (None: all)."""
    from fed_plugin.datasets.occluder_sets import MANIFEST

    for kind, count in sorted(Counter(one.kind for one in left_out).items()):
        print(f"{kind}: {count}")
        named = [one for one in left_out if one.kind == kind][:most]
        for one in named:
            print(f"    {one.name}: {one.reason}")
        if len(named) < count:
            print(f"    ... and {count - len(named)} more, all named in {MANIFEST}")


def _search(crops: list[Crop], layout: Layout, queries: list[Item]) -> LeakReport:
    from fed_plugin.cli.occluder_quality import search_leaks

    with ProgressLine(f"searching {len(crops)} crops in queries") as progress:
        report = search_leaks(crops, layout.name, queries, progress)
    found = f"{len(report.leaks)} crops occur in {report.images} query images of {report.dataset}"
    print(f"leaks: {found}")
    if unsearchable := [crops[index].origin for index in report.unsearchable]:
        more = len(unsearchable) - _NAMED
        print(
            f"    {len(unsearchable)} crops are too small, flat or transparent to be recognised: "
            f"{', '.join(unsearchable[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
        )
    for name in report.unreadable:
        print(f"    cannot be searched: {name}")
    return report


def _measure(folder: Path, args: argparse.Namespace, crops: Sequence[Crop]) -> dict[str, Any]:
    """Measure the supervision of a folder of crops, also with its transparency if it has any."""
    from fed_plugin.cli.occluder_quality import measure_supervision

    result, size = {}, tuple(args.image_size)
    for key, alpha in {"supervision": False, "supervision_with_alpha": True}.items():
        if not alpha or any(crop.pixels.shape[2] == 4 for crop in crops):
            result[key] = measure_supervision(folder, args.draws, size, seed=args.seed, alpha=alpha)
    return result


def _print_supervision(measured: dict[str, Any], crops: Sequence[Crop]) -> None:
    from fed_plugin.cli.occluder_quality import supervision_sentences

    tall = sum(crop.is_tall for crop in crops)
    for one in measured.values():
        for line in supervision_sentences(one, tall, len(crops)):
            print(line)


# ``data occluders preview``: a contact sheet of a set, with some crops pasted over drawn people.

_EXAMPLES = 12
_SIZE = (256, 128)


def run_preview(args: argparse.Namespace) -> None:
    """Draw the sheet; print the numbers of visible and hidden crops."""
    from fed_plugin.datasets.occluder_sets import check_set
    from fed_plugin.visualization.canvas import check_kind
    from fed_plugin.visualization.sheets import occluder_sheet

    check_kind(args.out, "--out")
    if args.most < 1:
        raise ValueError(f"--most {args.most}: expected 1 or more")
    check = check_set(args.folder)
    if not check.crops:
        _print_left_out(check.problems)
        raise ValueError(f"{args.folder}: holds no crop that can be shown")
    visible = check.crops[: args.most]
    counted, notes = f"{len(visible)} of {len(check.crops)} crops", []
    if len(visible) < len(check.crops):
        notes.append(f"{counted} are shown.")
    if any(crop.pixels.shape[2] == 4 for crop in visible):
        notes.append("The examples keep transparency, as INPUT.NPO.ALPHA True does.")
    pictures, lines = _paste_examples(visible, args.seed)
    source = check.manifest and check.manifest.about.get("source")
    named = [f"Occluder set {Path(args.folder).resolve().name}", source]
    sheet = occluder_sheet(
        [crop.pixels for crop in visible],
        [crop.name for crop in visible],
        args.out,
        examples=pictures,
        example_titles=lines,
        title=": ".join(filter(None, named)),
        note=" ".join(notes),
    )
    print(f"{sheet}: {counted}")
    _print_left_out([*check.warnings, *check.problems])


def _paste_examples(crops: list[Crop], seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Paste crops over drawn people by the reference's rules; name the marked parts of each."""
    import numpy as np
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
    import numpy as np
    from PIL import Image

    from fed_plugin.synthocc.build import take
    from fed_plugin.synthocc.casting import SIZES, TRAIN, plan

    shots = [shot for shot in plan(SIZES["tiny"], 0) if shot.split == TRAIN]
    height, width = _SIZE
    chosen = shots[:: max(1, len(shots) // _EXAMPLES)][:_EXAMPLES]
    images = [Image.fromarray(take("tiny", 0, shot).pixels) for shot in chosen]
    return [np.array(image.resize((width, height), Image.Resampling.BICUBIC)) for image in images]
