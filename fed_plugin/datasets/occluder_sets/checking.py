"""Whether an occluder set holds what its manifest says; what anybody's folder of crops holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.datasets.listing import printable, visible_entries
from fed_plugin.datasets.occluder_sets.crops import Crop, LeftOut, Progress, read_crop
from fed_plugin.datasets.occluder_sets.duplicates import without_duplicates
from fed_plugin.datasets.occluder_sets.manifest import MANIFEST, Manifest, read_manifest

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
