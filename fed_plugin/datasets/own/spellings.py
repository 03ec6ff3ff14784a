"""What the parts of a divided data set are called in the wild, and what they are used for."""

from __future__ import annotations

from collections.abc import Collection

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
