"""Occluder sets: folders of obstacle crops for NPO, with a manifest of their origin.

In the order of use: `read_crops` (any image files become pixels; `occluder_mining` cuts crops from
a training set), `without_duplicates`, `write_set`, and `check_set` for a set of anybody.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.datasets.fingerprints import (
    NEAR,
    NEAR_COLORS,
    color_distance,
    content_hash,
    mean_colors,
    near_pairs,
    perceptual_hash,
)
from fed_plugin.datasets.listing import IMAGE_SUFFIXES, printable, visible_entries
from fed_plugin.files import FolderLock, clear_folder, is_empty, open_regular, write_file
from fed_plugin.photos import open_photo, with_transparency

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class LeftOut:
    """File or crop that is not part of a set, with a reason for a reader.

    ``kind`` is "not an image", "broken", "unfit", "duplicate", "near duplicate" or "leak".
    """

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Crop:
    """One obstacle; its name is a part of its file name, its origin is for the manifest.

    The pixels are (h, w, 3) RGB or (h, w, 4) RGBA, uint8.
    """

    name: str
    pixels: Pixels
    origin: str

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of shape and pixels, in hex."""
        data = repr(self.pixels.shape).encode() + np.ascontiguousarray(self.pixels).tobytes()
        return hashlib.sha256(data).hexdigest()

    @property
    def is_tall(self) -> bool:
        """Whether NPO's rule "h/w > 2" makes the crop cover the full height of an image."""
        return self.pixels.shape[0] > 2 * self.pixels.shape[1]


# The manifest: the origin of a set, and the content of the files.

MANIFEST = "manifest.json"
FORMAT, VERSION = "fed_plugin occluder set", 1

_EXPECTED = f'a JSON object with "format": "{FORMAT}", "version": {VERSION} and "crops"'


class Entry(msgspec.Struct, frozen=True):
    """Description of one file of a set.

    Attributes:
        size: (height, width) in pixels.
        ratio: height / width, rounded to four digits.
        kind: "tall" where h/w > 2 and NPO covers the full height, else "wide".
        transparent: whether the file has an alpha channel.
        origin: file that the crop came from, or how the crop was drawn.
    """

    file: str
    sha256: str
    size: tuple[int, int]
    ratio: float
    kind: Literal["tall", "wide"]
    transparent: bool
    origin: str


@dataclass(frozen=True)
class Manifest:
    """Content of ``manifest.json``: an entry per file, in name order, and all other values."""

    entries: tuple[Entry, ...]
    about: Mapping[str, Any]


def to_json(entries: list[Entry], about: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest; the same arguments give the same bytes.

    Values ``about`` the set, such as source and licence, stand before the files.
    """
    tall = sum(entry.kind == "tall" for entry in entries)
    counts = {"count": len(entries), "tall": tall, "wide": len(entries) - tall}
    values = {"format": FORMAT, "version": VERSION, **counts, **about}
    dump = json.JSONEncoder(ensure_ascii=False).encode
    head = [f" {dump(key)}: {dump(value)}" for key, value in values.items()]
    crops = ",\n".join(f"  {dump(msgspec.to_builtins(entry))}" for entry in entries)
    text = "{\n" + ",\n".join([*head, f' "crops": [\n{crops}\n ]']) + "\n}\n"
    return text.encode("utf-8", "backslashreplace")  # JSON's own escape for names in no encoding


def read_manifest(folder: str | Path) -> Manifest | None:
    """Read a folder's manifest; return None where the folder has none.

    Raises:
        ValueError: the file is no manifest of an occluder set, or one of a later version.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            values = json.loads(file.read())  # msgspec refuses the escapes of odd file names
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {_EXPECTED}; it is no JSON ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"{path}: expected {_EXPECTED}; got something else")
    if values.get("version") != VERSION:
        got = f"expected version {VERSION}, got {values.get('version')!r}"
        raise ValueError(f"{path}: {got}; try the fed_plugin that wrote the file")
    try:
        entries = msgspec.convert(values.pop("crops", None), tuple[Entry, ...])
    except ValueError as error:  # of msgspec, and of names that are no Unicode
        raise ValueError(f"{path}: its list of crops is damaged ({error})") from error
    for entry in entries:
        if Path(entry.file).name != entry.file:
            reason = f"{entry.file!r} is no name of a file in this folder"
            raise ValueError(f"{path}: its list of crops is damaged: {reason}")
    return Manifest(entries, values)


# Reading: image files of any kind become crops; all other files are left out by name.

MIN_SIDE = 8
"""Pixels of a side, at least: a smaller crop is a smear when it covers half an image."""

MAX_ELONGATION = 16.0
"""Longer over shorter side, at most: a longer crop is a line, and squeezed out of recognition."""


