"""Findings of a check, in sentences, with the files of each finding."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from fed_plugin.datasets.fingerprints import NEAR, NEAR_COLORS, color_distance, near_pairs
from fed_plugin.datasets.image_facts import Facts
from fed_plugin.datasets.splits import Item, Layout, SplitScan
from fed_plugin.files import list_hash
from fed_plugin.photos import IMAGE_SUFFIXES

SEVERITIES = ("error", "warning", "note")
"""An error makes numbers wrong or stops training; a warning may do so; a note does not."""


Files = str | tuple[str, ...]  # a file, or a pair of files
AllFacts = Mapping[str, Facts]


@dataclass(frozen=True)
class Finding:
    """One fact about a data set that its user should know, of one of ``SEVERITIES``.

    ``kind`` is a short name for programs, such as ``"unreadable"``; ``files`` holds one tuple for
    each file, or for each pair of files.
    """

    severity: str
    kind: str
    sentence: str
    files: tuple[tuple[str, ...], ...] = ()


Findings = list[Finding]


def _about(
    severity: str, kind: str, files: Sequence[Files], what: str, split: str = ""
) -> Findings:
    """Return a finding that counts files or pairs of files; none where there are no files."""
    tuples = tuple((one,) if isinstance(one, str) else one for one in files)
    sentence = f"{split}: {len(tuples)} {what}" if split else f"{len(tuples)} {what}"
    return [Finding(severity, kind, sentence, tuples)] if tuples else []


# The lists of files.

_PICTURES = (*IMAGE_SUFFIXES, ".heic", ".jpe", ".npy")  # of files that may be meant as images


def listing_findings(listings: Sequence[SplitScan]) -> Findings:
    """Return the faults of the lists of files."""
    findings = []
    for listing in listings:
        split, problem = listing.split, listing.problem
        if problem:
            findings.append(Finding("error", "listing", f"{split}: {problem}"))
        what = "images whose name contains no identity"
        findings += _about("error", "name", listing.unnamed, what, split)
        what = "detections of nobody (identity -1) are left out"
        findings += _about("note", "junk", listing.junk, what, split)
    over = sorted({path for listing in listings for path in listing.passed_over})
    pictures = [path for path in over if _is_picture(path)]
    others = [path for path in over if not _is_picture(path)]
    what = "pictures are passed over, by their place or their suffix"
    findings += _about("warning", "passed over", pictures, what)
    what = "other files or folders are passed over"
    return findings + _about("note", "passed over", others, what)


def _is_picture(path: str) -> bool:
    return path.lower().endswith(_PICTURES) and not os.path.basename(path).startswith(".")


# Training and evaluation: identities to learn, right answers to find.


def answer_findings(listings: Sequence[SplitScan], distractor_pids: Sequence[int]) -> Findings:
    """Return what cannot be learned or answered in at most one listing per split."""
    by_split = {listing.split: listing for listing in listings}
    train, query, gallery = (by_split.get(split) for split in ("train", "query", "gallery"))
    findings = []
    if train and len({pid for _, pid, _ in train.items}) == 1:
        what = "train: one identity only, so that nothing can be learned; try more people, or for "
        what += "own data another DATASETS.FOLDER_REID.SPLIT_SEED"
        findings.append(Finding("error", "identities", what))
    if query and gallery:
        findings += _unanswered(query, gallery)
    if train:
        tested = [listing for listing in (gallery, query) if listing]
        findings += _in_both(train, tested, set(distractor_pids))
    return findings


def _unanswered(query: SplitScan, gallery: SplitScan) -> Findings:
    """Name the queries whose right answers are missing or removed by the rule of cameras."""
    cameras = defaultdict(set)
    for _, pid, camid in gallery.items:
        cameras[pid].add(camid)
    nowhere = [path for path, pid, _ in query.items if pid not in cameras]
    same = [path for path, pid, camid in query.items if cameras.get(pid) == {camid}]
    answered = len(query.items) - len(nowhere) - len(same)
    if not query.items or not gallery.items:
        return []
    severity = "warning" if answered else "error"
    result = "evaluation leaves them out" if answered else "nothing can be evaluated"
    images = f"of {len(query.items)} images whose identity"
    what = f"{images} is not in the gallery: {result}"
    findings = _about(severity, "unanswered", nowhere, what, "query")
    what = f"{images} is in the gallery from the query's camera alone: {result}"
    return findings + _about(severity, "unanswered", same, what, "query")


def _in_both(train: SplitScan, tested: list[SplitScan], distractors: set[int]) -> Findings:
    trained = {pid for _, pid, _ in train.items} - distractors
    items = [item for listing in tested for item in listing.items]
    both = {pid: path for path, pid, _ in items if pid in trained}  # a query's path wins
    if not both:
        return []
    example = f"{min(both)} in {os.path.basename(both[min(both)])}"
    what = (
        f"identities are in train and in query or gallery, such as {example}: if these are the "
        "same people, the figures are too good"
    )
    return _about("warning", "identities", sorted(both.values()), what)


# Single images: unreadable, of another size than the rest, of a rare kind.

SMALLEST = 8
"""Shortest side, in pixels, of an image that can show a person."""
LARGEST = 8192
"""Longest side, in pixels, of a crop of a person."""
FAR = 8.0
"""Largest factor between a side of an image and the split's median side."""

