"""Plans: a YAML file of methods, data sets and seeds, and the cells that follow from the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from msgspec import Meta, Struct

from fed_plugin.arguments import check_file, find_config, installed_configs
from fed_plugin.benchmark.cells import Cell
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.files import convert, load_yaml
from fed_plugin.retrieval.feature_dump import FeatureDump

RESERVED = ("OUTPUT_DIR", "SEED", "DATASETS.NAMES", "DATASETS.TESTS")


@dataclass(frozen=True)
class Dataset:
    """Data set to test on, with the data sets to train on, and overrides for both."""

    name: str
    train: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """Row of the benchmark; ``kind`` is "trained", "untrained" or "dump".

    ``source`` is the path of the config, or of the dump with ``{dataset}`` and ``{seed}`` in the
    path.
    """

    name: str
    kind: str
    source: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the method's folders."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True)
class Plan:
    """Content of a plan file."""

    path: Path
    name: str
    datasets: tuple[Dataset, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any]
    out: Path


# The keys of a plan file, and what their values are.

_NAME = re.compile(r"\w[\w .,+=()-]*")
_Text = Annotated[str, Meta(min_length=1, description="text, in quotes if it looks like a number")]
_Overrides = Annotated[
    dict[Any, Any] | None, Meta(description="KEY: VALUE, such as SOLVER.MAX_EPOCH: 2")
]
_Seed = Annotated[int, Meta(ge=0)]
_Seeds = Annotated[
    _Seed | Annotated[list[_Seed], Meta(min_length=1)],
    Meta(description="numbers from 0, such as [0, 1, 2]"),
]
_Entries = Annotated[dict[Any, Any], Meta(min_length=1)]


class _PlanKeys(Struct, forbid_unknown_fields=True):
    datasets: Annotated[
        Annotated[list[Any], Meta(min_length=1)] | _Entries,
        Meta(description="names, such as [SynthOcc]"),
    ]
    methods: Annotated[_Entries, Meta(description="NAME: {config: FILE} or NAME: {dump: FILE}")]
    seeds: _Seeds = 0
    overrides: _Overrides = None
    out: _Text | None = None
    name: Any = None


class _DatasetKeys(Struct, forbid_unknown_fields=True):
    train: Any = None
    overrides: _Overrides = None


class _TrainedKeys(Struct, forbid_unknown_fields=True):
    config: _Text
    overrides: _Overrides = None


class _UntrainedKeys(_TrainedKeys, forbid_unknown_fields=True, kw_only=True):
    untrained: Annotated[Literal[True], Meta(description="true")]


class _DumpKeys(Struct, forbid_unknown_fields=True):
    dump: _Text


_Keys = TypeVar("_Keys", bound=Struct)


def _convert(where: str, content: Any, kind: type[_Keys]) -> _Keys:
    try:
        return convert(content, kind)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _name(where: str, value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(
            f"{where}: expected letters, digits and any of '_ .,+=()-', because a folder gets this "
            f"name, got {value!r:.60}; try putting a number in quotes"
        )
    return value


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan; configs and dumps must exist, their content is not checked.

    Raises:
        FileNotFoundError: The plan or a config is not there.
        ValueError: A key or a value is wrong; the message names the key.
    """
    path = Path(path)
    check_file(path, "a plan (docs/benchmark.md)")
    try:
        with path.open(encoding="utf-8") as file:
            content = load_yaml(file, refuses_twins=True)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: expected YAML; {' '.join(str(error).split())}") from error
    keys = _convert(str(path), content, _PlanKeys)
    datasets = _datasets(f"{path}: datasets", keys.datasets)
    seeds = keys.seeds if isinstance(keys.seeds, list) else [keys.seeds]
    _refuse_twins(f"{path}: seeds", seeds)
    return Plan(
        path=path,
        name=_name(f"{path}: name", path.stem if keys.name is None else keys.name),
        datasets=datasets,
        methods=_methods(path, keys.methods, several=len(datasets) > 1),
        seeds=tuple(seeds),
        overrides=_overrides(f"{path}: overrides", keys.overrides),
        out=Path(keys.out or f"logs/benchmark/{path.stem}"),
    )


def _datasets(where: str, value: list[Any] | dict[Any, Any]) -> tuple[Dataset, ...]:
    listed = [_name(where, name) for name in value]
    _refuse_twins(where, listed)
    datasets = []
    for name, content in (dict.fromkeys(listed) if isinstance(value, list) else value).items():
        keys = _convert(f"{where}.{name}", content or {}, _DatasetKeys)
        names = keys.train if isinstance(keys.train, list) else [keys.train or name]
        train = tuple(_name(f"{where}.{name}.train", one) for one in names)
        overrides = _overrides(f"{where}.{name}.overrides", keys.overrides)
        datasets.append(Dataset(name, train, overrides))
    return tuple(datasets)


def _methods(path: Path, value: dict[Any, Any], several: bool) -> tuple[Method, ...]:
    where = f"{path}: methods"
    methods = [_method(path, f"{where}.{name}", name, content) for name, content in value.items()]
    _refuse_twins(f"{where} (as folders)", [method.folder.lower() for method in methods])
    for method in methods:
        if method.kind == "dump" and several and "{dataset}" not in method.source:
            raise ValueError(
                f"{where}.{method.name}.dump: {method.source}: one file for several data sets; "
                "expected {dataset} in its path"
            )
    return tuple(methods)