def read_crops(
    folder: str | Path, progress: Progress = no_progress
) -> tuple[list[Crop], list[LeftOut]]:
    """Decode every image of a folder, in name order; return the files that are no usable crops too.

    Subfolders are not read; hidden files and a ``manifest.json`` are no crops. ``progress`` gets
    files done and files in all.

    Raises:
        FileNotFoundError: the folder does not exist, or is a file.
    """
    found = [read_crop(path) for path in _files_of(folder, progress)]
    left_out = [one for one in found if isinstance(one, LeftOut)]
    return [one for one in found if isinstance(one, Crop)], left_out


def _files_of(folder: str | Path, progress: Progress) -> Iterator[Path]:
    if not Path(folder).is_dir():
        problem = "is a file" if Path(folder).exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {problem}; expected a folder of occluder crops")
    entries = [entry for entry in visible_entries(str(folder)) if entry.name != MANIFEST]
    for done, entry in enumerate(entries, start=1):
        yield Path(entry.path)
        progress(done, len(entries))


def read_crop(path: Path) -> Crop | LeftOut:
    """Decode one file; return a `LeftOut` for a file that is no usable crop."""
    name = printable(path.name)
    if path.is_dir():
        return LeftOut(name, "not an image", "a folder: only the files beside it are read")
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        return LeftOut(name, "not an image", f"expected one of {' '.join(IMAGE_SUFFIXES)}")
    if path.exists() and not path.is_file():
        return LeftOut(name, "not an image", "neither a file nor a folder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of odd metadata
            with open_photo(path) as opened:
                frames = int(getattr(opened, "n_frames", 1))
                pixels = with_transparency(opened)
    except Exception as error:  # every decoder raises its own kinds
        reason = f"{type(error).__name__}: {error}".replace(str(path), name)
        return LeftOut(name, "broken", f"cannot be read ({printable(reason)})")
    if unfit := _why_unfit(pixels):
        return LeftOut(name, "unfit", unfit)
    note = f" (first of {frames} pictures)" if frames > 1 else ""
    return Crop(printable(path.stem), pixels, name + note)


def _why_unfit(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    size = f"{height} x {width} (h x w) pixels"
    if min(height, width) < MIN_SIDE:
        return f"{size}; expected at least {MIN_SIDE} a side"
    if max(height, width) > MAX_ELONGATION * min(height, width):
        return f"{size}; expected at most {MAX_ELONGATION:g} : 1"
    if pixels.shape[2] == 4 and not pixels[..., 3].any():
        return "wholly transparent"
    return ""


# Duplicates: crops with the same pixels, or pictures of the same thing.

NEAR_RATIO = 1.1
"""Largest factor between the h/w ratios of near duplicates.

As everywhere in the plugin, the perceptual hashes of near duplicates differ in at most 4 of 64 bits
and the mean colours by at most 10 levels.
"""


@dataclass(frozen=True)
class Look:
    """Hash, colours and shape of a picture."""

    hash: int
    colors: bytes
    ratio: float


def look_of(pixels: Pixels) -> Look:
    """Describe an (H, W, 3) or (H, W, 4) uint8 picture; transparency lies on mid grey."""
    image = Image.fromarray(pixels)
    return Look(perceptual_hash(image), mean_colors(image), pixels.shape[0] / pixels.shape[1])


def alike(left: Sequence[Look], right: Sequence[Look] | None = None) -> list[tuple[int, int]]:
    """List the pairs of pictures that show the same thing, by their indices.

    The perceptual hash ignores colour and shape; therefore these have to agree, too. A picture
    without contrast resembles no other. Without ``right``, the pairs are within ``left``, the lower
    index first.
    """
    others = left if right is None else right
    hashes = None if right is None else [look.hash for look in right]
    pairs = []
    for a, b in near_pairs([look.hash for look in left], hashes, NEAR).tolist():
        low, high = sorted((left[a].ratio, others[b].ratio))
        near = color_distance(left[a].colors, others[b].colors) <= NEAR_COLORS
        if near and high <= NEAR_RATIO * low:
            pairs.append((a, b))
    return pairs


def without_duplicates(crops: Sequence[Crop]) -> tuple[list[Crop], list[LeftOut]]:
    """Keep the first of every group of equal or nearly equal crops, in order; return the others."""
    first: dict[str, Crop] = {}
    left_out: list[LeftOut] = []
    for crop in crops:
        same = first.setdefault(crop.digest, crop)
        if same is not crop:
            reason = f"the same pixels as {same.origin}"
            left_out.append(LeftOut(crop.origin, "duplicate", reason))
    unique = list(first.values())
    gone: set[int] = set()
    for a, b in alike([look_of(crop.pixels) for crop in unique]):
        if a not in gone and b not in gone:
            gone.add(b)
            reason = f"nearly the same picture as {unique[a].origin}"
            left_out.append(LeftOut(unique[b].origin, "near duplicate", reason))
    return [crop for index, crop in enumerate(unique) if index not in gone], left_out


# Writing: the folder appears complete, or not at all.

_BEGUN, _HOLDER = "begun-by-fed_plugin", "begun-by-fed_plugin.holder"
_STEM = 60  # letters of a crop's own name in its file name


def check_target(out: str | Path) -> Path:
    """Return ``out`` as an absolute path if a set may be written there.

    Raises:
        ValueError: something other than an empty folder is there already.
    """
    folder = Path(out).absolute()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{out}: expected a folder; got a file; try another name")
    if (folder / MANIFEST).exists():
        advice = "try another folder, or delete this one"
        raise ValueError(f"{out}: holds an occluder set already; {advice}")
    if not is_empty(folder):
        raise ValueError(
            f"{out}: expected an empty folder or none; it holds {min(os.listdir(folder))}, which "
            "would be mixed with the crops; try another folder"
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
    progress: Progress = no_progress,
) -> Path:
    """Write crops as PNG files and a manifest; the same arguments give the same bytes.

    A hidden folder beside ``out`` is filled and becomes ``out`` at the very end: an interrupted
    call leaves no set. The next call removes what a killed call left.

    Args:
        out: folder to write; must not hold anything; returned as an absolute path.
        crops: at least one; alpha is kept.
        about: values of the manifest before its list of crops, ready for JSON.
        describe: called with the folder of written crops; the result joins ``about``.
        progress: called with (crops done, crops in all).

    Raises:
        ValueError: there is no crop, or ``out`` holds something.
    """
    folder = check_target(out)
    if not crops:
        raise ValueError(f"{out}: not one usable crop is left, so nothing was written")
    draft = _draft(folder)
    with FolderLock(draft, _BEGUN, work="builds the set", remedy="waiting for it", label=str(out)):
        clear_folder(draft, _BEGUN, _HOLDER)
        try:
            entries = []
            for index, crop in enumerate(crops):
                entries.append(_write_crop(draft, index, crop))
                progress(index + 1, len(crops))
            extra = describe(draft) if describe is not None else {}
            write_file(draft / MANIFEST, to_json(entries, {**about, **extra}))
            for name in (_HOLDER, _BEGUN):
                (draft / name).unlink(missing_ok=True)
            if folder.exists():
                clear_folder(folder)
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
    write_file(folder / name, encoded.getvalue())
    height, width, channels = crop.pixels.shape
    sha256 = hashlib.sha256(encoded.getvalue()).hexdigest()
    shape = (height, width), round(height / width, 4), "tall" if crop.is_tall else "wide"
    return Entry(name, sha256, *shape, channels == 4, crop.origin)


# Checking: a set against its manifest, or any folder of crops.


@dataclass(frozen=True)
class SetCheck:
    """Content of a folder of occluders, with a manifest or None.

    ``crops`` are every file that training would use and that can be read, in name order.
    ``problems`` contradict the manifest or stop training, of the kinds "missing", "changed",
    "unlisted", "broken" and "duplicate". ``warnings`` are files that training passes over, unfit
    sizes and look-alikes.
    """

    manifest: Manifest | None
    crops: list[Crop]
    problems: list[LeftOut]
    warnings: list[LeftOut]


def check_set(folder: str | Path, progress: Progress = no_progress) -> SetCheck:
    """Read every file of a set, or of any folder of crops; compare the files with the manifest.

    ``progress`` gets files done and files in all.

    Raises:
        FileNotFoundError: the folder does not exist, or is a file.
        ValueError: the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    hashes = {entry.file: entry.sha256 for entry in manifest.entries} if manifest else {}
    check = SetCheck(manifest, [], [], [])
    there = set()
    for path in _files_of(folder, progress):
        there.add(path.name)
        if path.is_dir() or path.suffix.lower() not in IMAGE_SUFFIXES:
            reason = f"training passes it over: it reads {' '.join(IMAGE_SUFFIXES)}"
            check.warnings.append(LeftOut(printable(path.name), "not used", reason))
        else:
            _check_file(path, hashes, check)
    for name in hashes:
        if name not in there:
            reason = "the manifest lists it, the folder lacks it"
            check.problems.append(LeftOut(name, "missing", reason))
    for twin in without_duplicates(check.crops)[1]:
        (check.problems if twin.kind == "duplicate" else check.warnings).append(twin)
    return check


def _check_file(path: Path, hashes: Mapping[str, str], check: SetCheck) -> None:
    name = printable(path.name)
    if check.manifest is not None and path.name not in hashes:
        check.problems.append(LeftOut(name, "unlisted", "the manifest does not list it"))
    crop = read_crop(path)
    if isinstance(crop, Crop):
        check.crops.append(crop)
    elif crop.kind == "unfit":
        reason = f"{crop.reason}; training pastes it all the same"
        check.warnings.append(LeftOut(name, "unfit", reason))
    else:
        check.problems.append(crop)
        return
    if path.name in hashes and content_hash(path) != hashes[path.name]:
        reason = "its sha256 is not the manifest's: it was edited or saved again"
        check.problems.append(LeftOut(name, "changed", reason))
