"""``costs``: what a plan's methods cost: parameters, multiplications, time and memory."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from fed_plugin.console import machine_words

if TYPE_CHECKING:
    from fed_plugin.benchmark.plan import Dataset, Method, Plan
    from fed_plugin.costs.measure import CostedMethod

INTERRUPTED = "nothing was written"
FORMAT = "fed_plugin.costs/1"
FILE = "costs.json"
QUIET = {"KINETO_LOG_LEVEL": "99", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""The profiler would tell the terminal when it starts and which block it did not see allocated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("plan", metavar="PLAN.yml", help="a benchmark's plan (docs/benchmark.md)")
    parser.add_argument("--rounds", type=int, default=10, help="timed steps of each; default: 10")
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="of the plan's")
    parser.add_argument(
        "--baseline",
        metavar="METHOD",
        help="that times are divided by; default: the first with 'baseline' in its name, else the "
        "first",
    )
    parser.add_argument("--dataset", help="of the plan's, for its identities; default: the first")
    parser.add_argument(
        "--batch", type=int, help="images of a step; default: what each config trains and tests on"
    )
    parser.add_argument(
        "--identities", type=int, help="to train on, instead of counting the data set's"
    )
    parser.add_argument("--out", help=f"file; default: {FILE} in the plan's folder")


def run(args: argparse.Namespace) -> None:
    """Measure, write, print a table."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import logging

    from fed_plugin.benchmark.plan import chosen_methods, read_plan
    from fed_plugin.console import ProgressLine

    try:
        from fed_plugin.costs.measure import SETTINGS, measure_costs
    except ImportError as error:
        if "torch.utils" not in str(error):
            raise
        raise ValueError(
            "costs: expected a PyTorch that counts operations, as 2.14 does, got one that does "
            f"not ({error}); try a newer one"
        ) from error
    from fed_plugin.files import check_writable, write_json

    _check_numbers(args)
    plan = read_plan(args.plan)
    methods = chosen_methods(plan, args.only)
    dataset = _dataset(plan, args.dataset)
    baseline = _baseline(plan, methods, args.baseline)
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
    content = {"format": FORMAT, "about": about, "rows": rows}
    write_json(target, content)
    print(f"{costs_table(content)}\n\n{notes(content)}\n\nnumbers: {target}")


def _check_numbers(args: argparse.Namespace) -> None:
    for name, least in {"rounds": 1, "batch": 2, "identities": 2}.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} {value}: expected {least} or more")


def _dataset(plan: Plan, name: str | None) -> Dataset:
    """Return the plan's data set of a name; the first without one."""
    names = [dataset.name for dataset in plan.datasets]
    if name is not None and name not in names:
        raise ValueError(f"--dataset {name}: expected one of {plan.path}: {', '.join(names)}")
    return plan.datasets[names.index(name) if name else 0]


def _baseline(plan: Plan, methods: Sequence[Method], name: str | None) -> str:
    """Return the name of the method that times are divided by."""
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
    """Read a method's config and count what it trains on."""
    from fed_plugin.benchmark.plan import overrides_of
    from fed_plugin.costs.measure import CostedMethod
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.loaders import count_identities
    from fed_plugin.fastreid_adapter.training import resolve_config

    overrides = overrides_of(plan, dataset, method)
    try:
        resolve_config(method.source, overrides)
        cfg = read_config(method.source, [word for pair in overrides.items() for word in pair])
        identities = args.identities or count_identities(cfg)
        if identities < 2:
            raise ValueError(
                f"DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}: one identity to train on, expected "
                "two or more; try --identities N"
            )
        return CostedMethod(
            cfg=cfg,
            num_classes=identities,
            training_batch=args.batch or cfg.SOLVER.IMS_PER_BATCH,
            test_batch=args.batch or cfg.TEST.IMS_PER_BATCH,
        )
    except ValueError as error:
        raise ValueError(f"{plan.path}: {method.name} on {dataset.name}: {error}") from error


