"""Broken inputs by category; ``broken_inputs.py`` runs them."""

from __future__ import annotations

from corpus.cases import Case


def all_cases() -> list[Case]:
    """Return every case, in a fixed order."""
    from . import (
        benchmark_sets,
        checkpoints,
        dumps,
        flips,
        folders,
        images,
        occluders,
        planted,
        results,
        tables,
        yaml_files,
        yaml_values,
    )

    modules = (images, folders, tables, benchmark_sets, occluders, yaml_files, yaml_values)
    modules = (*modules, checkpoints, dumps, results, flips, planted)
    return [case for module in modules for case in module.make_cases()]
