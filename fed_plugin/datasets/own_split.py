"""Own data divided into train, query and gallery: as given, or by identity where nothing is."""

from __future__ import annotations

import hashlib
import math
import numbers
import os
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fed_plugin.datasets.listing import printable

# How counts and names are written in sentences that go to a terminal or a log.

_SHOWN = 6  # names in a sentence
_LONGEST = 160  # characters of a name


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 image"`` or ``"1,234 images"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def identities(number: int) -> str:
    """Return ``"1 identity"`` or ``"2 identities"``."""
    return counted(number, "identity", "identities")


def named(names: Sequence[str]) -> str:
    """Name the first few, then say how many more there are."""
    listed = ", ".join(map(shown, names[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{listed} and {more:,} more" if more > 0 else listed


def shown(text: str) -> str:
    """Make a name fit a line of a terminal or a log: printable, and not endless."""
    safe = printable(text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}..."


# One image of somebody's own data, before identities and cameras become numbers.

NOBODY = "-1"
"""Market-1501's mark for a detection that is nobody: such images are passed over."""

_LONGEST_NUMBER = 18  # digits that surely fit the int64 of a batch


@dataclass(frozen=True)
class Record:
    """One image as a folder or a table tells it.

    Attributes:
        path: of the image.
        identity: who it shows, written as :func:`canonical` does.
        camera: which camera took it, likewise; None where that is not told.
        split: ``"train"``, ``"query"``, ``"gallery"``, ``"test"`` (to be divided into queries and
            gallery), or None where no split is given.
    """

    path: str
    identity: str
    camera: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        records: one per image.
        sentences: what was found and how it was read.
        passed_over: paths of the files that are not part of the data, and of empty folders (these
            end in a separator).
    """

    records: list[Record]
    sentences: list[str]
    passed_over: list[str] = field(default_factory=list)


def canonical(name: str) -> str:
    """Write a name the way every platform agrees on.

    Accents are composed (macOS stores them decomposed) and natural numbers lose leading zeros, so
    that ``0001`` and ``1`` are one identity everywhere.
    """
    name = unicodedata.normalize("NFC", name)
    return (name.lstrip("0") or "0") if _is_number(name) else name


def spelled_differently(names: Iterable[str]) -> list[str]:
    """Return a sentence if names that are not the same letters are one identity."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(canonical(name), set()).add(name)
    several = [" = ".join(sorted(found)) for found in spellings.values() if len(found) > 1]
    if not several:
        return []
    return [f"One identity, spelled differently: {named(sorted(several))}."]


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Give each name an int: its own value where all are natural numbers, else its sorted place.

    Args:
        names: canonical; repetitions do not matter.
    """
    different = sorted(set(names))
    if all(_is_number(name) and len(name) <= _LONGEST_NUMBER for name in different):
        return {name: int(name) for name in sorted(different, key=int)}
    return {name: place for place, name in enumerate(different)}


def keep_their_value(numbers: dict[str, int]) -> bool:
    """Say whether :func:`numbered` left every name its own value."""
    return all(name == str(number) for name, number in numbers.items())


def in_order(records: Iterable[Record]) -> list[Record]:
    """Sort by path, the same on every platform."""
    return sorted(records, key=lambda record: record.path.replace(os.sep, "/"))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


# Which identities are tested on and which of their images are queries, decided by hashes.
#
# Nothing is shuffled: each decision hangs on the seed and on the names it is about, so that neither
# the order of files nor the platform matters, and a new identity moves no other.

_KEYS = "DATASETS.FOLDER_REID"


@dataclass(frozen=True)
class SplitRule:
    """Say how data without a split are divided.

    Attributes:
        test_share: share of the identities that are tested on, in (0, 1).
        queries: queries of a test identity in each camera, or in all where there are no cameras.
        seed: chooses another split; 0 or more.

    Raises:
        ValueError: A value is not that, with the config key that sets it.
    """

    test_share: float = 0.5
    queries: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        share = self.test_share
        if not _is(share, numbers.Real) or not math.isfinite(share) or not 0 < share < 1:
            _refuse("TEST_SHARE", share, "a share of the identities, above 0 and below 1", 0.5)
        if not _is(self.queries, numbers.Integral) or self.queries < 1:
            _refuse("QUERIES", self.queries, "a number of images, 1 or more", 1)
        if not _is(self.seed, numbers.Integral) or self.seed < 0:
            _refuse("SPLIT_SEED", self.seed, "a whole number, 0 or more", 0)


def identities_to_test(eligible: Collection[str], everybody: int, rule: SplitRule) -> set[str]:
    """Choose the identities that are tested on; the rest is for training.

    Each is drawn by itself, so that their share is about ``rule.test_share``. Where chance would
    leave one side empty, the identity nearest to that side goes there.

    Args:
        eligible: identities that can be tested on.
        everybody: number of all identities; those not eligible are for training anyway.
        rule: share and seed.
    """
    places = {identity: _draw(rule.seed, "identity", identity) for identity in eligible}
    ascending = sorted(places, key=lambda identity: (places[identity], identity))
    chosen = {identity for identity in ascending if places[identity] < rule.test_share}
    if ascending and not chosen:
        chosen = {ascending[0]}
    if len(chosen) == everybody > 1:
        chosen.remove(ascending[-1])
    return chosen


def queries_of(records: Iterable[Record], rule: SplitRule) -> list[Record]:
    """Choose the queries among one identity's test images; the rest is its gallery.

    Every query keeps a right answer: an image in the gallery, of another camera where there are
    cameras. So an identity with one image, or with one camera of several, has no query.

    Args:
        records: the images of one identity; the camera of all of them is told, or of none.
        rule: number of queries per camera, and seed.
    """

    def place(record: Record) -> float:
        name = canonical(os.path.basename(record.path))
        return _draw(rule.seed, "image", record.identity, name)

    by_camera: dict[str | None, list[Record]] = {}
    for record in sorted(in_order(records), key=place):
        by_camera.setdefault(record.camera, []).append(record)
    left = {camera: len(images) for camera, images in by_camera.items()}
    queries: list[Record] = []
    for camera in sorted(by_camera, key=str):
        for record in by_camera[camera][: rule.queries]:
            left[camera] -= 1
            if all(_answers(left, seen) for seen in {camera, *(q.camera for q in queries)}):
                queries.append(record)
            else:
                left[camera] += 1
    return queries


def _answers(left: dict[str | None, int], camera: str | None) -> int:
    """Count the gallery images that answer a query of ``camera``."""
    return sum(count for other, count in left.items() if camera is None or other != camera)


def _draw(seed: int, *words: str) -> float:
    """Return a number in [0, 1) that hangs on nothing but seed and words."""
    text = "\0".join((str(int(seed)), *words))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # exact in a float


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _refuse(key: str, value: Any, expected: str, default: float) -> None:
    raise ValueError(f"{_KEYS}.{key}={value!r}: expected {expected}; try {default}")


@dataclass
class Division:
    """The three lists, and what is to be said about them.

    Attributes:
        train: training images.
        query: images that are searched for.
        gallery: images that are searched.
        uses_cameras: whether cameras count in the evaluation. Where none are told, or where they
            would leave no right answer to any query, they do not.
        sentences: how the lists came about.
        warnings: what is wrong with them.
    """

    train: list[Record] = field(default_factory=list)
    query: list[Record] = field(default_factory=list)
    gallery: list[Record] = field(default_factory=list)
    uses_cameras: bool = False
    sentences: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def divide(records: list[Record], rule: SplitRule) -> Division:
    """Divide records that all tell a split, or none of which does.

    Args:
        records: at least one, of different images within a split.
        rule: how to divide what is not divided.

    Raises:
        ValueError: No split is given and there is one identity only.
    """
    if records[0].split is None:
        return _by_identity(records, rule)
    divided = Division(
        **{s: [r for r in records if r.split == s] for s in ("train", "query", "gallery")}
    )
    undivided = [record for record in records if record.split == "test"]
    if undivided:
        divided.uses_cameras = _cross(undivided)
        without_query = _divide_test(divided, undivided, rule)
        divided.sentences.append(
            f"Queries: {_rule(rule, divided.uses_cameras)} of a test identity, by a hash of the "
            "file names; the rest is the gallery."
        )
        if without_query:
            what = "one camera" if divided.uses_cameras else "one image"
            divided.sentences.append(
                f"In the gallery only, with {what} each: {identities(len(without_query))}, "
                f"{named(without_query)}."
            )
    else:
        divided.uses_cameras = _told(records)
        _check_given(divided)
    _say_cameras(divided, _told(records))
    _warn_of_leaks(divided)
    return divided


def _by_identity(records: list[Record], rule: SplitRule) -> Division:
    images = _by_identities(records)
    if len(images) == 1:
        raise ValueError(
            f"expected 2 or more identities to train on one and test on another, got 1 "
            f"({named(list(images))}); try a folder of each, or, if file names begin with "
            "identities, the folder that holds the files"
        )
    divided = Division(uses_cameras=_cross(records))
    if divided.uses_cameras:
        what, sizes = "one camera", {who: len({r.camera for r in images[who]}) for who in images}
    else:
        what, sizes = "one image", {who: len(images[who]) for who in images}
    eligible = [who for who, size in sizes.items() if size > 1]
    tested = identities_to_test(eligible, len(images), rule)
    divided.train = [record for record in records if record.identity not in tested]
    _divide_test(divided, [record for record in records if record.identity in tested], rule)
    divided.sentences.append(
        f"Split: none is given, so by identity. {len(tested):,} of {len(images):,} are tested on "
        f"(TEST_SHARE={rule.test_share}, SPLIT_SEED={rule.seed}; by a hash of the name, so that a "
        f"new identity moves no other), with {_rule(rule, divided.uses_cameras)} as queries."
    )
    alone = sorted(images.keys() - set(eligible))
    if alone:
        divided.sentences.append(
            f"For training, with {what} each: {identities(len(alone))}, {named(alone)}."
        )
    if not tested:
        divided.warnings.append(
            "Nothing can be tested on: expected an identity with 2 or more images, got none."
        )
    _say_cameras(divided, _told(records))
    return divided


def _divide_test(divided: Division, test: list[Record], rule: SplitRule) -> list[str]:
    """Add test images to queries and gallery; return the identities without a query."""
    without_query = []
    for identity, images in _by_identities(test).items():
        if not divided.uses_cameras:
            plain = {replace(image, camera=None): image for image in images}
            queries = [plain[image] for image in queries_of(plain, rule)]
        else:
            queries = queries_of(images, rule)
        chosen = {image.path for image in queries}
        divided.query += queries
        divided.gallery += [image for image in images if image.path not in chosen]
        if not queries:
            without_query.append(identity)
    return without_query


def _check_given(divided: Division) -> None:
    """Leave cameras out where they leave no right answer; say which queries have none."""
    if divided.uses_cameras and _same(divided) and not _answered(divided):
        divided.uses_cameras = False
    if not divided.uses_cameras:
        queries = {record.path for record in divided.query}
        kept = [record for record in divided.gallery if record.path not in queries]
        if len(kept) < len(divided.gallery):
            divided.warnings.append(
                f"Taken as queries only: {counted(len(divided.gallery) - len(kept), 'image')} in "
                "query and gallery; without cameras each would find itself."
            )
            divided.gallery = kept
    lost = len(divided.query) - len(_answered(divided))
    if lost:
        answered = {record.path for record in _answered(divided)}
        who = sorted({r.identity for r in divided.query if r.path not in answered})
        other = " of another camera" if divided.uses_cameras else ""
        divided.warnings.append(
            f"Not counted: {counted(lost, 'query', 'queries')} without a right answer{other} in "
            f"the gallery, of {identities(len(who))}, {named(who)}."
        )


def _answered(divided: Division) -> list[Record]:
    """Return the queries that have a right answer."""
    if not divided.uses_cameras:
        return _same(divided)
    cameras: dict[str, set[str | None]] = {}
    for record in divided.gallery:
        cameras.setdefault(record.identity, set()).add(record.camera)
    return [r for r in divided.query if cameras.get(r.identity, set()) - {r.camera}]


def _same(divided: Division) -> list[Record]:
    """Return the queries whose identity the gallery holds."""
    there = {record.identity for record in divided.gallery}
    return [record for record in divided.query if record.identity in there]


def _warn_of_leaks(divided: Division) -> None:
    train, test = divided.train, divided.query + divided.gallery
    both = sorted({r.identity for r in train} & {r.identity for r in test})
    if both:
        divided.warnings.append(
            f"A leak: {identities(len(both))} in training and in testing, {named(both)}; what was "
            "trained on is easier to find."
        )
    images = {r.path for r in train} & {r.path for r in test}
    if images:
        divided.warnings.append(
            f"A leak: {counted(len(images), 'image')} in training and in testing, "
            f"{named(sorted(images))}."
        )


def _say_cameras(divided: Division, told: bool) -> None:
    if divided.uses_cameras or not divided.query + divided.gallery:
        return
    if told:
        divided.warnings.append(
            "No right answer lies in another camera than its query: cameras do not count in the "
            "evaluation."
        )
    divided.sentences.append("Queries get camera 0 and gallery images camera 1.")


def _rule(rule: SplitRule, cameras: bool) -> str:
    return f"{counted(rule.queries, 'image')} per {'camera' if cameras else 'identity'}"


def _told(records: Iterable[Record]) -> bool:
    return all(record.camera is not None for record in records)


def _cross(records: Iterable[Record]) -> bool:
    """Say whether any identity is seen by two cameras."""
    seen: dict[str, str | None] = {}
    return any(seen.setdefault(r.identity, r.camera) != r.camera for r in records)


def _by_identities(records: Iterable[Record]) -> dict[str, list[Record]]:
    images: dict[str, list[Record]] = {}
    for record in records:
        images.setdefault(record.identity, []).append(record)
    return images


# What the parts of a divided data set are called in the wild, and what they are used for.

_SPELLINGS = {
    "train": ("train", "training", "bounding_box_train", "image_train"),
    "query": ("query", "queries", "probe", "image_query"),
    "gallery": ("gallery",),
    "test": ("test", "testing", "bounding_box_test", "image_test"),
    "val": ("val", "valid", "validation"),
}
_PARTS = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
_TESTED = ("gallery", "test", "val")  # what is searched is the first of these that is there

EXPECTED = "train, query and gallery, or train and test"


def part_of(spelling: str) -> str | None:
    """Return the part (train, query, gallery, test, val) that a name means, None if it is none."""
    return _PARTS.get(spelling.strip().lower().replace("-", "_").replace(" ", "_"))


def uses(parts: Collection[str]) -> dict[str, str | None]:
    """Say what each part is used for.

    Args:
        parts: those that are there.

    Returns:
        Per part ``"train"``, ``"query"``, ``"gallery"``, ``"test"`` (to be divided into queries and
        gallery, where no queries are given) or None: a second test set, which is passed over.

    Raises:
        ValueError: There are queries and nothing to search.
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
