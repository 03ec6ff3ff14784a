"""What a list of ranked images says on a protocol card."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from fed_plugin.retrieval.protocol_card import SplitCard

Item = tuple[str, Any, Any]
"""Path or file name, identity, camera."""


def describe_lists(query: Sequence[Item], gallery: Sequence[Item]) -> dict[str, Any]:
    """Return the fields of a card that follow from the images that were ranked.

    Args:
        query: every query as the evaluation got it, a feature dump's rows for example.
        gallery: likewise.
    """
    galleries = {os.path.basename(path) for path, _, _ in gallery}
    same = Counter((pid, camid) for _, pid, camid in gallery)
    return {
        "query": _describe_split(query),
        "gallery": _describe_split(gallery),
        "same_camera_pairs": sum(same[pid, camid] for _, pid, camid in query),
        "query_in_gallery": sum(os.path.basename(path) in galleries for path, _, _ in query),
    }


def list_hash(paths: Iterable[str]) -> str:
    """Return the sha256 of a file list, the same for every copy of a data set.

    It is that of all base names as UTF-8, sorted by their bytes, a newline after each, and what
    ``data check`` prints; in a shell: ``ls -U query | LC_ALL=C sort | sha256sum``.
    """
    names = sorted(os.fsencode(os.path.basename(path)) for path in paths)
    return hashlib.sha256(b"".join(name + b"\n" for name in names)).hexdigest()


def _describe_split(items: Sequence[Item]) -> SplitCard:
    return SplitCard(
        images=len(items),
        identities=len({pid for _, pid, _ in items}),
        cameras=len({camid for _, _, camid in items}),
        list_sha256=list_hash(path for path, _, _ in items),
    )
