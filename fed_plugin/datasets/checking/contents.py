"""What is wrong with single images: unreadable, of another size than the rest, of a rare kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from fed_plugin.datasets.checking.findings import Finding, Listing, one_each
from fed_plugin.datasets.checking.inspection import Facts

SMALLEST = 8
"""Pixels of a side below which nothing of a person is left."""
LARGEST = 8192
"""Pixels of a side above which an image is no crop of a person."""
FAR = 8.0
"""How many times longer or shorter than the split's median side is far from the others."""

# Per kind: how serious, and what comes of it.
_KINDS = {
    "several frames": ("warning", "hold several frames, of which the first alone is read"),
    "16-bit": ("note", "have 16 bits per channel, read with 8"),
    "palette": ("note", "have a palette, read as RGB"),
    "CMYK": ("note", "are CMYK, read as RGB"),
    "transparent": ("note", "have transparency, read as if they lay on mid grey"),
    "grey": ("note", "are grey, read as RGB"),
}


def content_findings(listings: Sequence[Listing], facts: Mapping[str, Facts]) -> list[Finding]:
    """Say which images cannot be read, or are unlike the others.

    Args:
        listings: of the splits.
        facts: of every image in them.
    """
    findings = []
    for listing in listings:
        paths = [path for path, _, _ in listing.items]
        bad = [path for path in paths if facts[path].problem]
        if bad:
            what = f"{listing.split}: {len(bad)} images cannot be read, {_reasons(bad, facts)}"
            findings.append(Finding("error", "unreadable", what, one_each(bad)))
        sound = [path for path in paths if facts[path].width and not facts[path].problem]
        findings += _sizes(listing.split, sound, facts)
    return findings + _kinds(listings, facts)


def median_size(paths: Sequence[str], facts: Mapping[str, Facts]) -> tuple[int, int]:
    """Return the median (width, height) of images in pixels, (0, 0) where no size is known."""
    sizes = [(facts[path].width, facts[path].height) for path in paths if facts[path].width]
    return (int(median(w for w, _ in sizes)), int(median(h for _, h in sizes))) if sizes else (0, 0)


def _reasons(paths: list[str], facts: Mapping[str, Facts]) -> str:
    """Name the most frequent reason, and say if there are others."""
    reasons = Counter(facts[path].problem for path in paths)
    first = max(reasons, key=lambda reason: reasons[reason])
    return f"such as ({first})" if len(reasons) > 1 else f"({first})"


def _sizes(split: str, paths: list[str], facts: Mapping[str, Facts]) -> list[Finding]:
    """Say which images have a size that no crop of a person has among these."""
    width, height = median_size(paths, facts)

    def differs(side: int, usual: int) -> bool:
        return not usual / FAR <= side <= usual * FAR

    tests = (
        (lambda w, h: min(w, h) < SMALLEST, f"have a side below {SMALLEST} pixels"),
        (lambda w, h: max(w, h) > LARGEST, f"have a side above {LARGEST} pixels"),
        (
            lambda w, h: differs(w, width) or differs(h, height),
            f"are {FAR:.0f} times larger or smaller than most, which are about {width} x {height}",
        ),
    )
    findings = []
    for is_odd, what in tests:
        odd = [path for path in paths if is_odd(facts[path].width, facts[path].height)]
        paths = sorted(set(paths).difference(odd))
        if odd:
            what = f"{split}: {len(odd)} images {what}"
            findings.append(Finding("warning", "size", what, one_each(odd)))
    return findings


def _kinds(listings: Sequence[Listing], facts: Mapping[str, Facts]) -> list[Finding]:
    findings = []
    paths = sorted({path for listing in listings for path, _, _ in listing.items})
    for kind, (severity, what) in _KINDS.items():
        found = [path for path in paths if kind in facts[path].kinds]
        if found:
            sentence = f"{len(found)} of {len(paths)} images {what}"
            findings.append(Finding(severity, kind, sentence, one_each(found)))
    return findings
