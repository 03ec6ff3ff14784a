"""One data set checked from its file names to its last pixel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fed_plugin.datasets.checking.answers import answer_findings
from fed_plugin.datasets.checking.cache import FactsCache
from fed_plugin.datasets.checking.contents import content_findings
from fed_plugin.datasets.checking.counts import SplitCounts, count_findings, count_split
from fed_plugin.datasets.checking.findings import SEVERITIES, Finding, listing_findings
from fed_plugin.datasets.checking.leaks import leak_findings
from fed_plugin.datasets.checking.scanning import Progress, scan
from fed_plugin.datasets.checking.targets import Target


@dataclass(frozen=True)
class Report:
    """What is known of a data set after a check.

    Attributes:
        target: what was checked.
        splits: one row each.
        findings: the most serious first.
        images: how many different files were looked at.
        inspected: how many of them were read now; the others were remembered.
        decoded: whether every pixel was asked for.
    """

    target: Target
    splits: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]
    images: int
    inspected: int
    decoded: bool

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything, with every file, as JSON holds it."""
        return {
            "dataset": self.target.name,
            "folder": self.target.folder,
            "variant": list(self.target.variant),
            "training": list(self.target.training),
            "decoded": self.decoded,
            "images": self.images,
            "splits": [asdict(row) for row in self.splits],
            "findings": [asdict(finding) for finding in self.findings],
        }


def check(
    target: Target,
    *,
    decode: bool = True,
    workers: int | None = None,
    cache: FactsCache | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a data set; what is wrong with it is a finding, not an exception.

    Nothing is written into its folders.

    Args:
        target: from :func:`find_targets`.
        decode: decode every image; otherwise headers are believed and look-alikes not searched.
        workers: processes that read; by default as many as processors.
        cache: facts of earlier checks.
        progress: called with (files read, files to read).
    """
    listings = target.list_files()
    paths = [path for listing in listings for path, _, _ in listing.items]
    found = scan(paths, decode=decode, workers=workers, cache=cache, progress=progress)
    rows = [
        count_split(
            listing,
            found.facts,
            target.published.get(listing.split),
            tells_cameras=target.tells_cameras,
            distractor_pids=target.distractor_pids,
        )
        for listing in listings
    ]
    cameras = {camid for listing in listings for _, _, camid in listing.items}
    findings = [
        *target.remarks,
        *listing_findings(listings),
        *count_findings(
            rows, len(cameras) if target.tells_cameras else 0, target.cameras, target.lists
        ),
        *content_findings(listings, found.facts),
        *leak_findings(listings, found.facts),
        *answer_findings(listings, target.distractor_pids),
    ]
    if not decode:
        what = "the pixels were not decoded: broken files and look-alikes may have stayed unseen"
        findings.append(Finding("note", "fast", what))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    images = len(found.facts)
    return Report(target, tuple(rows), tuple(findings), images, found.inspected, decode)
