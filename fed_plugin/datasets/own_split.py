"""Division of own data into train, query and gallery: as given, or else by identity."""

from __future__ import annotations

import hashlib
import numbers
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fed_plugin.datasets.listing import printable
from fed_plugin.identities import canonical

# Counts and names in sentences for a terminal or a log.

_NAMES = 6  # in a sentence
_LONGEST = 160  # characters of a name


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 image"`` or ``"1,234 images"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def identities(number: int) -> str:
    """Return ``"1 identity"`` or ``"2 identities"``."""
    return counted(number, "identity", "identities")


def first_names(names: Sequence[str]) -> str:
    """Return the first few names and the number of the others."""
    listed = ", ".join(map(short, names[:_NAMES]))
    more = len(names) - _NAMES
    return f"{listed} and {more:,} more" if more > 0 else listed


def short(text: str) -> str:
    """Return a name that fits a line: printable, and cut if it is very long."""
    safe = printable(text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}..."


# One image of own data, before identities and cameras become numbers.

_LONGEST_NUMBER = 18  # digits that surely fit the int64 of a batch


@dataclass(frozen=True)
class Record:
    """One image of a folder or a table.

    Identity and camera are names in the form of :func:`canonical`. ``split`` is ``"train"``,
    ``"query"``, ``"gallery"`` or ``"test"`` (to be divided into queries and gallery). Camera and
    split are None where none is given.
    """

    path: str
    identity: str
    camera: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class OwnFiles:
    """Content of a folder or a table: a record per image, and sentences on the form of the data.

    ``passed_over`` are paths of files that are no part of the data, and of empty folders (these end
    in a separator).
    """

    records: list[Record]
    sentences: list[str]
    passed_over: list[str] = field(default_factory=list)


def spelled_differently(names: Iterable[str]) -> list[str]:
    """Return a sentence if several spellings are one identity."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in names:
        spellings[canonical(name)].add(name)
    several = [" = ".join(sorted(group)) for group in spellings.values() if len(group) > 1]
    sentence = f"One identity, spelled differently: {first_names(sorted(several))}."
    return [sentence] if several else []


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Give each canonical name an int: its value if all are natural numbers, else its place."""
    different = sorted(set(names))
    if all(re.fullmatch(f"[0-9]{{1,{_LONGEST_NUMBER}}}", name) for name in different):
        return {name: int(name) for name in sorted(different, key=int)}
    return {name: place for place, name in enumerate(different)}


def keep_their_value(numbers: Mapping[str, int]) -> bool:
    """Return whether :func:`numbered` gave every name its own value."""
    return all(name == str(number) for name, number in numbers.items())


def in_order(records: Iterable[Record]) -> list[Record]:
    """Sort by path, the same on every platform."""
    return sorted(records, key=lambda record: record.path.replace(os.sep, "/"))


