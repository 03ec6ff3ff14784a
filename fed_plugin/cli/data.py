"""``fed-plugin data``: draw, check and build data sets."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING

from tabulate import tabulate

from fed_plugin.console import ProgressLine, printable
from fed_plugin.files import OutputFile, OutputFolder, write_json

if TYPE_CHECKING:
    from fed_plugin.datasets import Layout
    from fed_plugin.datasets.check import Report, Target

# ``data check``: the content of a data set, and its faults.

CHECK_INTERRUPTED = "what was read is remembered for the next check, but for --no-cache"

_SHOWN = 3  # files of a finding
_HASH = 12  # characters of a hash in the table
_CONFIG = "market1501_vit_base"  # for data sets without a config of their own
_OWN_CONFIG = "synthocc_vit_tiny"  # for own images: it needs no pretrained weights


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``data check``."""
    parser.description = (
        "Check a data set: counts against the published ones, hashes of the file lists, images "
        "that cannot be read or are unlike the others, pictures that are there twice, queries "
        "without a right answer. Exit status 1 if there is an error. Nothing is written into the "
        "data set's folder."
    )
    add = parser.add_argument
    add(
        "dataset",
        nargs="?",
        metavar="NAME|PATH",
        help="a registered name such as Occluded_Duke; or the folder of a data set, a folder that "
        "holds data sets, or own images; default: all below FASTREID_DATASETS (datasets, if unset)",
    )
    add("--all", action="store_true", help="name every file, not the first few")
    add("--json", type=OutputFile, metavar="FILE", help="write the report, with every file")
    add("--fast", action="store_true", help="read headers alone; search for no look-alikes")
    add("--workers", type=int, metavar="N", help="processes; default: all cores")
    words = "facts of files that were read; default: in XDG_CACHE_HOME"
    add("--cache", type=OutputFile, metavar="FILE", help=words)
    add("--no-cache", action="store_true", help="read every file again, remember nothing")


def run_check(args: argparse.Namespace) -> int:
    """Check and print; status 1 after an error in any of the data sets."""
    from fed_plugin.datasets.check import check, find_targets
    from fed_plugin.datasets.image_facts import FactsCache, default_cache

    targets = find_targets(args.dataset, os.environ.get("FASTREID_DATASETS", "datasets"))
    cache = None if args.no_cache else FactsCache(args.cache or default_cache())
    options = {"decode": not args.fast, "workers": args.workers, "cache": cache}
    reports = []
    try:
        for target in targets:
            with ProgressLine(f"checking {target.name}") as progress:
                reports.append(check(target, **options, progress=progress))
            print_report(reports[-1], every_file=args.all)
    finally:
        if cache is not None:
            cache.close()
    for warning in cache.warnings if cache else ():
        _print(f"warning: {warning}")
    if args.json:
        content = [{**report.to_json(), "training": how_to_train(report)} for report in reports]
        write_json(args.json, content)
    return int(any(report.errors for report in reports))


def print_report(report: Report, *, every_file: bool = False) -> None:
    """Print the table, the findings with their first files or ``every_file``, and how to train."""
    target = report.target
    base = target.folder if os.path.isdir(target.folder) else os.path.dirname(target.folder) or "."
    _print("")
    _print(f"{target.name}: {target.folder}")
    for line in (*target.variant, "", *_table(report), ""):
        _print(f"  {line}".rstrip())
    for finding in report.findings:
        _print(f"{finding.severity}: {finding.sentence}")
        named = finding.files if every_file else finding.files[:_SHOWN]
        for files in named:
            _print(f"    {' = '.join(os.path.relpath(file, base) for file in files)}")
        if len(named) < len(finding.files):
            _print(f"    ... and {len(finding.files) - len(named)} more (--all names them)")
    read = f"{report.inspected} files read, {report.images - report.inspected} unchanged"
    _print(f"{_summary(report)}; {read} since a check before")
    if not report.errors:
        for line in ("to train or test on it:", *(f"    {line}" for line in how_to_train(report))):
            _print(line)


def _table(report: Report) -> list[str]:
    head = ("split", "images", "published", "ids", "published", "cameras", "median", "file list")
    rows = []
    for row in report.splits:
        counts = (row.images, row.published_images, row.identities, row.published_identities)
        words = ["-" if count is None else f"{count:,}" for count in counts]
        size = f"{row.width} x {row.height}"
        words += [str(row.cameras or "-"), size, row.list_sha256[:_HASH]]
        rows.append([row.split, *words])
    sides = ("left", *["right"] * (len(head) - 1))
    options = {"tablefmt": "plain", "colalign": sides, "disable_numparse": True}
    return tabulate(rows, head, **options).splitlines()


def _summary(report: Report) -> str:
    severities = [finding.severity for finding in report.findings]
    counts = {severity: severities.count(severity) for severity in ("error", "warning", "note")}
    return ", ".join(f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in counts.items())


def _print(line: str) -> None:
    """Print a line that may hold file names with line breaks."""
    print(printable(line))


def how_to_train(report: Report) -> list[str]:
    """Return shell lines that train on a checked data set, or test on it."""
    from fed_plugin.datasets import LAYOUTS

    target = report.target
    if target.name in LAYOUTS:
        return _train_on_benchmark(LAYOUTS[target.name], target)
    there = {row.split for row in report.splits if row.images}
    trains, tests = "train" in there, {"query", "gallery"} <= there
    folder = os.path.abspath(target.folder)
    own, root = '("FolderReID",)', ["DATASETS.FOLDER_REID.ROOT", folder]
    words = ["DATASETS.NAMES", own] * trains + ["DATASETS.TESTS", own] * tests + root
    if trains:
        name = os.path.splitext(os.path.basename(folder))[0]
        words += [*_fitting(_OWN_CONFIG, words, target), "OUTPUT_DIR", f"logs/{name}"]
    lines = [shlex.join(["fed-plugin", "train", "--config-file", _OWN_CONFIG, *words])]
    if not (trains and tests):
        missing = "test on" if trains else "train on"
        lines.append(f"(nothing here to {missing}: the config's own sets have to be there)")
    lines.append(f"(with a GPU and ImageNet weights: --config-file {_CONFIG})")
    return lines


