from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest

from fed_plugin.synthocc import build_synthocc, figure
from fed_plugin.synthocc.identity import draw_identities


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """SynthOcc tiny, seed 0, drawn by one process. Read only."""
    return build_synthocc(tmp_path_factory.mktemp("drawn") / "tiny", "tiny", 0, workers=1)


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy of ``tiny`` that a test may spoil."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture(scope="session")
def hashes():
    """Hash every file below a folder."""

    def of(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return of


@pytest.fixture(scope="session")
def people():
    return draw_identities(0, "somebody", 8)


@pytest.fixture(scope="session")
def place():
    """A frame of 384 x 192 pixels in which a person of 1.8 m fits."""

    def at(yaw=0.0, pitch=0.0, scale=190.0):
        return figure.Placement((384, 192), scale, (96.0, 370.0), yaw, pitch)

    return at


@pytest.fixture(scope="session")
def noon():
    return figure.Light(np.array([0.0, 0.6, 0.8]), ambient=0.6, key=0.5)
