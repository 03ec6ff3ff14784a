"""Pictures that are there twice: in query and gallery, in train and test, under two identities.

Copies are found by their bytes. Pictures that look alike (re-encoded, resized) are found by their
perceptual hashes and mean colours, which two different pictures may share: a warning at most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from fed_plugin.datasets.checking.findings import Finding, Listing
from fed_plugin.datasets.checking.inspection import Facts
from fed_plugin.datasets.fingerprints import NEAR, NEAR_COLORS, color_distance, near_pairs
from fed_plugin.datasets.splits import Item

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