_KINDS = {  # severity and consequence
    "several frames": ("warning", "hold several frames, of which the first alone is read"),
    "16-bit": ("note", "have more than 8 bits, scaled to 8 by the range of their values"),
    "palette": ("note", "have a palette, read as RGB"),
    "CMYK": ("note", "are CMYK, read as RGB"),
    "transparent": ("note", "have transparency, read as if they lay on mid grey"),
    "grey": ("note", "are grey, read as RGB"),
}


def content_findings(listings: Sequence[SplitScan], facts: AllFacts) -> Findings:
    """Return the images that cannot be read, or differ from the others, by the facts of all."""
    findings = []
    for listing in listings:
        bad = [path for path in listing.paths if facts[path].problem]
        reasons = Counter(facts[path].problem for path in bad)
        for most, _ in reasons.most_common(1):
            reason = f"such as ({most})" if len(reasons) > 1 else f"({most})"
            what = f"images cannot be read, {reason}"
            findings += _about("error", "unreadable", bad, what, listing.split)
        sound = [path for path in listing.paths if facts[path].width and not facts[path].problem]
        findings += _sizes(listing.split, sound, facts)
    paths = sorted({path for listing in listings for path in listing.paths})
    for kind, (severity, what) in _KINDS.items():
        rare = [path for path in paths if kind in facts[path].kinds]
        findings += _about(severity, kind, rare, f"of {len(paths)} images {what}")
    return findings


def median_size(paths: Sequence[str], facts: AllFacts) -> tuple[int, int]:
    """Return the median (width, height) of images in pixels, (0, 0) where no size is known."""
    sizes = [(facts[path].width, facts[path].height) for path in paths if facts[path].width]
    return (int(median(w for w, _ in sizes)), int(median(h for _, h in sizes))) if sizes else (0, 0)


def _sizes(split: str, paths: list[str], facts: AllFacts) -> Findings:
    """Return the images with a size that no crop of a person has among these."""
    width, height = median_size(paths, facts)
    odd: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        w, h = facts[path].width, facts[path].height
        near = width / FAR <= w <= width * FAR and height / FAR <= h <= height * FAR
        if min(w, h) < SMALLEST:
            odd[f"have a side below {SMALLEST} pixels"].append(path)
        elif max(w, h) > LARGEST:
            odd[f"have a side above {LARGEST} pixels"].append(path)
        elif not near:
            usual = f"than most, which are about {width} x {height}"
            odd[f"are {FAR:.0f} times larger or smaller {usual}"].append(path)
    findings = []
    for what, those in odd.items():
        findings += _about("warning", "size", those, f"images {what}", split)
    return findings


# Counts per split, compared with the published counts.


