"""From a plan to its cells: configs resolved, dumps hashed, everything checked before a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fed_plugin.cli.benchmark.cells import Cell
from fed_plugin.cli.benchmark.plan import Dataset, Method, Plan
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.installed_configs import installed_configs

OWN_DATA = "FolderReID"  # a dump calls it what its owner does


def make_cells(plan: Plan, only: Sequence[str] = ()) -> list[Cell]:
    """Resolve a plan, seeds outermost so that what is finished early can be compared.

    Args:
        plan: to resolve.
        only: names of the methods to take; empty takes all.

    Raises:
        FileNotFoundError: a dump is not there.
        ValueError: a config, a dump, a data set or a name is wrong; the message says where.
    """
    methods = chosen_methods(plan, only)
    cells = []
    seen: set[tuple[str, ...]] = set()
    for index, seed in enumerate(plan.seeds):
        for dataset in plan.datasets:
            for method in methods:
                if method.kind != "dump":
                    cells.append(_config_cell(plan, dataset, method, seed, seen))
                elif "{seed}" in method.source or index == 0:
                    cells.append(_dump_cell(plan, dataset, method, seed))
    return cells


def chosen_methods(plan: Plan, only: Sequence[str] = ()) -> list[Method]:
    """Return a plan's methods in its order.

    Args:
        plan: that has them.
        only: names of the methods to take; empty takes all.

    Raises:
        ValueError: the plan has no method of such a name.
    """
    names = [method.name for method in plan.methods]
    for name in only:
        if name not in names:
            raise ValueError(f"--only {name!r}: expected methods of {plan.path}: {names}")
    return [method for method in plan.methods if not only or method.name in only]


def overrides_of(plan: Plan, dataset: Dataset, method: Method) -> dict[str, Any]:
    """Return the config keys that a method gets on a data set, whatever the seed."""
    return {
        **plan.overrides,
        **dataset.overrides,
        **method.overrides,
        "DATASETS.NAMES": dataset.train,
        "DATASETS.TESTS": (dataset.name,),
    }


def dump_file(method: Method, dataset: Dataset, seed: int) -> str:
    """Return the path of a method's feature dump."""
    return method.source.replace("{dataset}", dataset.name).replace("{seed}", str(seed))


def other_cells(plan: Plan, only: Sequence[str]) -> list[Cell]:
    """Return the cells of the methods that ``only`` leaves out, where they can be resolved."""
    cells = []
    for method in plan.methods:
        if only and method.name not in only:
            with suppress(ValueError, OSError):
                cells.extend(make_cells(plan, [method.name]))
    return cells


def _config_cell(
    plan: Plan, dataset: Dataset, method: Method, seed: int, seen: set[tuple[str, ...]]
) -> Cell:
    from fed_plugin.fastreid_adapter.benchmark_configs import check_datasets, resolve_config

    folder = _folder(plan, dataset, method, seed)
    overrides = {**overrides_of(plan, dataset, method), "SEED": seed, "OUTPUT_DIR": str(folder)}
    try:
        resolved = resolve_config(method.source, overrides, method.kind == "trained")
        asked = (dataset.name, *dataset.train) if method.kind == "trained" else (dataset.name,)
        if asked not in seen:
            check_datasets(method.source, overrides, trained=method.kind == "trained")
            seen.add(asked)
    except ValueError as error:
        raise ValueError(f"{plan.path}: {method.name} on {dataset.name}: {error}") from error
    return Cell(
        dataset=dataset.name,
        method=method.name,
        seed=seed,
        kind=method.kind,
        source=_without_machine(Path(method.source)),
        source_sha256=content_hash(method.source),
        settings=resolved.settings,
        folder=folder,
        config_text=resolved.text,
    )


def _dump_cell(plan: Plan, dataset: Dataset, method: Method, seed: int) -> Cell:
    from fed_plugin.retrieval.feature_dump import FeatureDump

    source = dump_file(method, dataset, seed)
    about = FeatureDump.load(source).about
    if about.get("dataset", dataset.name) not in (dataset.name, None) and dataset.name != OWN_DATA:
        raise ValueError(
            f"{source}: a dump of {about['dataset']}; expected one of {dataset.name}, as "
            f"{method.name} in {plan.path} says"
        )
    sha256 = content_hash(source)
    return Cell(
        dataset=dataset.name,
        method=method.name,
        seed=seed,
        kind="dump",
        source=source,
        source_sha256=sha256,
        settings={"dump_sha256": sha256},
        folder=_folder(plan, dataset, method, seed),
    )


def _folder(plan: Plan, dataset: Dataset, method: Method, seed: int) -> Path:
    return plan.out.absolute() / dataset.name / method.folder / f"seed{seed}"


def _without_machine(config: Path) -> str:
    """Return the name of an installed config: its folder is this machine's alone."""
    return config.stem if config.parent == installed_configs() else str(config)
