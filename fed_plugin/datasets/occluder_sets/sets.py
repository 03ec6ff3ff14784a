"""``manifest.json``: what an occluder set is, where it came from and what its files hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

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

MANIFEST = "manifest.json"
FORMAT, VERSION = "fed_plugin occluder set", 1

_EXPECTED = f'a JSON object with "format": "{FORMAT}", "version": {VERSION} and "crops"'


@dataclass(frozen=True)
class Entry:
    """Describe one file of a set.

    Attributes:
        file: its name.
        sha256: of its bytes, in hex.
        size: (height, width) in pixels.
        ratio: height / width, rounded to four digits.
        kind: "tall" where h/w > 2 and NPO covers the full height, else "wide".
        transparent: whether it has an alpha channel.
        origin: the file it came from, or how it was drawn.
    """

    file: str
    sha256: str
    size: tuple[int, int]
    ratio: float
    kind: str
    transparent: bool
    origin: str


@dataclass(frozen=True)
class Manifest:
    """Hold a manifest that was read.

    Attributes:
        entries: one per file, in name order.
        about: everything else it says.
    """

    entries: tuple[Entry, ...]
    about: Mapping[str, Any]


def to_json(entries: list[Entry], about: Mapping[str, Any]) -> bytes:
    """Write a manifest; the same arguments give the same bytes.

    Args:
        entries: one per file.
        about: further values, such as source and licence; stand before the files.
    """
    tall = sum(entry.kind == "tall" for entry in entries)
    counts = {"count": len(entries), "tall": tall, "wide": len(entries) - tall}
    values = {"format": FORMAT, "version": VERSION, **counts, **about}
    head = [f" {_dump(key)}: {_dump(value)}" for key, value in values.items()]
    crops = ",\n".join(f"  {_dump(asdict(entry))}" for entry in entries)  # a line each
    text = "{\n" + ",\n".join([*head, f' "crops": [\n{crops}\n ]']) + "\n}\n"
    return text.encode("utf-8", "backslashreplace")  # a name in no encoding: JSON's own escape


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_manifest(folder: str | Path) -> Manifest | None:
    """Read a folder's manifest; None where it has none.

    Raises:
        ValueError: the file is no manifest of an occluder set, or one of a later version.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {_EXPECTED}; it is no JSON ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"{path}: expected {_EXPECTED}; got something else")
    if values.get("version") != VERSION:
        raise ValueError(
            f"{path}: expected version {VERSION}, got {values.get('version')!r}; try the "
            "fed_plugin that wrote it"
        )
    try:
        entries = tuple(_to_entry(crop) for crop in values.pop("crops"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its list of crops is damaged ({error!r})") from error
    return Manifest(entries, values)


def _to_entry(crop: Mapping[str, Any]) -> Entry:
    height, width = crop["size"]
    name = str(crop["file"])
    if Path(name).name != name:
        raise ValueError(f"file {name!r} is no name of a file in this folder")
    return Entry(
        file=name,
        sha256=str(crop["sha256"]),
        size=(int(height), int(width)),
        ratio=float(crop["ratio"]),
        kind=str(crop["kind"]),
        transparent=bool(crop["transparent"]),
        origin=str(crop["origin"]),
    )


# Crops of obstacles as they come: any kind of image file, decoded; what is no crop, by name.

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]

KINDS = (*IMAGE_SUFFIXES, ".gif", ".webp", ".ppm", ".pgm", ".tga", ".jp2")
"""Suffixes that a folder of crops is searched for, in any case."""

MIN_SIDE = 8
"""Pixels: a smaller crop is a smear once it covers half an image."""

MAX_ELONGATION = 16.0
"""Longer over shorter side: a longer crop is a line, and squeezed beyond recognition."""

_LARGEST = 50_000_000  # pixels
_FORMATS = {"JPEG", "MPO", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "TGA", "JPEG2000"}
_OPAQUE = 255


@dataclass(frozen=True)
class LeftOut:
    """Name what did not become part of a set, and why.

    Attributes:
        name: file or crop.
        kind: "not an image", "broken", "unfit", "duplicate", "near duplicate" or "leak".
        reason: for a reader.
    """

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Crop:
    """Hold one obstacle.

    Attributes:
        name: what it is called; becomes part of its file name.
        pixels: (h, w, 3) RGB or (h, w, 4) RGBA, uint8.
        origin: where it came from, for the manifest.
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
        """Whether NPO's rule "h/w > 2" makes it cover the full height of an image."""
        return self.pixels.shape[0] > 2 * self.pixels.shape[1]


def read_crops(
    folder: str | Path, progress: Progress | None = None
) -> tuple[list[Crop], list[LeftOut]]:
    """Decode every image of a folder, in name order; nothing that is passed over goes unnamed.

    Args:
        folder: not searched recursively; hidden files and a ``manifest.json`` are no crops.
        progress: called with (files done, files in all).

    Returns:
        The crops, and what was no usable crop.

    Raises:
        FileNotFoundError: no such folder, or it is a file.
    """
    if not Path(folder).is_dir():
        found = "is a file" if Path(folder).exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {found}; expected a folder of occluder crops")
    crops: list[Crop] = []
    left_out: list[LeftOut] = []
    entries = [entry for entry in visible_entries(str(folder)) if entry.name != MANIFEST]
    for done, entry in enumerate(entries, start=1):
        found_one = read_crop(Path(entry.path))
        if isinstance(found_one, Crop):
            crops.append(found_one)
        else:
            left_out.append(found_one)
        if progress is not None:
            progress(done, len(entries))
    return crops, left_out


def read_crop(path: Path) -> Crop | LeftOut:
    """Decode one file; a file that is no usable crop is returned as what was left out."""
    name = printable(path.name)
    if path.is_dir():
        return LeftOut(name, "not an image", "a folder: only the files beside it are read")
    if not path.name.lower().endswith(KINDS):
        return LeftOut(name, "not an image", f"expected one of {' '.join(KINDS)}")
    if path.exists() and not path.is_file():
        return LeftOut(name, "not an image", "neither a file nor a folder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: what cannot be read is named below
            pixels, note = _decode(path)
    except Exception as error:  # every decoder raises its own kinds
        reason = f"{type(error).__name__}: {error}".replace(str(path), name)
        return LeftOut(name, "broken", f"cannot be read ({printable(reason)})")
    unfit = _why_unfit(pixels)
    if unfit:
        return LeftOut(name, "unfit", unfit)
    return Crop(printable(path.stem), pixels, name + note)


def _decode(path: Path) -> tuple[Pixels, str]:
    """Return RGB or, where any pixel is not opaque, RGBA; and what a reader should know."""
    with Image.open(path) as opened:
        if opened.format not in _FORMATS:
            raise ValueError(f"holds {opened.format}, which is no picture of pixels")
        if opened.width * opened.height > _LARGEST:
            raise ValueError(f"{opened.width} x {opened.height} pixels; at most {_LARGEST}")
        frames = int(getattr(opened, "n_frames", 1))
        image: Image.Image = ImageOps.exif_transpose(opened)
        # some readers of animations keep a palette's transparency in the file's information alone
        transparent = "A" in image.getbands() or "transparency" in image.info
        pixels = np.array(_to_eight_bits(image).convert("RGBA" if transparent else "RGB"))
    if transparent and (pixels[..., 3] == _OPAQUE).all():
        pixels = np.ascontiguousarray(pixels[..., :3])
    return pixels, f" (first of {frames} pictures)" if frames > 1 else ""


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits and floats, which PIL clips when it narrows them."""
    if image.mode.startswith("I"):
        levels: NDArray[Any] = np.asarray(image) // 257
    elif image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        levels = (values - values.min()) / max(float(np.ptp(values)), 1e-9) * 255
    else:
        return image
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _why_unfit(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return f"{height} x {width} (h x w) pixels; expected at least {MIN_SIDE} a side"
    if max(height, width) > MAX_ELONGATION * min(height, width):
        return f"{height} x {width} (h x w) pixels; expected at most {MAX_ELONGATION:g} : 1"
    if pixels.shape[2] == 4 and not pixels[..., 3].any():
        return "wholly transparent"
    return ""


# Crops that are there twice: the same pixels, or pictures of the same thing.

NEAR_RATIO = 1.1
"""Factor between the h/w ratios of near duplicates, at most.

As everywhere in the plugin, their perceptual hashes differ in at most 4 of 64 bits and their mean
colours by at most 10 levels.
"""


@dataclass(frozen=True)
class Look:
    """Hold what is compared of a picture: hash, colours, shape."""

    hash: int
    colors: bytes
    ratio: float


def look_of(pixels: Pixels) -> Look:
    """Describe an (H, W, 3) or (H, W, 4) uint8 picture; transparency lies on mid grey."""
    image = Image.fromarray(pixels)
    return Look(perceptual_hash(image), mean_colors(image), pixels.shape[0] / pixels.shape[1])


def alike(left: Sequence[Look], right: Sequence[Look] | None = None) -> list[tuple[int, int]]:
    """List the pairs that show the same thing, by their indices.

    The perceptual hash knows neither colour nor shape, so both have to agree as well. A picture
    without any contrast is like no other.

    Args:
        left: pictures.
        right: other pictures; None finds pairs within ``left``, the lower index first.
    """
    others = left if right is None else right
    hashes = None if right is None else [look.hash for look in right]
    pairs = near_pairs([look.hash for look in left], hashes, NEAR).tolist()
    return [(a, b) for a, b in pairs if _agree(left[a], others[b])]


def without_duplicates(crops: Sequence[Crop]) -> tuple[list[Crop], list[LeftOut]]:
    """Keep the first of every group of equal or nearly equal crops.

    Returns:
        What is kept, in order, and what is left out.
    """
    first: dict[str, str] = {}
    left_out: list[LeftOut] = []
    unique: list[Crop] = []
    for crop in crops:
        if crop.digest in first:
            reason = f"the same pixels as {first[crop.digest]}"
            left_out.append(LeftOut(crop.origin, "duplicate", reason))
        else:
            first[crop.digest] = crop.origin
            unique.append(crop)
    gone: set[int] = set()
    for a, b in alike([look_of(crop.pixels) for crop in unique]):
        if a not in gone and b not in gone:
            gone.add(b)
            reason = f"nearly the same picture as {unique[a].origin}"
            left_out.append(LeftOut(unique[b].origin, "near duplicate", reason))
    return [crop for index, crop in enumerate(unique) if index not in gone], left_out


def _agree(first: Look, second: Look) -> bool:
    low, high = sorted((first.ratio, second.ratio))
    alike_in_color = color_distance(first.colors, second.colors) <= NEAR_COLORS
    return high <= NEAR_RATIO * low and alike_in_color


# Whether an occluder set holds what its manifest says; what anybody's folder of crops holds.

USED_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
"""What ``INPUT.NPO.OCCLUDERS`` reads of a folder."""


@dataclass(frozen=True)
class SetCheck:
    """Hold what was found in a folder of occluders.

    Attributes:
        manifest: None where there is none.
        crops: every file that training would use and that can be read, in name order.
        problems: what makes the set another one than it says, or training stop; kinds "missing",
            "changed", "unlisted", "broken", "duplicate".
        warnings: what is good to know: files that training passes over, unfit sizes, look-alikes.
    """

    manifest: Manifest | None
    crops: list[Crop]
    problems: list[LeftOut]
    warnings: list[LeftOut]


def check_set(folder: str | Path, progress: Progress | None = None) -> SetCheck:
    """Read every file of an occluder set and compare it with the manifest.

    Args:
        folder: a set, or any folder of crops.
        progress: called with (files done, files in all).

    Raises:
        FileNotFoundError: no such folder, or it is a file.
        ValueError: its manifest cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "is a file" if root.exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {found}; expected a folder of occluders")
    manifest = read_manifest(root)
    hashes = {entry.file: entry.sha256 for entry in manifest.entries} if manifest else {}
    check = SetCheck(manifest, [], [], [])
    entries = [entry for entry in visible_entries(str(root)) if entry.name != MANIFEST]
    for done, entry in enumerate(entries, start=1):
        path = Path(entry.path)
        if path.is_dir() or path.suffix.lower() not in USED_SUFFIXES:
            reason = f"training passes it over: it reads {' '.join(USED_SUFFIXES)}"
            check.warnings.append(LeftOut(printable(entry.name), "not used", reason))
        else:
            _check_file(path, manifest, hashes, check)
        if progress is not None:
            progress(done, len(entries))
    there = {entry.name for entry in entries}
    missing = [name for name in hashes if name not in there]
    check.problems.extend(
        LeftOut(name, "missing", "the manifest lists it, the folder lacks it") for name in missing
    )
    for twin in without_duplicates(check.crops)[1]:
        (check.problems if twin.kind == "duplicate" else check.warnings).append(twin)
    return check


def _check_file(
    path: Path, manifest: Manifest | None, hashes: dict[str, str], check: SetCheck
) -> None:
    name = printable(path.name)
    if manifest is not None and path.name not in hashes:
        check.problems.append(LeftOut(name, "unlisted", "the manifest does not list it"))
    found = read_crop(path)
    if isinstance(found, Crop):
        check.crops.append(found)
    elif found.kind == "unfit":
        reason = f"{found.reason}; training pastes it all the same"
        check.warnings.append(LeftOut(name, "unfit", reason))
    else:
        check.problems.append(found)
        return
    if path.name in hashes and content_hash(path) != hashes[path.name]:
        reason = "its sha256 is not the manifest's: it was edited or saved again"
        check.problems.append(LeftOut(name, "changed", reason))


# Writing an occluder set: the folder appears whole, manifest last, or not at all.

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