@dataclass(frozen=True)
class SplitCounts:
    """Row of the table: a split's images, identities (no distractors), cameras and median size.

    Cameras and sizes are 0 where unknown, published numbers None. For the hash see
    :func:`list_hash`.
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


def count_split(
    listing: SplitScan, facts: AllFacts, layout: Layout, *, has_cameras: bool
) -> SplitCounts:
    """Count one split; ``has_cameras`` tells whether the data contain the cameras of images."""
    published = layout.published.get(listing.split)
    width, height = median_size(listing.paths, facts)
    return SplitCounts(
        split=listing.split,
        images=len(listing.items),
        identities=len({pid for _, pid, _ in listing.items} - set(layout.distractor_pids)),
        cameras=len({camid for _, _, camid in listing.items}) if has_cameras else 0,
        published_images=published.images if published else None,
        published_identities=published.identities if published else None,
        list_sha256=list_hash(listing.paths),
        width=width,
        height=height,
    )


def count_findings(rows: Sequence[SplitCounts], cameras: int, layout: Layout) -> Findings:
    """Return the differences of all splits from the counts of a complete copy.

    ``cameras`` counts those of all splits together; 0 where the data contain none.
    """
    findings = []
    for row in rows:
        wrong = [
            f"{number:,} {what} instead of {published:,}"
            for what, number, published in (
                ("images", row.images, row.published_images),
                ("identities", row.identities, row.published_identities),
            )
            if published is not None and number != published
        ]
        if wrong and row.images:
            sentence = (
                f"{row.split}: {' and '.join(wrong)}: not the published data set, so that its "
                "figures compare with nobody's"
            )
            findings.append(Finding("error", "count", sentence))
        elif layout.lists.get(row.split, row.list_sha256) != row.list_sha256 and row.images:
            sentence = (
                f"{row.split}: as many images as published, but other file names (list hash "
                f"{row.list_sha256[:12]} instead of {layout.lists[row.split][:12]})"
            )
            findings.append(Finding("error", "list", sentence))
    if cameras and layout.cameras and cameras != layout.cameras:
        sentence = f"{cameras} cameras instead of {layout.cameras}"
        findings.append(Finding("warning", "cameras", sentence))
    return findings


# Repeated pictures: in query and gallery, in train and test, under two identities.
#
# Copies have the same bytes. Look-alikes (re-encoded, resized) have similar perceptual hashes and
# mean colours, as two different pictures may have: a warning at most.

Twins = Callable[[Item], Sequence[Item]]


def leak_findings(listings: Sequence[SplitScan], facts: AllFacts) -> Findings:
    """Return the pictures that stand in the data set more than once; one listing per split."""
    sound = {}
    for one in listings:
        sound[one.split] = [item for item in one.items if not facts[item[0]].problem]
    train, query, gallery = (sound.get(split, []) for split in ("train", "query", "gallery"))
    findings = []
    for split, items in sound.items():
        findings += _within(split, items, facts)
    findings += _query_in_gallery(query, gallery, facts)
    test = query + gallery
    copies = _pairs(train, _by_content(test, facts))
    what = "training images are query or gallery images, too: a leak"
    findings += _about("error", "leak", copies, what)
    alike = _pairs(train, _by_look(train, test, facts))
    what = "training images look like query or gallery images"
    return findings + _about("warning", "look-alike", alike, what)


def _within(split: str, items: list[Item], facts: AllFacts) -> Findings:
    """Return the images of one split that are copies of another image of the split."""
    first: dict[str, Item] = {}
    copies: list[tuple[str, ...]] = []
    contradictions: list[tuple[str, ...]] = []
    for item in items:
        known = first.setdefault(facts[item[0]].sha256, item)
        if known[0] != item[0]:
            (copies if known[1] == item[1] else contradictions).append((known[0], item[0]))
    what = "images are there under two identities"
    findings = _about("warning", "two identities", contradictions, what, split)
    what = "images are copies of another one of their identity"
    return findings + _about("warning", "copies", copies, what, split)


def _query_in_gallery(query: list[Item], gallery: list[Item], facts: AllFacts) -> Findings:
    """Return the queries that are gallery images; the rule of cameras removes some of them."""
    twins = _by_content(gallery, facts)
    left = _pairs(query, twins, same_view=False)
    what = "queries are gallery images, too, under another identity or camera, where no rule "
    findings = _about("error", "leak", left, what + "removes them: a leak")
    removed = _pairs(query, twins, same_view=True)
    what = (
        f"of {len(query)} queries ({len(removed) / max(1, len(query)):.1%}) are gallery images, "
        "too: harmless while images of the query's identity and camera are removed from its "
        "ranking, a leak in a search or a benchmark that removes none"
    )
    findings += _about("note", "query in gallery", removed, what)
    alike = _pairs(query, _by_look(query, gallery, facts), same_view=False)
    what = "queries look like gallery images of another identity or camera"
    return findings + _about("warning", "look-alike", alike, what)


def _pairs(left: list[Item], twins: Twins, same_view: bool | None = None) -> list[tuple[str, str]]:
    """Pair each path with the first twin of any, of another, or of the same identity and camera."""
    pairs = []
    for item in left:
        paths = [twin[0] for twin in twins(item) if same_view in (None, twin[1:] == item[1:])]
        pairs += [(item[0], path) for path in paths[:1]]
    return pairs


def _by_content(right: list[Item], facts: AllFacts) -> Twins:
    """Return a function from an image to the images of ``right`` with the same bytes."""
    by_hash: dict[str, dict[tuple[int, int], Item]] = defaultdict(dict)
    for item in right:  # one per identity and camera is enough
        by_hash[facts[item[0]].sha256].setdefault(item[1:], item)
    lists = {sha256: list(items.values()) for sha256, items in by_hash.items()}
    return lambda item: lists.get(facts[item[0]].sha256, [])


def _by_look(left: list[Item], right: list[Item], facts: AllFacts) -> Twins:
    """Return a function from an image of ``left`` to its look-alikes in ``right``; no copies."""
    own, others = (sorted({facts[item[0]].look or 0 for item in items}) for items in (left, right))
    near: dict[int, list[int]] = defaultdict(list)
    for one, other in near_pairs(own, others, max_distance=NEAR).tolist():
        near[own[one]].append(others[other])
    with_look: dict[int, list[Item]] = defaultdict(list)
    for item in right:
        with_look[facts[item[0]].look or 0].append(item)
    copies = _by_content(right, facts)

    def twins(item: Item) -> list[Item]:
        if copies(item):
            return []
        picture = facts[item[0]]
        colors = bytes.fromhex(picture.colors)
        return [
            twin
            for look in near[picture.look or 0]
            for twin in with_look[look]
            if color_distance(colors, bytes.fromhex(facts[twin[0]].colors)) <= NEAR_COLORS
        ]

    return twins
