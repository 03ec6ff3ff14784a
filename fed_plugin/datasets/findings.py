"""What a check found, in sentences, with the files that it is about."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from fed_plugin.datasets.fingerprints import NEAR, NEAR_COLORS, color_distance, near_pairs
from fed_plugin.datasets.image_facts import Facts
from fed_plugin.datasets.splits import Item, Published

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


# Can it be trained and evaluated: identities to tell apart, right answers to find.


def answer_findings(listings: Sequence[Listing], distractor_pids: Sequence[int]) -> list[Finding]:
    """Say what training or evaluation would stumble over.

    Args:
        listings: of the splits, at most one per split.
        distractor_pids: identities of the gallery that are nobody's.
    """
    by_split = {listing.split: listing for listing in listings}
    findings = []
    if "train" in by_split and by_split["train"].items:
        findings += _training(by_split["train"])
    if by_split.get("query") and by_split.get("gallery"):
        findings += _unanswered(by_split["query"], by_split["gallery"])
    if "train" in by_split:
        findings += _in_both(by_split, set(distractor_pids))
    return findings


def _training(train: Listing) -> list[Finding]:
    identities = {pid for _, pid, _ in train.items}
    if len(identities) > 1:
        return []
    return [
        Finding("error", "identities", "train: one identity only, so that nothing can be learned")
    ]


def _unanswered(query: Listing, gallery: Listing) -> list[Finding]:
    """Say which queries have no right answer that the rule of cameras leaves in their ranking."""
    cameras = defaultdict(set)
    for _, pid, camid in gallery.items:
        cameras[pid].add(camid)
    nowhere = [path for path, pid, _ in query.items if pid not in cameras]
    same = [path for path, pid, camid in query.items if cameras.get(pid) == {camid}]
    found = len(query.items) - len(nowhere) - len(same)
    if not query.items or not gallery.items or found == len(query.items):
        return []
    severity = "warning" if found else "error"
    result = "evaluation leaves them out" if found else "nothing can be evaluated"
    findings = []
    for paths, why in (
        (nowhere, "whose identity is not in the gallery"),
        (same, "whose identity is in the gallery from the query's camera alone"),
    ):
        if paths:
            sentence = f"query: {len(paths)} of {len(query.items)} images {why}: {result}"
            findings.append(Finding(severity, "unanswered", sentence, one_each(paths)))
    return findings


def _in_both(by_split: dict[str, Listing], distractors: set[int]) -> list[Finding]:
    train = {pid for _, pid, _ in by_split["train"].items}
    tested = {
        pid: path
        for split in ("gallery", "query")
        if split in by_split
        for path, pid, _ in by_split[split].items
        if pid in train and pid not in distractors
    }
    if not tested:
        return []
    sentence = (
        f"{len(tested)} identities are in train and in query or gallery, such as "
        f"{min(tested)} in {os.path.basename(tested[min(tested)])}: if these are the same people, "
        "the figures are too good"
    )
    return [Finding("warning", "identities", sentence, one_each(sorted(tested.values())))]


# What is wrong with single images: unreadable, of another size than the rest, of a rare kind.

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


# How much is there: images, identities and cameras per split, against what was published.


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


# Pictures that are there twice: in query and gallery, in train and test, under two identities.
#
# Copies are found by their bytes. Pictures that look alike (re-encoded, resized) are found by their
# perceptual hashes and mean colours, which two different pictures may share: a warning at most.

Relation = Callable[[Item, Item], bool]
Pairs = tuple[tuple[str, ...], ...]


def leak_findings(listings: Sequence[Listing], facts: Mapping[str, Facts]) -> list[Finding]:
    """Say which pictures are there more than once.

    Args:
        listings: of the splits, at most one per split.
        facts: of every image in them.
    """
    sound = {
        listing.split: [item for item in listing.items if not facts[item[0]].problem]
        for listing in listings
    }
    train, query, gallery = (sound.get(split, []) for split in ("train", "query", "gallery"))
    findings = [
        finding for split, items in sound.items() for finding in _within(split, items, facts)
    ]
    findings += _query_in_gallery(query, gallery, facts)
    test = query + gallery
    copies = _pairs(train, test, _by_content(test, facts), lambda *_: True)
    if copies:
        what = f"{len(copies)} training images are query or gallery images, too: a leak"
        findings.append(Finding("error", "leak", what, copies))
    alike = _pairs(train, test, _by_look(train, test, facts), lambda *_: True)
    if alike:
        what = f"{len(alike)} training images look like query or gallery images"
        findings.append(Finding("warning", "look-alike", what, alike))
    return findings


def _within(split: str, items: list[Item], facts: Mapping[str, Facts]) -> list[Finding]:
    """Say which images of one split are copies of another one."""
    first: dict[str, Item] = {}
    copies, contradictions = [], []
    for item in items:
        known = first.setdefault(facts[item[0]].sha256, item)
        if known[0] != item[0]:
            (copies if known[1] == item[1] else contradictions).append((known[0], item[0]))
    findings = []
    if contradictions:
        what = f"{split}: {len(contradictions)} images are there under two identities"
        findings.append(Finding("warning", "two identities", what, tuple(contradictions)))
    if copies:
        what = f"{split}: {len(copies)} images are copies of another one of their identity"
        findings.append(Finding("warning", "copies", what, tuple(copies)))
    return findings


def _query_in_gallery(
    query: list[Item], gallery: list[Item], facts: Mapping[str, Facts]
) -> list[Finding]:
    """Say which queries find themselves; the rule of cameras removes some of them."""

    def is_removed(one: Item, other: Item) -> bool:
        return one[1:] == other[1:]  # same identity, same camera

    def is_left(one: Item, other: Item) -> bool:
        return not is_removed(one, other)

    twins = _by_content(gallery, facts)
    findings = []
    left = _pairs(query, gallery, twins, is_left)
    if left:
        what = (
            f"{len(left)} queries are gallery images, too, under another identity or camera, where "
            "no rule removes them: a leak"
        )
        findings.append(Finding("error", "leak", what, left))
    removed = _pairs(query, gallery, twins, is_removed)
    if removed:
        what = (
            f"{len(removed)} of {len(query)} queries ({len(removed) / len(query):.1%}) are gallery "
            "images, too: harmless while images of the query's identity and camera are removed "
            "from its ranking, a leak in a search or a benchmark that removes none"
        )
        findings.append(Finding("note", "query in gallery", what, removed))
    alike = _pairs(query, gallery, _by_look(query, gallery, facts), is_left)
    if alike:
        what = f"{len(alike)} queries look like gallery images of another identity or camera"
        findings.append(Finding("warning", "look-alike", what, alike))
    return findings


def _pairs(
    left: list[Item],
    right: list[Item],
    twins: Callable[[Item], Sequence[Item]],
    related: Relation,
) -> Pairs:
    """Pair each image of ``left`` with its first twin that is related to it so."""
    if not left or not right:
        return ()
    pairs = []
    for item in left:
        twin = next((twin for twin in twins(item) if related(item, twin)), None)
        if twin is not None:
            pairs.append((item[0], twin[0]))
    return tuple(pairs)


def _by_content(right: list[Item], facts: Mapping[str, Facts]) -> Callable[[Item], list[Item]]:
    """Return what finds the images of ``right`` that have the bytes of an image."""
    by_hash: dict[str, dict[tuple[int, int], Item]] = defaultdict(dict)
    for item in right:  # one per identity and camera is enough to tell every relation
        by_hash[facts[item[0]].sha256].setdefault(item[1:], item)
    lists = {sha256: list(items.values()) for sha256, items in by_hash.items()}
    return lambda item: lists.get(facts[item[0]].sha256, [])


def _by_look(
    left: list[Item], right: list[Item], facts: Mapping[str, Facts]
) -> Callable[[Item], list[Item]]:
    """Return what finds the images of ``right`` that look like one of ``left``, but for copies."""
    looks = [sorted({facts[path].look or 0 for path, _, _ in items}) for items in (left, right)]
    near: dict[int, list[int]] = defaultdict(list)
    for one, other in near_pairs(*looks, max_distance=NEAR).tolist():
        near[looks[0][one]].append(looks[1][other])
    with_look: dict[int, list[Item]] = defaultdict(list)
    for item in right:
        with_look[facts[item[0]].look or 0].append(item)
    copies = _by_content(right, facts)

    def twins(item: Item) -> list[Item]:
        if copies(item):
            return []  # told as a copy already
        found = facts[item[0]]
        colors = bytes.fromhex(found.colors)
        return [
            twin
            for look in near[found.look or 0]
            for twin in with_look[look]
            if color_distance(colors, bytes.fromhex(facts[twin[0]].colors)) <= NEAR_COLORS
        ]

    return twins
