"""The benchmarks by name: a root folder in, lists of (path, pid, camid) out.

All raise ``FileNotFoundError`` with the expected and the found tree where something is missing, and
``ValueError`` for a file whose name does not parse.
"""

from __future__ import annotations

from fed_plugin.datasets.layouts import (
    OCCLUDED_DUKE,
    OCCLUDED_POSETRACK,
    OCCLUDED_REID,
    P_DUKEMTMC,
    PARTIAL_ILIDS,
    PARTIAL_REID,
    SYNTHOCC,
    Splits,
    read_splits,
)


def occluded_duke(root: str) -> Splits:
    """List Occluded-Duke: 15,618 / 2,210 / 17,661 images, 8 cameras, its own training split.

    84.6 % of its query files are gallery files too; only the rule that takes images of the query's
    identity and camera out of its ranking keeps that harmless.

    Args:
        root: folder that holds ``Occluded_Duke/`` or another spelling of it.
    """
    return read_splits(OCCLUDED_DUKE, root)


def p_dukemtmc(root: str) -> Splits:
    """List P-DukeMTMC-reID: 12,927 / 2,163 occluded / 9,053 whole images.

    Its training split is the occluded and the whole images of ``train`` together. It has no
    cameras: queries get camera 0 and gallery images camera 1. Numbers of a model trained on its
    training split (supervised) and of one trained on Market-1501 (transfer) do not compare.

    Args:
        root: folder that holds ``P-DukeMTMC-reID/`` or another spelling of it.
    """
    return read_splits(P_DUKEMTMC, root)


def occluded_reid(root: str) -> Splits:
    """List Occluded-REID: 1,000 occluded queries, 1,000 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Occluded_REID/`` (nested) or ``OccludedREID/`` (flat).
    """
    return read_splits(OCCLUDED_REID, root)


def partial_reid(root: str, queries: str = PARTIAL_REID.query_sets[0]) -> Splits:
    """List Partial-REID: 300 queries, 300 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Partial_REID/`` or another spelling of it.
        queries: ``"partial_body_images"``, cropped to what is visible, or
            ``"occluded_body_images"``, with the obstacle. Numbers of the two do not compare.

    Raises:
        ValueError: ``queries`` is neither of the two.
    """
    return read_splits(PARTIAL_REID.with_queries(queries), root)


def partial_ilids(root: str) -> Splits:
    """List Partial-iLIDS: 119 partial queries, 119 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Partial_iLIDS/`` or ``PartialiLIDS/``.
    """
    return read_splits(PARTIAL_ILIDS, root)


def occluded_posetrack(root: str) -> Splits:
    """List Occluded-PoseTrack-ReID: crops of PoseTrack21 that its published lists name.

    The queries are the fifth of a person's crops in which others cover most of it. Nothing is
    removed from the gallery, videos are no cameras: queries get camera 0, gallery images camera 1.

    Args:
        root: folder that holds ``PoseTrack21/``, with the crops cut (``posetrack_crops``).
    """
    return read_splits(OCCLUDED_POSETRACK, root)


def synthocc(root: str) -> Splits:
    """List SynthOcc, the drawn benchmark, in Market-1501's folders.

    Args:
        root: folder that holds ``SynthOcc/``.
    """
    return read_splits(SYNTHOCC, root)
