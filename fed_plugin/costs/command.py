"""``costs``: parameters, multiplications, time and memory of a plan's methods."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, to_builtins

from fed_plugin.benchmark import plan as plans
from fed_plugin.benchmark.plan import Dataset, Method, Plan
from fed_plugin.console import ProgressLine, machine_words
from fed_plugin.files import OutputFile, check_writable, convert, decode, write_json
from fed_plugin.retrieval.estimates import Column, Estimate, as_text, number_text
from fed_plugin.retrieval.feature_dump import FeatureDump

if TYPE_CHECKING:
    from fed_plugin.costs.measure import CostedMethod

INTERRUPTED = "nothing was written"
FILE = "costs.json"
QUIET = {"KINETO_LOG_LEVEL": "99", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Without these variables the profiler writes to the terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("plan", metavar="PLAN.yml", help="a benchmark's plan (docs/benchmark.md)")
    add("--rounds", type=int, default=10, help="timed steps of each; default: 10")
    add("--only", nargs="+", default=[], metavar="METHOD", help="of the plan")
    words = "divisor of the times; default: with 'baseline' in its name, else the first"
    add("--baseline", metavar="METHOD", help=words)
    add("--dataset", help="of the plan, for its identities; default: the first")
    add("--batch", type=int, help="images of a step; default: the batches of each config")
    add("--identities", type=int, help="number of training identities; default: of the data set")
    add("--out", type=OutputFile, help=f"file; default: {FILE} in the plan's folder")


def run(args: argparse.Namespace) -> None:
    """Measure, write, print a table."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)

    for name, least in {"rounds": 1, "batch": 2, "identities": 2}.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} {value}: expected {least} or more")
    plan = plans.read_plan(args.plan)
    methods = plans.chosen_methods(plan, args.only)
    dataset = _dataset(plan, args.dataset)
    baseline = _baseline(plan, methods, args.baseline)
    try:
        from fed_plugin.costs.measure import SETTINGS, measure_costs
    except ImportError as error:
        if "torch.utils" not in str(error):
            raise
        raise ValueError(
            "costs: expected a PyTorch that counts operations, as 2.14 does, got one that does "
            f"not ({error}); try a newer one"
        ) from error
    target = Path(args.out) if args.out else plan.out / FILE
    if not args.out:
        plan.out.mkdir(parents=True, exist_ok=True)
    check_writable(target)
    logging.getLogger("fastreid").setLevel(logging.ERROR)
    dumps = {one.name: _dump_row(plan, dataset, one) for one in methods if one.kind == "dump"}
    costed = {one.name: _costed(plan, dataset, one, args) for one in methods if one.kind != "dump"}
    about = _about(args, plan, dataset, baseline)
    with ProgressLine("measuring costs") as progress:
        measured = measure_costs(costed, baseline, args.rounds, progress)
    rows = [{"method": one.name, **{**measured, **dumps}[one.name]} for one in methods]
    for key in SETTINGS:
        about[key] = ", ".join(dict.fromkeys(str(row[key]) for row in measured.values()))
    costs = convert({"format": FORMAT, "about": about, "rows": rows}, Costs)
    write_json(target, to_builtins(costs))
    print(f"{as_text(COLUMNS, costs.rows)}\n\n{notes(costs)}\n\nnumbers: {target}")


def _dataset(plan: Plan, name: str | None) -> Dataset:
    datasets = {dataset.name: dataset for dataset in plan.datasets}
    if name is not None and name not in datasets:
        raise ValueError(f"--dataset {name}: expected one of {plan.path}: {', '.join(datasets)}")
    return datasets[name] if name else plan.datasets[0]


def _baseline(plan: Plan, methods: Sequence[Method], name: str | None) -> str:
    names = [method.name for method in methods if method.kind != "dump"]
    if not names:
        raise ValueError(
            f"{plan.path}: nothing to measure, all methods are dumps; expected one with a config"
        )
    if name is None:
        return next((one for one in names if "baseline" in one.lower()), names[0])
    if name not in names:
        raise ValueError(
            f"--baseline {name!r}: expected a method that is measured: {', '.join(names)}"
        )
    return name


def _costed(plan: Plan, dataset: Dataset, method: Method, args: argparse.Namespace) -> CostedMethod:
    from fed_plugin.costs.measure import CostedMethod
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.loaders import count_identities
    from fed_plugin.fastreid_adapter.training import resolve_config

    overrides = plans.overrides_of(plan, dataset, method)
    try:
        resolve_config(method.source, overrides)
        cfg = read_config(method.source, [word for pair in overrides.items() for word in pair])
        identities = args.identities or count_identities(cfg)
        if identities < 2:
            raise ValueError(
                f"DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}: one identity to train on, expected "
                "two or more; try --identities N"
            )
        batches = (args.batch or given.IMS_PER_BATCH for given in (cfg.SOLVER, cfg.TEST))
        return CostedMethod(cfg, identities, *batches)
    except ValueError as error:
        raise ValueError(f"{plan.path}: {method.name} on {dataset.name}: {error}") from error


