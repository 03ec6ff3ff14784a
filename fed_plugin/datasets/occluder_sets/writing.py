"""Writing an occluder set: the folder appears whole, manifest last, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fed_plugin.datasets.occluder_sets.crops import Crop, Progress
from fed_plugin.datasets.occluder_sets.manifest import MANIFEST, Entry, to_json

_BEGUN = "begun-by-fed_plugin"
_STEM = 60  # letters of a crop's own name in its file name


def check_target(out: str | Path) -> Path:
    """Make sure that a set may be written to ``out``: it is not there, or an empty folder.

    Raises:
        ValueError: something is there already.
    """
    folder = Path(out).absolute()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {out}: expected a folder; got a file; try another name")
    if (folder / MANIFEST).exists():
        raise ValueError(
            f"--out {out}: holds an occluder set already; try another folder, or delete this one"
        )
    if folder.is_dir() and any(folder.iterdir()):
        first = sorted(os.listdir(folder))[0]
        raise ValueError(
            f"--out {out}: expected an empty folder or none; it holds {first}, which would be "
            "mixed with the crops; try another folder"
        )
    draft = _draft(folder)
    left = {entry.name for entry in draft.iterdir()} if draft.is_dir() else set()
    if (draft.exists() and not draft.is_dir()) or (left and not left & {_BEGUN, MANIFEST}):
        raise ValueError(f"{draft}: in the way, and not an unfinished set; move it elsewhere")
    return folder


def write_set(
    out: str | Path,
    crops: Sequence[Crop],
    about: Mapping[str, Any],
    describe: Callable[[Path], Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write crops as PNG files and a manifest; the same arguments give the same bytes.

    All is written into a hidden folder beside ``out``, which becomes ``out`` at the very end: an
    interrupted call leaves no set, and the next one clears away what a killed one left.

    Args:
        out: folder to write; must not hold anything.
        crops: at least one; alpha is kept.
        about: what the manifest says before its list of crops, ready for JSON.
        describe: called with the folder of written crops; what it returns joins ``about``.
        progress: called with (crops done, crops in all).

    Returns:
        ``out``, absolute.

    Raises:
        ValueError: no crop, or ``out`` holds something.
    """
    folder = check_target(out)
    if not crops:
        raise ValueError(f"--out {out}: not one usable crop is left, so nothing was written")
    draft = _draft(folder)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        (draft / _BEGUN).touch()
        entries = []
        for index, crop in enumerate(crops):
            entries.append(_write_crop(draft, index, crop))
            if progress is not None:
                progress(index + 1, len(crops))
        extra = describe(draft) if describe is not None else {}
        (draft / MANIFEST).write_bytes(to_json(entries, {**about, **extra}))
        (draft / _BEGUN).unlink()
        if folder.exists():
            folder.rmdir()
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def _draft(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")


def _write_crop(folder: Path, index: int, crop: Crop) -> Entry:
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", crop.name)[:_STEM].strip("-.")
    name = f"{index + 1:04d}_{stem or 'crop'}.png"
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(crop.pixels)).save(encoded, "PNG")
    (folder / name).write_bytes(encoded.getvalue())
    height, width, channels = crop.pixels.shape
    return Entry(
        file=name,
        sha256=hashlib.sha256(encoded.getvalue()).hexdigest(),
        size=(height, width),
        ratio=round(height / width, 4),
        kind="tall" if crop.is_tall else "wide",
        transparent=channels == 4,
        origin=crop.origin,
    )
