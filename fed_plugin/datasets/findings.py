"""What a check found, in sentences, with the files that it is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from fed_plugin.datasets.splits import Item

SEVERITIES = ("error", "warning", "note")
"""An error makes numbers wrong or training stop; a warning may; a note is good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know about a data set.

    Attributes:
        severity: one of ``SEVERITIES``.
        kind: a short name for programs, such as ``"unreadable"``.
        sentence: for people.
        files: every file it is about; two where it is about a pair.
    """

    severity: str
    kind: str
    sentence: str
    files: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Listing:
    """Hold what was found where one split lies; every file is in one of the lists.

    Attributes:
        split: ``"train"``, ``"query"`` or ``"gallery"``.
        folders: where it lies.
        items: (path, pid, camid) of the images that training or evaluation reads.
        passed_over: paths of what is no image to read.
        junk: paths of detections that are nobody.
        unnamed: images whose name tells no identity.
        problem: why it cannot be read as it is; empty for a sound split.
    """

    split: str
    folders: tuple[str, ...]
    items: list[Item] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    junk: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    problem: str = ""


def one_each(paths: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return paths as the files of a finding that is about single files."""
    return tuple((path,) for path in paths)


def listing_findings(listings: Sequence[Listing]) -> list[Finding]:
    """Say what is wrong with the lists of files themselves."""
    findings = []
    for listing in listings:
        split = listing.split
        if listing.problem:
            findings.append(Finding("error", "listing", f"{split}: {listing.problem}"))
        if listing.unnamed:
            what = f"{split}: {len(listing.unnamed)} images whose name tells no identity"
            findings.append(Finding("error", "name", what, one_each(listing.unnamed)))
        if listing.junk:
            what = f"{split}: {len(listing.junk)} detections of nobody (identity -1) are left out"
            findings.append(Finding("note", "junk", what, one_each(listing.junk)))
    over = sorted({path for listing in listings for path in listing.passed_over})
    pictures = [path for path in over if path.lower().endswith(_PICTURES) and not _hidden(path)]
    others = sorted(set(over) - set(pictures))
    if pictures:
        what = f"{len(pictures)} pictures are passed over, by their place or their suffix"
        findings.append(Finding("warning", "passed over", what, one_each(pictures)))
    if others:
        what = f"{len(others)} other files or folders are passed over"
        findings.append(Finding("note", "passed over", what, one_each(others)))
    return findings


# Suffixes of what somebody may have meant as an image, those of list_images included.
_PICTURES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".heic", ".avif"),
    *(".jp2", ".jfif", ".ppm", ".pgm", ".jpe", ".npy"),
)


def _hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")
