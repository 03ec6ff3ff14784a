from __future__ import annotations

import os
from itertools import chain

import pytest

from fed_plugin.datasets.own import read_own_data


def _plant(root, *paths):
    for path in paths:
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb"):
            pass  # nothing that reads own data opens an image
    return str(root)


@pytest.fixture(scope="session")
def plant():
    """Make empty files at paths below a folder, and return the folder."""
    return _plant


@pytest.fixture
def read(tmp_path):
    """Plant files in a fresh folder and read it."""

    def plant_and_read(*paths, **rule):
        from fed_plugin.datasets.own import SplitRule

        return read_own_data(_plant(tmp_path / "own", *paths), SplitRule(**rule))

    return plant_and_read


@pytest.fixture
def write_table(tmp_path):
    """Write a table beside the images ``1.jpg`` to ``9.jpg``, and return its path."""

    def write(text, name="table.csv", encoding="utf-8"):
        _plant(tmp_path, *(f"{number}.jpg" for number in range(1, 10)))
        table = tmp_path / name
        table.write_bytes(text.encode(encoding))
        return str(table)

    return write


@pytest.fixture(scope="session")
def names_of():
    """Show items as (base name, identity, camid)."""

    def show(own, split):
        items = getattr(own, split)
        return [(os.path.basename(path), own.identities[pid], camid) for path, pid, camid in items]

    return show


@pytest.fixture(scope="session")
def paths_of():
    """Return the paths in all three lists."""

    def paths(own):
        return [path for path, _, _ in chain(own.train, own.query, own.gallery)]

    return paths
