"""The fields of a protocol card: which must agree and why, and which kind of value each takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_SPLIT = {
    "images": "other images were ranked",
    "identities": "other people, or file names read otherwise",
    "cameras": "other cameras, or file names read otherwise",
    "list_sha256": "other file names were ranked",
}
COMPARED: Mapping[str, str] = {
    "dataset": "another test set",
    **{f"query.{name}": why for name, why in _SPLIT.items()},
    **{f"gallery.{name}": why for name, why in _SPLIT.items()},
    "camera_rule": "which easy matches are left out",
    "same_camera_pairs": "cameras read otherwise, so that other easy matches are left out",
    "query_in_gallery": "a query that finds its own copy is no retrieval",
    "input_size": "larger images show more",
    "distance": "descriptors are ranked otherwise",
    "flip": "a second look at every image",
    "rerank": "uses all queries and the gallery at once",
    "query_expansion": "uses the gallery to improve a query",
    "side_information": "one is told more at test time",
    "training_sets": "learnt from other images",
    "supervision": "learnt from the tested set's own training images, or not",
    "combineall": "learnt from test images, or not",
    "epoch_choice": "the best epoch by the reported numbers flatters them",
}
"""Every field that two results must share to compare, and why."""

NOT_COMPARED = ("epoch", "seed", "versions", "commit")

Check = Callable[[Any], bool]


def check_fields(values: Mapping[str, Any], split: type) -> None:
    """Refuse a card's values if one is not of its field's kind; None is always taken.

    Args:
        values: by field; those of a split are of the class ``split``.
        split: class that describes queries or gallery.

    Raises:
        ValueError: The field, what it takes, what it got.
    """
    for name, value in values.items():
        if name in ("query", "gallery"):
            if not isinstance(value, split):
                raise ValueError(f"{name}: expected counts and a list hash, got {value!r:.60}")
            for inner, count in vars(value).items():
                _check(f"{name}.{inner}", inner, count)
        else:
            _check(name, name, value)


def _check(label: str, name: str, value: Any) -> None:
    check, words = _KINDS.get(name, _TEXT)
    if value is not None and not check(value):
        raise ValueError(f"{label}: expected {words}, or null for not known, got {value!r:.60}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value))


def _is_versions(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, (*value, *value.values())))


_TEXT: tuple[Check, str] = (_is_text, "words")
_WHOLE: tuple[Check, str] = (_is_whole, "a whole number of 0 or more")
_SWITCH: tuple[Check, str] = (lambda value: isinstance(value, bool), "true or false")
_KINDS: Mapping[str, tuple[Check, str]] = {
    **dict.fromkeys(("images", "identities", "cameras", "epoch", "seed"), _WHOLE),
    **dict.fromkeys(("same_camera_pairs", "query_in_gallery"), _WHOLE),
    **dict.fromkeys(("flip", "combineall"), _SWITCH),
    "list_sha256": (
        lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)),
        "a sha256, 64 hexadecimal digits",
    ),
    "input_size": (_is_size, "[height, width] in pixels"),
    "training_sets": (
        lambda value: isinstance(value, tuple) and all(map(_is_text, value)),
        "a list of names",
    ),
    "supervision": (lambda value: value in ("supervised", "transfer"), "supervised or transfer"),
    "versions": (_is_versions, "an object of names and versions"),
}
