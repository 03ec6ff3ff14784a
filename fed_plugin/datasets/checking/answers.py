"""Can it be trained and evaluated: identities to tell apart, right answers to find."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

from fed_plugin.datasets.checking.findings import Finding, Listing, one_each


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