def _dump_row(plan: Plan, dataset: Dataset, method: Method) -> dict[str, Any]:
    """Return what is known of a dump: of the method behind it nobody knows more."""
    from fed_plugin.benchmark.plan import dump_file
    from fed_plugin.costs.measure import FLOAT32, MEASURED
    from fed_plugin.retrieval.feature_dump import FeatureDump

    features = FeatureDump.load(dump_file(method, dataset, plan.seeds[0])).features
    return {**dict.fromkeys(MEASURED), "descriptor_bytes": FLOAT32 * features.shape[1]}


def _about(args: argparse.Namespace, plan: Plan, dataset: Dataset, baseline: str) -> dict[str, Any]:
    """Say on what was measured, and how."""
    import torch

    return {
        "plan": plan.name,
        "dataset": dataset.name,
        "baseline": baseline,
        "machine": machine_words(),
        "cores": os.cpu_count(),
        "load_before": [round(load, 1) for load in os.getloadavg()],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "rounds": args.rounds,
        "command": _command(args),
    }


def _command(args: argparse.Namespace) -> str:
    """Write down what decides the numbers; where they went does not."""
    words = ["python", "-m", "fed_plugin", "costs", args.plan]
    for name in ("rounds", "only", "baseline", "dataset", "batch", "identities"):
        value = getattr(args, name)
        if value:
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


# The table of a ``costs.json``, and what its columns mean.

HEADER = (
    *("method", "M parameters train / test", "G MACs train / test", "trained images/s", "time"),
    *("test ms/image", "time", "MB peak train / test", "descriptor bytes"),
)


def costs_table(content: Mapping[str, Any]) -> str:
    """Return a line per method; ``time`` is a ratio to the baseline's.

    Args:
        content: of ``costs.json`` (docs/costs.md).
    """
    rows = costs_lines(content)
    return tabulate(rows, headers=HEADER, tablefmt="github", disable_numparse=True)


def costs_lines(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the table's lines, as wide as ``HEADER``."""
    return [_line(row) for row in content["rows"]]


def _line(row: Mapping[str, Any]) -> list[str]:
    name = row["method"] + (" *" if "shares" in row else "")
    if row["parameters_training"] is None:
        return [name, *["-"] * (len(HEADER) - 2), str(row["descriptor_bytes"])]
    return [
        name,
        _pair(row, "parameters_training", "parameters_test", 1e6),
        _pair(row, "macs_training", "macs_test", 1e9),
        _spread(row["training_images_per_second"]),
        f"x {_spread(row['training_ratio'])}",
        _spread(row["test_milliseconds_per_image"]),
        f"x {_spread(row['test_ratio'])}",
        _pair(row, "peak_training_bytes", "peak_test_bytes", 1e6),
        str(row["descriptor_bytes"]),
    ]


def _pair(row: Mapping[str, Any], training: str, test: str, unit: float) -> str:
    return f"{_short(row[training] / unit)} / {_short(row[test] / unit)}"


def _spread(values: Mapping[str, float]) -> str:
    median, low, high = (_short(values[name]) for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def _short(value: float) -> str:
    """Round to three digits and write them out, without an exponent."""
    return f"{float(f'{value:.3g}'):.10g}"


def notes(content: Mapping[str, Any]) -> str:
    """Return what a reader has to know of the table.

    Args:
        content: of ``costs.json``.
    """
    about = content["about"]
    busy, cores = about["load_before"][0], about["cores"]
    lines = [
        f"On {about['machine']}, {about['device']}, {about['precision']}, threads: "
        f"{about['threads']}, torch {about['torch']}; batches of {about['training_batch']} in "
        f"training, {about['test_batch']} at test; {about['identities']} identities; rounds: "
        f"{about['rounds']}, each with a step of every method; median (min to max) over them.",
        f"time: per image, beside {about['baseline']} in the same round. Images are noise in "
        "memory: reading, drawing and augmenting them is not in the times (docs/costs.md).",
    ]
    if busy > cores / 2:
        lines.append(
            f"The machine was busy ({busy} of {cores} cores, before): trust the ratios more than "
            "the times, and measure again when it is quiet."
        )
    shared: dict[str, list[str]] = {}
    for row in content["rows"]:
        if "shares" in row:
            shared.setdefault(row["shares"], []).append(row["method"])
    lines += [
        f"* {', '.join(names)}: measured once, with {name}: the same network and training step."
        for name, names in shared.items()
    ]
    return "\n".join(lines)
