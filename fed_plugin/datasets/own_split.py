"""Own data divided into train, query and gallery: as given, or by identity where nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.own.records import Record
from fed_plugin.datasets.own.splitting import SplitRule, identities_to_test, queries_of
from fed_plugin.datasets.own.wording import counted, identities, named


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