def _method(path: Path, where: str, name: Any, content: Any) -> Method:
    _name(f"{path}: methods", name)
    given = content if isinstance(content, dict) else {}
    if "dump" in given:
        source = _convert(where, content, _DumpKeys).dump
        beside = path.parent / source
        glob = re.sub(r"\{(dataset|seed)\}", "*", beside.name)  # any file of the pattern
        there = beside.is_file() or "{" in str(beside.parent) or any(beside.parent.glob(glob))
        return Method(name, "dump", str(beside if there else Path(source)))
    kind, known = "trained", _TrainedKeys
    if "untrained" in given:
        kind, known = "untrained", _UntrainedKeys
    keys = _convert(where, content, known)
    beside = path.parent / keys.config
    try:
        config = str(beside) if beside.is_file() else find_config(keys.config)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}.config: {str(error).partition(': ')[2]}") from error
    overrides = _overrides(f"{where}.overrides", keys.overrides)
    return Method(name, kind, config, overrides)


def _overrides(where: str, value: dict[Any, Any] | None) -> dict[str, Any]:
    """Return values by dotted key, from ``SOLVER.MAX_EPOCH`` or from nested mappings."""
    flat = _flatten(where, value or {})
    for key in RESERVED:
        if key in flat:
            raise ValueError(
                f"{where}: {key}: the benchmark sets it; try `seeds`, `datasets` or `out`"
            )
    return flat


def _flatten(where: str, value: dict[Any, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if not isinstance(key, str):
            raise ValueError(f"{where}: expected a config key, got {key!r}; try SOLVER.MAX_EPOCH")
        nested = _flatten(where, entry) if isinstance(entry, dict) else {"": entry}
        for rest, value_of_rest in nested.items():
            name = f"{key}.{rest}".rstrip(".")
            if name in flat:
                raise ValueError(f"{where}: {name} stands there twice")
            flat[name] = value_of_rest
    return flat


def _refuse_twins(where: str, values: Sequence[Any]) -> None:
    for value, count in Counter(map(repr, values)).items():
        if count > 1:
            raise ValueError(f"{where}: {value:.60} stands there twice")


# From a plan to its cells: configs, dumps and data sets are checked before anything runs.

OWN_DATA = "FolderReID"  # a dump holds the name that the owner of the data gave


def make_cells(plan: Plan, only: Sequence[str] = ()) -> list[Cell]:
    """Make the cells of a plan, one seed of every method before the next seed.

    An empty ``only`` takes all methods.

    Raises:
        FileNotFoundError: A dump is not there.
        ValueError: A config, a dump, a data set or a name is wrong; the message says where.
    """
    methods = chosen_methods(plan, only)
    cells = []
    checked: set[tuple[str, ...]] = set()
    for index, seed in enumerate(plan.seeds):
        for dataset in plan.datasets:
            for method in methods:
                if method.kind != "dump":
                    cells.append(_config_cell(plan, dataset, method, seed, checked))
                elif "{seed}" in method.source or index == 0:
                    cells.append(_dump_cell(plan, dataset, method, seed))
    return cells


def chosen_methods(plan: Plan, only: Sequence[str] = ()) -> list[Method]:
    """Return a plan's methods in the order of the plan; an empty ``only`` takes all.

    Raises:
        ValueError: The plan has no method of such a name.
    """
    names = [method.name for method in plan.methods]
    for name in only:
        if name not in names:
            raise ValueError(f"--only {name!r}: expected methods of {plan.path}: {names}")
    return [method for method in plan.methods if not only or method.name in only]


def overrides_of(plan: Plan, dataset: Dataset, method: Method) -> dict[str, Any]:
    """Return the config keys of a method on a data set, without the seed."""
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
    """Return the cells of the methods that are not in ``only``, without the broken ones."""
    cells = []
    for method in plan.methods:
        if only and method.name not in only:
            with suppress(ValueError, OSError):
                cells.extend(make_cells(plan, [method.name]))
    return cells


def _config_cell(
    plan: Plan, dataset: Dataset, method: Method, seed: int, checked: set[tuple[str, ...]]
) -> Cell:
    from fed_plugin.fastreid_adapter.training import check_benchmark_datasets, resolve_config

    folder = _folder(plan, dataset, method, seed)
    overrides = {**overrides_of(plan, dataset, method), "SEED": seed, "OUTPUT_DIR": str(folder)}
    trained = method.kind == "trained"
    try:
        resolved = resolve_config(method.source, overrides, trained)
        names = (dataset.name, *dataset.train) if trained else (dataset.name,)
        if names not in checked:
            check_benchmark_datasets(method.source, overrides, trained=trained)
            checked.add(names)
    except ValueError as error:
        raise ValueError(f"{plan.path}: {method.name} on {dataset.name}: {error}") from error
    config = Path(method.source)
    # the folder of an installed config exists on this machine only
    source = config.stem if config.parent == installed_configs() else str(config)
    identity = (dataset.name, method.name, seed, method.kind, source, content_hash(method.source))
    return Cell(*identity, resolved.settings, folder, config_text=resolved.text)


def _dump_cell(plan: Plan, dataset: Dataset, method: Method, seed: int) -> Cell:
    source = dump_file(method, dataset, seed)
    about = FeatureDump.load(source).about
    if about.get("dataset", dataset.name) not in (dataset.name, None) and dataset.name != OWN_DATA:
        raise ValueError(
            f"{source}: a dump of {about['dataset']}; expected one of {dataset.name}, as "
            f"{method.name} in {plan.path} says"
        )
    sha256 = content_hash(source)
    identity = (dataset.name, method.name, seed, "dump", source, sha256)
    return Cell(*identity, {"dump_sha256": sha256}, _folder(plan, dataset, method, seed))


def _folder(plan: Plan, dataset: Dataset, method: Method, seed: int) -> Path:
    return plan.out.absolute() / dataset.name / method.folder / f"seed{seed}"
