"""``robustness``: what methods are worth when more and more of every query is covered."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings
    from fed_plugin.retrieval.robustness_curve import RobustnessCurve

INTERRUPTED = "curves that were measured are kept; the same command goes on with the rest"
CURVE = "robustness.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Search a gallery for whole people, then with obstacles and other people pasted over one "
        "side of every query: Rank-1 and mAP against the share that stays visible, and the area "
        "under these curves (docs/robustness.md)."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config-file", metavar="FILE", help="one model's; MODEL.WEIGHTS at the end")
    what.add_argument(
        "--benchmark",
        metavar="OUT",
        help=f"every finished cell with a model in a benchmark's folder; writes its {CURVE}",
    )
    parser.add_argument("--out", metavar="FILE", help=f"of one model, default: {CURVE}")
    parser.add_argument("--method", metavar="NAME", help="of one model, in tables")
    parser.add_argument("--dataset", metavar="NAME", help="default: the one in DATASETS.TESTS")
    parser.add_argument("--occluders", default="", metavar="FOLDER", help="default: drawn ones")
    parser.add_argument(
        "--visible",
        nargs="+",
        type=float,
        metavar="SHARE",
        help="visible shares, falling; default: 0.875 to 0.25 in steps of 0.125",
    )
    parser.add_argument("--kinds", nargs="+", choices=("objects", "people"), help="default: both")
    parser.add_argument("--queries", type=int, default=300, help="at most; default: 300")
    parser.add_argument(
        "--queries-from",
        choices=("auto", "query", "gallery"),
        default="auto",
        help="auto: the gallery where the set's queries are known to be occluded",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is pasted where; default: 0")
    parser.add_argument(
        "--figure", metavar="FILE", help="draw the curves, as .png or .svg; of a benchmark of all"
    )
    parser.add_argument(
        "--sheet", metavar="FILE.png", help="draw a query with all that is pasted on it"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="of a benchmark's")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time; default: 1")
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config overrides of one model, such as MODEL.WEIGHTS FILE.pth",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write, print a table.

    Raises:
        FileNotFoundError: no such config, checkpoint, data set or folder.
        ValueError: words that do not go together, or a checkpoint of another model.
    """
    from fed_plugin.cli.robustness_cells import measure_cells
    from fed_plugin.retrieval.whole_files import check_writable

    _refuse_what_is_not_read(args)
    for path in filter(None, (args.out, args.figure, args.sheet)):
        check_writable(path)
    settings = _settings(args)
    status = 0
    if args.benchmark:
        found = measure_cells(
            Path(args.benchmark), settings, jobs=args.jobs, only=args.only, dataset=args.dataset
        )
        curves, status = found.curves, 1 if found.failures else 0
        cfg, dataset = found.config, found.dataset
    else:
        cfg, dataset, curve = measure_one(args, settings)
        curves = [curve]
    _draw(args, curves, cfg, dataset, settings)
    return status


def measure_one(
    args: argparse.Namespace, settings: RobustnessSettings
) -> tuple[Any, str, RobustnessCurve]:
    """Measure one model; return its config, the data set's name and the curve."""
    from fed_plugin.cli.dump import only_test_set
    from fed_plugin.cli.progress import ProgressLine
    from fed_plugin.cli.robustness_table import robustness_tables
    from fed_plugin.installed_configs import find_config

    config_file = find_config(args.config_file)

    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.robustness import measure_robustness

    cfg = read_config(config_file, args.overrides)
    dataset = args.dataset or only_test_set(cfg.DATASETS.TESTS)
    with ProgressLine(f"covering queries of {dataset}") as progress:
        curve = measure_robustness(
            cfg, dataset, settings, args.method or Path(config_file).stem, progress
        )
    target = Path(args.out or CURVE)
    curve.save(target)
    print(robustness_tables([curve]))
    print(f"curves: {target}")
    return cfg, dataset, curve


def _refuse_what_is_not_read(args: argparse.Namespace) -> None:
    """Refuse words that only the other way of calling reads, and pictures of another kind.

    Raises:
        ValueError: one of them is there.
    """
    of_one = {"--out": args.out, "--method": args.method, "KEY VALUE": args.overrides}
    of_many = {"--only": args.only, "--jobs": args.jobs != 1}
    wrong = of_one if args.benchmark else of_many
    if found := [name for name, value in wrong.items() if value]:
        way = "--benchmark" if args.benchmark else "--config-file"
        raise ValueError(f"{found[0]}: not read with {way}; try without")
    for word, path, kinds in (
        ("--figure", args.figure, (".png", ".svg")),
        ("--sheet", args.sheet, (".png",)),
    ):
        if path and Path(path).suffix.lower() not in kinds:
            raise ValueError(f"{word} {path}: expected a name that ends in {' or '.join(kinds)}")


def _draw(
    args: argparse.Namespace,
    curves: Sequence[RobustnessCurve],
    cfg: Any,
    dataset: str,
    settings: RobustnessSettings,
) -> None:
    from fed_plugin.cli.robustness_pictures import draw_curves, draw_sheet
    from fed_plugin.cli.robustness_table import group_curves

    if args.figure:
        path = Path(args.figure)
        for place, group in enumerate(group_curves(curves), start=1):
            target = path.with_stem(f"{path.stem}_{place}") if place > 1 else path
            print(f"figure: {draw_curves(group.curves, target)}")
    if args.sheet:
        print(f"what is pasted: {draw_sheet(cfg, dataset, settings, Path(args.sheet))}")


def _settings(args: argparse.Namespace) -> RobustnessSettings:
    from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings

    given = {"visible_shares": args.visible, "kinds": args.kinds}
    return RobustnessSettings(
        **{name: tuple(values) for name, values in given.items() if values},
        queries=args.queries,
        source=args.queries_from,
        occluders=args.occluders,
        seed=args.seed,
    )
