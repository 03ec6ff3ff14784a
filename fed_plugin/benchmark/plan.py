"""Plans: which methods are run on which data sets with which seeds, as a YAML file says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fed_plugin.benchmark.cells import Cell
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.fastreid_adapter.config_files import find_config, installed_configs

KEYS = ("name", "datasets", "methods", "seeds", "overrides", "out")
METHOD_KEYS = {
    "trained": ("config", "overrides"),
    "untrained": ("untrained", "config", "overrides"),
    "dump": ("dump",),
}
DATASET_KEYS = ("train", "overrides")
RESERVED = ("OUTPUT_DIR", "SEED", "DATASETS.NAMES", "DATASETS.TESTS")
NAME = re.compile(r"\w[\w .,+=()-]*")


@dataclass(frozen=True)
class Dataset:
    """A data set that is tested on, what is trained on for it, and overrides for both."""

    name: str
    train: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of the benchmark.

    Attributes:
        name: in tables.
        kind: "trained", "untrained" or "dump".
        source: path of the config; of the dump, with ``{dataset}`` and ``{seed}`` in it.
        overrides: config keys.
    """

    name: str
    kind: str
    source: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of its folders."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True)
class Plan:
    """What a plan file says."""

    path: Path
    name: str
    datasets: tuple[Dataset, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any]
    out: Path


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan; configs and dumps have to exist, their content is not looked at.

    Raises:
        FileNotFoundError: the plan or a config is not there.
        ValueError: a key or a value is wrong; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a plan (docs/benchmark.md)")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _WithoutDuplicates)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected YAML; {' '.join(str(error).split())}") from error
    _check_keys(str(path), content, KEYS, required=("datasets", "methods"))
    name = _text(f"{path}: name", content.get("name", path.stem))
    datasets = _datasets(path, content["datasets"])
    return Plan(
        path=path,
        name=name,
        datasets=datasets,
        methods=_methods(path, content["methods"], several=len(datasets) > 1),
        seeds=_seeds(f"{path}: seeds", content.get("seeds", [0])),
        overrides=_overrides(f"{path}: overrides", content.get("overrides")),
        out=Path(_text(f"{path}: out", content.get("out", f"logs/benchmark/{path.stem}"), False)),
    )


