"""How much is there: images, identities and cameras per split, against what was published."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fed_plugin.datasets.checking.contents import median_size
from fed_plugin.datasets.checking.findings import Finding, Listing
from fed_plugin.datasets.checking.inspection import Facts
from fed_plugin.datasets.published import Published


@dataclass(frozen=True)
class SplitCounts:
    """One row of the table.

    Attributes:
        split: ``"train"``, ``"query"`` or ``"gallery"``.
        images: that training or evaluation reads.
        identities: different ones among them, distractors not counted.
        cameras: different ones; 0 where the data set tells none.
        published_images: None where nothing is published.
        published_identities: likewise.
        list_sha256: of the file list; see :func:`list_hash`.
        width: median in pixels; 0 where unknown.
        height: likewise.
    """

    split: str
    images: int
    identities: int
    cameras: int
    published_images: int | None
    published_identities: int | None
    list_sha256: str
    width: int
    height: int


def list_hash(paths: Iterable[str]) -> str:
    """Return the sha256 of a file list, the same for every copy of a data set.

    It is that of all base names as UTF-8, sorted by their bytes, a newline after each; in a shell:
    ``ls -U query | LC_ALL=C sort | sha256sum``.
    """
    names = sorted(os.fsencode(os.path.basename(path)) for path in paths)
    return hashlib.sha256(b"".join(name + b"\n" for name in names)).hexdigest()


def count_split(
    listing: Listing,
    facts: Mapping[str, Facts],
    published: Published | None,
    *,
    tells_cameras: bool,
    distractor_pids: Sequence[int] = (),
) -> SplitCounts:
    """Count one split.

    Args:
        listing: of the split.
        facts: of every image in it.
        published: what a complete copy has, if that is known.
        tells_cameras: whether cameras are read from names, not made up.
        distractor_pids: identities that are nobody's.
    """
    paths = [path for path, _, _ in listing.items]
    width, height = median_size(paths, facts)
    return SplitCounts(
        split=listing.split,
        images=len(paths),
        identities=len({pid for _, pid, _ in listing.items} - set(distractor_pids)),
        cameras=len({camid for _, _, camid in listing.items}) if tells_cameras else 0,
        published_images=published.images if published else None,
        published_identities=published.identities if published else None,
        list_sha256=list_hash(paths),
        width=width,
        height=height,
    )


def count_findings(
    rows: Sequence[SplitCounts], cameras: int, published_cameras: int, lists: Mapping[str, str]
) -> list[Finding]:
    """Say where the counts are not those of a complete copy.

    Args:
        rows: of all splits.
        cameras: of all splits together; 0 where the data set tells none.
        published_cameras: 0 where their number is not known.
        lists: per split the hash of the published file list, where there is one.
    """
    findings = []
    for row in rows:
        counts = (
            ("images", row.images, row.published_images),
            ("identities", row.identities, row.published_identities),
        )
        wrong = [
            f"{found:,} {what} instead of {published:,}"
            for what, found, published in counts
            if published is not None and found != published
        ]
        if wrong and row.images:
            sentence = (
                f"{row.split}: {' and '.join(wrong)}: not the published data set, so that its "
                "figures compare with nobody's"
            )
            findings.append(Finding("error", "count", sentence))
        elif lists.get(row.split, row.list_sha256) != row.list_sha256 and row.images:
            sentence = (
                f"{row.split}: as many images as published, but other file names (list hash "
                f"{row.list_sha256[:12]} instead of {lists[row.split][:12]})"
            )
            findings.append(Finding("error", "list", sentence))
    if cameras and published_cameras and cameras != published_cameras:
        sentence = f"{cameras} cameras instead of {published_cameras}"
        findings.append(Finding("warning", "cameras", sentence))
    return findings