def _dump_row(plan: Plan, dataset: Dataset, method: Method) -> dict[str, Any]:
    from fed_plugin.costs.measure import FLOAT32, MEASURED

    features = FeatureDump.load(plans.dump_file(method, dataset, plan.seeds[0])).features
    return {**dict.fromkeys(MEASURED), "descriptor_bytes": FLOAT32 * features.shape[1]}


def _about(args: argparse.Namespace, plan: Plan, dataset: Dataset, baseline: str) -> dict[str, Any]:
    import torch

    words = ["python", "-m", "fed_plugin", "costs", args.plan]
    for name in ("rounds", "only", "baseline", "dataset", "batch", "identities"):
        if value := getattr(args, name):
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return {
        **{"plan": plan.name, "dataset": dataset.name, "baseline": baseline},
        **{"machine": machine_words(), "cores": os.cpu_count()},
        "load_before": [round(load, 1) for load in os.getloadavg()],
        **{"torch": str(torch.__version__), "threads": torch.get_num_threads()},
        **{"rounds": args.rounds, "command": shlex.join(words)},
    }


# The file ``costs.json`` and its table.

FORMAT = "fed_plugin.costs/1"


class Spread(Struct):
    """Median, smallest and largest value over the rounds."""

    median: float
    min: float
    max: float


class CostRow(Struct, kw_only=True, omit_defaults=True):
    """Costs of one method (docs/costs.md); a dump has the size of its descriptors alone.

    ``shares`` names the method that was measured in the place of this one.
    """

    method: str
    parameters_training: int | None
    parameters_test: int | None
    macs_training: int | None
    macs_test: int | None
    training_images_per_second: Spread | None
    training_ratio: Spread | None
    test_milliseconds_per_image: Spread | None
    test_ratio: Spread | None
    peak_training_bytes: int | None
    peak_test_bytes: int | None
    descriptor_bytes: int
    device: str | None = None
    precision: str | None = None
    identities: int | None = None
    training_batch: int | None = None
    test_batch: int | None = None
    shares: str | None = None


class About(Struct, kw_only=True):
    """Machine and settings of a measurement; settings of several methods are one text."""

    plan: str = ""
    dataset: str = ""
    baseline: str
    machine: str
    cores: int
    load_before: Annotated[list[float], Meta(min_length=1)]
    torch: str
    threads: int
    rounds: int
    command: str = ""
    device: str
    precision: str
    identities: str | int
    training_batch: str | int
    test_batch: str | int


class Costs(Struct, kw_only=True):
    """Content of ``costs.json``."""

    format: Literal["fed_plugin.costs/1"]
    about: About
    rows: list[CostRow]


def load_costs(path: str | os.PathLike[str]) -> Costs:
    """Read a ``costs.json``.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is something else; the message names file and key.
    """
    return decode(path, Costs, "the costs of methods")


def _pair(name: str, unit: float, row: CostRow) -> str | None:
    numbers = [getattr(row, name.format(phase)) for phase in ("training", "test")]
    if None in numbers:
        return None
    return " / ".join(number_text(number / unit, ".3g") for number in numbers)


def _spread(name: str, before: str, row: CostRow) -> str | None:
    values = getattr(row, name)
    if values is None:
        return None
    return f"{before}{Estimate(values.median, lowest=values.min, highest=values.max):.3g}"


COLUMNS: list[Column[CostRow]] = [
    Column("method", "method", lambda row: row.method + (" *" if row.shares else "")),
    Column("parameters", "M parameters train / test", partial(_pair, "parameters_{}", 1e6)),
    Column("macs", "G MACs train / test", partial(_pair, "macs_{}", 1e9)),
    Column("trained", "trained images/s", partial(_spread, "training_images_per_second", "")),
    Column("training_ratio", "time", partial(_spread, "training_ratio", "x ")),
    Column("tested", "test ms/image", partial(_spread, "test_milliseconds_per_image", "")),
    Column("test_ratio", "time", partial(_spread, "test_ratio", "x ")),
    Column("peaks", "MB peak train / test", partial(_pair, "peak_{}_bytes", 1e6)),
    Column("descriptor", "descriptor bytes", lambda row: row.descriptor_bytes),
]
"""Columns of the table; ``time`` is a ratio to the baseline's time."""


def notes(costs: Costs) -> str:
    """Return the explanation of the table."""
    about, busy = costs.about, costs.about.load_before[0]
    lines = [
        f"On {about.machine}, {about.device}, {about.precision}, threads: {about.threads}, torch "
        f"{about.torch}; batches of {about.training_batch} in training, {about.test_batch} at "
        f"test; {about.identities} identities; rounds: {about.rounds}, each with a step of every "
        "method; median (min to max) over them.",
        f"time: per image, beside {about.baseline} in the same round. Images are noise in "
        "memory: reading, drawing and augmenting them is not in the times (docs/costs.md).",
    ]
    if busy > about.cores / 2:
        lines.append(
            f"The machine was busy ({busy} of {about.cores} cores, before): trust the ratios more "
            "than the times, and measure again when it is quiet."
        )
    shared: dict[str, list[str]] = {}
    for row in costs.rows:
        if row.shares:
            shared.setdefault(row.shares, []).append(row.method)
    lines += [
        f"* {', '.join(names)}: measured once, with {name}: the same network and training step."
        for name, names in shared.items()
    ]
    return "\n".join(lines)
