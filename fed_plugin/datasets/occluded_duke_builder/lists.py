"""The three published lists of names, and what has to be true of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fed_plugin.datasets.checking.known_lists import KNOWN_LISTS
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.names import DUKE_NAMES

WITHDRAWN = (
    "DukeMTMC was withdrawn by its university in April 2019. DukeMTMC-reID, Occluded-Duke and "
    "every model or figure made from them inherit that: whether you may keep and use them is for "
    "you to find out. Nothing is downloaded here, and no image should be passed on. Market1501 "
    "with Occluded_REID, and SynthOcc, need no Duke image."
)
"""What to tell somebody before a folder of these images is made."""

TEST = "bounding_box_test"
"""Folder of DukeMTMC-reID that has what a list's own folder lacks."""

_REPOSITORY = "lightas/Occluded-DukeMTMC-Dataset"


@dataclass(frozen=True)
class ListRule:
    """Describe one list.

    Attributes:
        file: its name.
        folder: where its images are looked for, and where they go.
        sha256: of its bytes.
        images: how many names it has.
        identities: of how many people.
    """

    file: str
    folder: str
    sha256: str
    images: int
    identities: int


_SHA256 = KNOWN_LISTS["Occluded_Duke"]
# Source: counted from the files themselves.
LISTS = (
    ListRule(
        file="train.list",
        folder="bounding_box_train",
        sha256=_SHA256["train"],
        images=15618,
        identities=702,
    ),
    ListRule(
        file="query.list",
        folder="query",
        sha256=_SHA256["query"],
        images=2210,
        identities=519,
    ),
    ListRule(
        file="gallery.list",
        folder=TEST,
        sha256=_SHA256["gallery"],
        images=17661,
        identities=1110,
    ),
)


def read_lists(
    folder: str | os.PathLike[str], rules: Sequence[ListRule] = LISTS
) -> dict[str, tuple[str, ...]]:
    """Read the lists and verify them.

    Args:
        folder: that holds them.
        rules: of the lists for train, query and gallery, in this order.

    Returns:
        Per folder of the data set, the names of its images.

    Raises:
        FileNotFoundError: A list is not there.
        ValueError: One is not the published one, or what it says cannot be.
    """
    names = {rule.folder: _read_list(os.path.join(folder, rule.file), rule) for rule in rules}
    train, query, gallery = (names[rule.folder] for rule in rules)
    both = _people(train) & (_people(query) | _people(gallery))
    if both:
        raise ValueError(
            f"{printable(os.fspath(folder))}: expected other people in {rules[0].file} than in the "
            f"other lists, got identity {min(both)} in both"
        )
    cameras: dict[int, set[int | None]] = {}
    for pid, camid in map(DUKE_NAMES.parse, gallery):
        cameras.setdefault(pid, set()).add(camid)
    for name in query:
        pid, camid = DUKE_NAMES.parse(name)
        if not cameras.get(pid, set()) - {camid}:
            raise ValueError(
                f"{rules[1].file}: expected {name}'s identity in {rules[2].file} from another "
                "camera, got none"
            )
    return names


def _read_list(path: str, rule: ListRule) -> tuple[str, ...]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"--lists: {printable(path)} is not there; expected train.list, query.list and "
            f"gallery.list of the repository {_REPOSITORY}"
        ) from None
    data = data.replace(b"\r\n", b"\n") if _sha256(data) != rule.sha256 else data  # git on Windows
    if _sha256(data) != rule.sha256:
        raise ValueError(
            f"--lists: {printable(path)}: expected the published list with sha256 {rule.sha256}, "
            f"got {_sha256(data)}; try taking the file from {_REPOSITORY} again, as it is"
        )
    names = tuple(data.decode().split())
    _refuse_bad_names(path, names)
    counts = {"images": len(names), "identities": len(_people(names))}
    expected = {"images": rule.images, "identities": rule.identities}
    if counts != expected:
        raise ValueError(f"--lists: {printable(path)}: expected {expected}, got {counts}")
    return names


def _refuse_bad_names(path: str, names: Sequence[str]) -> None:
    """Let plain names of images pass, each once: nothing that leads to another folder."""
    seen: set[str] = set()
    for name in names:
        if os.path.basename(name) != name or "\\" in name or not name.endswith(".jpg"):
            raise ValueError(
                f"--lists: {printable(path)}: expected names like {DUKE_NAMES.example}, got "
                f"{printable(name)}"
            )
        DUKE_NAMES.parse(name)
        if name in seen:
            raise ValueError(f"--lists: {printable(path)}: expected {name} once, got it twice")
        seen.add(name)


def _people(names: Sequence[str]) -> set[int]:
    return {DUKE_NAMES.parse(name)[0] for name in names}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def counts(names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return how many images each folder gets."""
    return {folder: len(listed) for folder, listed in names.items()}