class _WithoutDuplicates(yaml.SafeLoader):
    """PyYAML's safe loader keeps the last of two equal keys; this one refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} stands there twice", problem_mark=node.start_mark
                )
        return super().construct_mapping(node, deep)


def _datasets(path: Path, value: Any) -> tuple[Dataset, ...]:
    where = f"{path}: datasets"
    if isinstance(value, list):
        names = [_text(where, name) for name in value]
        _refuse_twins(where, names)
        value = dict.fromkeys(names)
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{where}: expected names, got {value!r}; try [SynthOcc]")
    found = []
    for name, about in value.items():
        _text(where, name)
        about = about or {}
        _check_keys(f"{where}.{name}", about, DATASET_KEYS)
        train = about.get("train", [name])
        train = train if isinstance(train, list) else [train]
        train = tuple(_text(f"{where}.{name}.train", entry) for entry in train)
        overrides = _overrides(f"{where}.{name}.overrides", about.get("overrides"))
        found.append(Dataset(name, train, overrides))
    return tuple(found)


def _methods(path: Path, value: Any, several: bool) -> tuple[Method, ...]:
    where = f"{path}: methods"
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{where}: expected name: {{config: ...}}, got {value!r}")
    methods = [_method(path, f"{where}.{name}", name, about) for name, about in value.items()]
    _refuse_twins(f"{where} (as folders)", [method.folder.lower() for method in methods])
    for method in methods:
        if method.kind == "dump" and several and "{dataset}" not in method.source:
            raise ValueError(
                f"{where}.{method.name}.dump: {method.source}: one file for several data sets; "
                "expected {dataset} in its path"
            )
    return tuple(methods)


def _method(path: Path, where: str, name: Any, about: Any) -> Method:
    _text(where, name)
    if not isinstance(about, dict):
        raise ValueError(f"{where}: expected {{config: ...}} or {{dump: ...}}, got {about!r}")
    kind = "dump" if "dump" in about else "untrained" if "untrained" in about else "trained"
    required = "dump" if kind == "dump" else "config"
    _check_keys(where, about, METHOD_KEYS[kind], required=(required,))
    if kind == "untrained" and about["untrained"] is not True:
        raise ValueError(f"{where}.untrained: expected true, got {about['untrained']!r}")
    source = _text(f"{where}.{required}", about[required], as_name=False)
    beside = path.parent / source
    if kind == "dump":
        return Method(name, kind, str(beside if _exists(beside) else Path(source)))
    try:
        config = str(beside) if beside.is_file() else find_config(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}.config: {str(error).partition(': ')[2]}") from error
    return Method(name, kind, config, _overrides(f"{where}.overrides", about.get("overrides")))


def _exists(pattern: Path) -> bool:
    """Is there a file, whatever stands for the placeholders?"""
    glob = re.sub(r"\{(dataset|seed)\}", "*", pattern.name)
    return pattern.is_file() or "{" in str(pattern.parent) or any(pattern.parent.glob(glob))


def _overrides(where: str, value: Any) -> dict[str, Any]:
    """Return KEY: VALUE with dots in the keys, of ``SOLVER.MAX_EPOCH`` or nested mappings."""
    flat = {} if value is None else _flatten(where, value)
    for key in RESERVED:
        if key in flat:
            raise ValueError(
                f"{where}: {key}: the benchmark sets it; try `seeds`, `datasets` or `out`"
            )
    return flat


def _flatten(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected KEY: VALUE, got {value!r}; try SOLVER.MAX_EPOCH: 2")
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if not isinstance(key, str):
            raise ValueError(f"{where}: expected a config key, got {key!r}")
        nested = _flatten(where, entry) if isinstance(entry, dict) else {"": entry}
        for rest, value_of_rest in nested.items():
            name = f"{key}.{rest}".rstrip(".")
            if name in flat:
                raise ValueError(f"{where}: {name} stands there twice")
            flat[name] = value_of_rest
    return flat


def _seeds(where: str, value: Any) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    if not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ValueError(f"{where}: expected numbers from 0, got {value!r}; try [0, 1, 2]")
    _refuse_twins(where, seeds)
    return tuple(seeds)


def _check_keys(
    where: str, value: Any, allowed: tuple[str, ...], required: tuple[str, ...] = ()
) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected {', '.join(allowed)}, got {value!r}")
    for key in value:
        if key not in allowed:
            raise ValueError(f"{where}: unknown key {key!r}; expected {', '.join(allowed)}")
    for key in required:
        if key not in value:
            raise ValueError(f"{where}: {key} is missing; expected {', '.join(allowed)}")


def _text(where: str, value: Any, as_name: bool = True) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{where}: expected text, got {value!r}; try putting it in quotes")
    if as_name and not NAME.fullmatch(value):
        raise ValueError(
            f"{where}: {value!r}: expected letters, digits and any of '_ .,+=()-', as folders are "
            "named like it"
        )
    return value


def _refuse_twins(where: str, values: list[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{where}: {value!r} stands there twice")


# From a plan to its cells: configs resolved, dumps hashed, everything checked before a run.

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
    from fed_plugin.fastreid_adapter.training import check_benchmark_datasets, resolve_config

    folder = _folder(plan, dataset, method, seed)
    overrides = {**overrides_of(plan, dataset, method), "SEED": seed, "OUTPUT_DIR": str(folder)}
    try:
        resolved = resolve_config(method.source, overrides, method.kind == "trained")
        asked = (dataset.name, *dataset.train) if method.kind == "trained" else (dataset.name,)
        if asked not in seen:
            check_benchmark_datasets(method.source, overrides, trained=method.kind == "trained")
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