def by_identity(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each identity."""
    images: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        images[record.identity].append(record)
    return dict(images)


# Names of the parts of a divided data set, and the use of each part.

_SPELLINGS = {
    "train": ("train", "training", "bounding_box_train", "image_train"),
    "query": ("query", "queries", "probe", "image_query"),
    "gallery": ("gallery",),
    "test": ("test", "testing", "bounding_box_test", "image_test"),
    "val": ("val", "valid", "validation"),
}
_PARTS = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
_TESTED = ("gallery", "test", "val")  # the first existing one of these is searched

EXPECTED = "train, query and gallery, or train and test"


def part_of(spelling: str) -> str | None:
    """Return the part (train, query, gallery, test, val) of a name; None for other names."""
    return _PARTS.get(spelling.strip().lower().replace("-", "_").replace(" ", "_"))


def uses(parts: Collection[str]) -> dict[str, str | None]:
    """Return the use of each existing part.

    Returns:
        Per part ``"train"``, ``"query"``, ``"gallery"``, ``"test"`` (to be divided into queries and
        gallery, where no queries are given) or None: a second test set, which is passed over.

    Raises:
        ValueError: there are queries and no gallery.
    """
    searched = next((part for part in _TESTED if part in parts), None)
    if "query" in parts and searched is None:
        raise ValueError(
            f"expected {EXPECTED}, got queries without a gallery; try adding gallery or "
            "bounding_box_test"
        )
    use = {part: part for part in ("train", "query") if part in parts}
    if searched:
        use[searched] = "gallery" if "query" in parts else "test"
    return {part: use.get(part) for part in _SPELLINGS if part in parts}


# The choice of test identities and queries, decided by hashes.
#
# Nothing is shuffled: each decision depends on the seed and on its own names alone. Therefore
# neither the order of files nor the platform matters, and a new identity moves no other.


@dataclass(frozen=True)
class SplitRule:
    """Rule for the division of data without a split.

    Attributes:
        test_share: share of the identities that are tested on, in (0, 1).
        queries: queries of a test identity in each camera, or in all where there are no cameras.
        seed: seed of the split; 0 or more.

    Raises:
        ValueError: a value is out of its range; the message names the config key.
    """

    test_share: float = 0.5
    queries: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.test_share, numbers.Real) or not 0 < self.test_share < 1:
            expected = "a share of the identities, above 0 and below 1"
            _refuse("TEST_SHARE", self.test_share, expected, 0.5)
        whole_numbers = (
            ("QUERIES", self.queries, "a number of images, 1 or more", 1),
            ("SPLIT_SEED", self.seed, "a whole number, 0 or more", 0),
        )
        for key, value, expected, least in whole_numbers:
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not whole or value < least:
                _refuse(key, value, expected, least)


def _refuse(key: str, value: Any, expected: str, default: float) -> None:
    raise ValueError(f"DATASETS.FOLDER_REID.{key}={value!r}: expected {expected}; try {default}")


def identities_to_test(eligible: Collection[str], everybody: int, rule: SplitRule) -> set[str]:
    """Choose the identities that are tested on; the other identities are for training.

    Each ``eligible`` identity, one that can be tested on, is drawn by itself. If one side would be
    empty, the identity nearest to that side goes there. ``everybody`` is the number of all.
    """
    places = sorted((_draw(rule.seed, "identity", one), one) for one in eligible)
    chosen = {one for place, one in places if place < rule.test_share}
    if places and not chosen:
        chosen = {places[0][1]}
    if len(chosen) == everybody > 1:
        chosen.remove(places[-1][1])
    return chosen


def queries_of(records: Iterable[Record], rule: SplitRule) -> list[Record]:
    """Choose the queries among one identity's test images; the other images are the gallery.

    Every query keeps a right answer: an image in the gallery, of another camera where there are
    cameras. Therefore an identity with one image, or with one camera of several, has no query.
    Either all images have a camera or none has.
    """

    def place(record: Record) -> float:
        name = canonical(os.path.basename(record.path))
        return _draw(rule.seed, "image", record.identity, name)

    by_camera: dict[str | None, list[Record]] = defaultdict(list)
    for record in sorted(in_order(records), key=place):
        by_camera[record.camera].append(record)
    left = {camera: len(images) for camera, images in by_camera.items()}
    queries: list[Record] = []
    for camera in sorted(by_camera, key=str):
        for record in by_camera[camera][: rule.queries]:
            left[camera] -= 1
            if all(_answers(left, asked) for asked in {camera, *(q.camera for q in queries)}):
                queries.append(record)
            else:
                left[camera] += 1
    return queries


def _answers(left: dict[str | None, int], camera: str | None) -> int:
    return sum(count for other, count in left.items() if camera is None or other != camera)


def _draw(seed: int, *words: str) -> float:
    """Return a number in [0, 1) that depends on seed and words alone."""
    text = "\0".join((str(int(seed)), *words))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # exact in a float


@dataclass
class Division:
    """The three lists, with sentences about them and warnings of their faults.

    ``uses_cameras`` tells whether cameras count in the evaluation. They do not where none are
    given, and where they would leave no right answer to any query.
    """

    train: list[Record] = field(default_factory=list)
    query: list[Record] = field(default_factory=list)
    gallery: list[Record] = field(default_factory=list)
    uses_cameras: bool = False
    sentences: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def lists(self) -> dict[str, list[Record]]:
        """The three lists by split."""
        return {"train": self.train, "query": self.query, "gallery": self.gallery}


def divide(records: list[Record], rule: SplitRule) -> Division:
    """Divide records that all have a split, or all have none (then by the rule).

    There is one record at least, and within a split they are of different images.

    Raises:
        ValueError: no split is given, and there is one identity only.
    """
    has_cameras = all(record.camera is not None for record in records)
    if records[0].split is None:
        divided = _divide_identities(records, rule)
    else:
        divided = _divide_as_given(records, rule, has_cameras)
        _warn_of_leaks(divided)
    if not divided.uses_cameras and divided.query + divided.gallery:
        if has_cameras:
            divided.warnings.append(
                "No right answer lies in another camera than its query: cameras do not count in "
                "the evaluation."
            )
        divided.sentences.append("Queries get camera 0 and gallery images camera 1.")
    return divided


def _divide_as_given(records: list[Record], rule: SplitRule, has_cameras: bool) -> Division:
    train, query, gallery, undivided = (
        [record for record in records if record.split == split]
        for split in ("train", "query", "gallery", "test")
    )
    divided = Division(train, query, gallery)
    if not undivided:
        divided.uses_cameras = has_cameras
        _check_given(divided)
        return divided
    divided.uses_cameras = _cross_cameras(undivided)
    without_query = _divide_test(divided, undivided, rule)
    divided.sentences.append(
        f"Queries: {_per_camera(rule, divided.uses_cameras)} of a test identity, by a hash of the "
        "file names; the rest is the gallery."
    )
    if without_query:
        what = "one camera" if divided.uses_cameras else "one image"
        who = f"{identities(len(without_query))}, {first_names(without_query)}"
        divided.sentences.append(f"In the gallery only, with {what} each: {who}.")
    return divided


def _divide_identities(records: list[Record], rule: SplitRule) -> Division:
    images = by_identity(records)
    if len(images) == 1:
        raise ValueError(
            f"expected 2 or more identities to train on one and test on another, got 1 "
            f"({first_names(list(images))}); try a folder of each, or, if file names begin with "
            "identities, the folder that holds the files"
        )
    divided = Division(uses_cameras=_cross_cameras(records))
    what = "camera" if divided.uses_cameras else "path"
    eligible = [who for who in images if len({getattr(r, what) for r in images[who]}) > 1]
    tested = identities_to_test(eligible, len(images), rule)
    divided.train = [record for record in records if record.identity not in tested]
    _divide_test(divided, [record for record in records if record.identity in tested], rule)
    divided.sentences.append(
        f"Split: none is given, so by identity. {len(tested):,} of {len(images):,} are tested on "
        f"(TEST_SHARE={rule.test_share}, SPLIT_SEED={rule.seed}; by a hash of the name, so that a "
        f"new identity moves no other), with {_per_camera(rule, divided.uses_cameras)} as queries."
    )
    alone = sorted(images.keys() - set(eligible))
    if alone:
        what = "one camera" if divided.uses_cameras else "one image"
        who = f"{identities(len(alone))}, {first_names(alone)}"
        divided.sentences.append(f"For training, with {what} each: {who}.")
    if not tested:
        divided.warnings.append(
            "Nothing can be tested on: expected an identity with 2 or more images, got none."
        )
    return divided


def _divide_test(divided: Division, test: list[Record], rule: SplitRule) -> list[str]:
    """Add test images to queries and gallery; return the identities without a query."""
    without_query = []
    for identity, images in by_identity(test).items():
        seen = images if divided.uses_cameras else [replace(r, camera=None) for r in images]
        chosen = {image.path for image in queries_of(seen, rule)}
        divided.query += [image for image in images if image.path in chosen]
        divided.gallery += [image for image in images if image.path not in chosen]
        if not chosen:
            without_query.append(identity)
    return without_query


def _check_given(divided: Division) -> None:
    """Ignore cameras that leave no right answer; warn of queries without one."""
    if divided.uses_cameras and not _answered(divided):
        divided.uses_cameras = not _answered(replace(divided, uses_cameras=False))
    if not divided.uses_cameras:
        queries = {record.path for record in divided.query}
        kept = [record for record in divided.gallery if record.path not in queries]
        if twice := len(divided.gallery) - len(kept):
            divided.warnings.append(
                f"Taken as queries only: {counted(twice, 'image')} in query and gallery; without "
                "cameras each would find itself."
            )
        divided.gallery = kept
    answered = {record.path for record in _answered(divided)}
    lost = [record for record in divided.query if record.path not in answered]
    if lost:
        who = sorted({record.identity for record in lost})
        other = " of another camera" if divided.uses_cameras else ""
        divided.warnings.append(
            f"Not counted: {counted(len(lost), 'query', 'queries')} without a right answer{other} "
            f"in the gallery, of {identities(len(who))}, {first_names(who)}."
        )


def _answered(divided: Division) -> list[Record]:
    cameras: dict[str, set[str | None]] = defaultdict(set)
    for record in divided.gallery:
        cameras[record.identity].add(record.camera)
    if not divided.uses_cameras:
        return [record for record in divided.query if record.identity in cameras]
    return [r for r in divided.query if cameras.get(r.identity, set()) - {r.camera}]


def _warn_of_leaks(divided: Division) -> None:
    train, test = divided.train, divided.query + divided.gallery
    where = "in training and in testing"
    if both := sorted({r.identity for r in train} & {r.identity for r in test}):
        divided.warnings.append(
            f"A leak: {identities(len(both))} {where}, {first_names(both)}; what was trained on is "
            "easier to find."
        )
    if images := sorted({r.path for r in train} & {r.path for r in test}):
        what = counted(len(images), "image")
        divided.warnings.append(f"A leak: {what} {where}, {first_names(images)}.")


def _per_camera(rule: SplitRule, cameras: bool) -> str:
    return f"{counted(rule.queries, 'image')} per {'camera' if cameras else 'identity'}"


def _cross_cameras(records: Iterable[Record]) -> bool:
    first: dict[str, str | None] = {}
    return any(first.setdefault(r.identity, r.camera) != r.camera for r in records)