def _fitting(config: str, words: list[str], target: Target) -> list[str]:
    """Return the keys and values that a config needs beside ``words`` to train on a small set."""
    from fed_plugin.fastreid_adapter.training import keys_that_fit

    images = [item for part in target.list_files() if part.split == "train" for item in part.items]
    keys = keys_that_fit(config, words, images) if images else {}
    return [str(word) for pair in keys.items() for word in pair]


def _train_on_benchmark(layout: Layout, target: Target) -> list[str]:
    root, folder = os.path.split(target.folder)
    lines = []
    known = layout.folders[:1] if layout.checked_only else layout.folders
    if folder not in known:
        link = os.path.join(root, layout.folders[0])
        lines.append(f"ln -s {shlex.quote(folder)} {shlex.quote(link)}")
    name = f'("{layout.name}",)'
    words = [] if layout.config else ["DATASETS.TESTS", name]
    if words and "train" in layout.splits:
        words = ["DATASETS.NAMES", name, *words]
    config = layout.config or _CONFIG
    if "train" in layout.splits:
        words += _fitting(config, words, target)
    command = f"FASTREID_DATASETS={shlex.quote(os.path.abspath(root))} fed-plugin train"
    lines.append(f"{command} {shlex.join(['--config-file', config, *words])}")
    if "train" not in layout.splits:
        lines.append(f"(it has no training images: Market1501 has to lie in {root}, too)")
    return lines


# ``data build-occluded-duke``: Occluded-Duke from the user's own copy of DukeMTMC-reID.

BUILD_OCCLUDED_DUKE_INTERRUPTED = "the same command goes on from here"


def add_build_occluded_duke_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``data build-occluded-duke``."""
    from fed_plugin.datasets.occluded_duke_build import WITHDRAWN

    parser.description = (
        "Build Occluded_Duke from a copy of DukeMTMC-reID that you have, by the published lists. "
        "Every list and every copied image is verified. A second call goes on where a first was "
        "interrupted; a folder that holds something else is never touched. Nothing is downloaded."
    )
    parser.epilog = WITHDRAWN
    add = parser.add_argument
    add("--duke", required=True, metavar="ZIP_OR_DIR", help="DukeMTMC-reID, packed or unpacked")
    words = "holds train.list, query.list and gallery.list of lightas/Occluded-DukeMTMC-Dataset"
    add("--lists", required=True, metavar="DIR", help=words)
    words = "DIR is the folder that FASTREID_DATASETS names"
    add("--out", type=OutputFolder, required=True, metavar="DIR/Occluded_Duke", help=words)


def run_build_occluded_duke(args: argparse.Namespace) -> None:
    """Print what the withdrawal means, then build."""
    from fed_plugin.datasets.occluded_duke_build import WITHDRAWN, build_occluded_duke

    print(textwrap.fill(WITHDRAWN, 79), file=sys.stderr, flush=True)
    with ProgressLine("building Occluded_Duke") as progress:
        built = build_occluded_duke(args.duke, args.lists, args.out, progress=progress)
    print(
        f"Occluded_Duke: {built.folder}: {built.images} images, {built.copied} copied now, all "
        f"verified; sha256 of names and contents {built.sha256}\n"
        f"try: fed-plugin data check {built.folder}"
    )


# ``data build-occluded-posetrack``: the crops of Occluded-PoseTrack-ReID out of PoseTrack21.

BUILD_OCCLUDED_POSETRACK_INTERRUPTED = "the same command goes on from here"


def add_build_occluded_posetrack_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``data build-occluded-posetrack``."""
    parser.add_argument(
        "--posetrack",
        required=True,
        metavar="DIR/PoseTrack21",
        help="holds images, posetrack_data and occluded_posetrack_reid/*_dataset_sampling.json; "
        "DIR is the folder that FASTREID_DATASETS names. Crops go to "
        "occluded_posetrack_reid/images",
    )


def run_build_occluded_posetrack(args: argparse.Namespace) -> None:
    """Cut the crops that are still missing."""
    from fed_plugin.datasets.posetrack import cut_crops

    with ProgressLine("cutting crops") as progress:
        result = cut_crops(args.posetrack, progress=progress)
    print(f"{result.cut} crops cut, {result.there} were there")
    for split, images in result.splits.items():
        print(f"{split}: {images} images, {result.identities[split]} identities")


# ``data synth``: the drawn data set.

SYNTH_INTERRUPTED = "the same command goes on from here"


def add_synth_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``data synth``."""
    add = parser.add_argument
    add("--size", choices=("tiny", "small", "medium"), default="small", help="default: small")
    words = "DIR is the folder that FASTREID_DATASETS names"
    add("--out", type=OutputFolder, required=True, metavar="DIR/SynthOcc", help=words)
    add("--seed", type=int, default=0, help="another seed draws other people")
    add("--workers", type=int, default=None, help="processes; default: all cores")


def run_synth(args: argparse.Namespace) -> None:
    """Draw the data set; keep a finished one of the same size and seed."""
    from fed_plugin.synthocc import build_synthocc

    with ProgressLine(f"drawing SynthOcc {args.size}") as progress:
        options = {"workers": args.workers, "progress": progress}
        folder = build_synthocc(args.out, args.size, args.seed, **options)
    print(f"SynthOcc {args.size}, seed {args.seed}: {folder}")
