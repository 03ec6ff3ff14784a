"""A set of query images, each covered by its own obstacles and people, from every side.

Shape shorthand: ``V`` queries of ``H`` x ``W`` pixels.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from fed_plugin.transforms.occluders import OccluderSet
from fed_plugin.transforms.people import PeopleSet
from fed_plugin.transforms.side_occlusion import (
    SIDES,
    Pixels,
    cover_side,
    cover_side_with_person,
    crops_for_side,
    draw_by_name,
)

OBJECTS, PEOPLE = "objects", "people"
KINDS = (OBJECTS, PEOPLE)


def choose_people(
    names: Sequence[str], pids: Sequence[Hashable], people: PeopleSet, seed: int
) -> dict[str, list[str]]:
    """Choose somebody else to stand before every query, one for each side.

    Args:
        names: V file names.
        pids: V identities, all of them among the people.
        people: who may stand there.
        seed: chooses others.

    Returns:
        V files by side, none of the query's identity.
    """
    return {
        side: [
            people.path(people.other_than(pid, draw_by_name(seed, PEOPLE, side, name)))
            for name, pid in zip(names, pids, strict=True)
        ]
        for side in SIDES
    }


class CoveredQueries:
    """Cover queries; a query meets one obstacle and one person a side, growing with the share.

    Args:
        images: (V, H, W, 3) uint8 RGB, as the model gets them; not modified.
        names: V file names, which choose the obstacles.
        occluders: obstacles to choose from; transparency is ignored.
        people: by side, V images of other people; empty if none are asked for.
        seed: chooses other obstacles.
    """

    def __init__(
        self,
        images: Pixels,
        names: Sequence[str],
        occluders: OccluderSet,
        people: Mapping[str, Sequence[Pixels]],
        seed: int,
    ) -> None:
        self.images = images
        self._crops: dict[tuple[str, str], Sequence[Pixels]] = {
            (PEOPLE, side): crops for side, crops in people.items()
        }
        for side in SIDES:
            suiting = crops_for_side(occluders.sizes, side)
            draws = [draw_by_name(seed, OBJECTS, side, name) for name in names]
            self._crops[OBJECTS, side] = [
                occluders[suiting[int(draw * len(suiting))]] for draw in draws
            ]

    def __len__(self) -> int:
        return len(self.images)

    def cover(self, kind: str, side: str, visible_share: float, rows: range) -> Pixels:
        """Cover some of the queries from one side.

        Args:
            kind: one of ``KINDS``.
            side: one of ``SIDES``.
            visible_share: of every image's area, in (0, 1].
            rows: which queries.

        Returns:
            (len(rows), H, W, 3) uint8.
        """
        paste = cover_side if kind == OBJECTS else cover_side_with_person
        crops = self._crops[kind, side]
        return np.stack([paste(self.images[v], crops[v], side, visible_share) for v in rows])
