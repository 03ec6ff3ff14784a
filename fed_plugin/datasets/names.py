"""What a benchmark's file names say: identity and camera, read from the base name alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from fed_plugin.datasets.listing import printable

_MAX_DIGITS = 18  # of an identity or camera: the host stores 64 bits


@dataclass(frozen=True)
class NameRule:
    """Say how the file names of a dataset are built.

    Attributes:
        pattern: matches a whole base name without its last suffix; group ``pid``, and ``camera``
            (counted from 1) where the names tell it.
        example: a name that matches, for messages.
    """

    pattern: re.Pattern[str]
    example: str

    def parse(self, path: str) -> tuple[int, int | None]:
        """Read ``(pid, camid)`` from the base name of ``path``; cameras count from 0.

        Folders are never looked at: ``/data/run2024_7_x/`` is no identity.

        Args:
            path: of an image; need not exist.

        Returns:
            Python ints, as the host's collator turns NumPy's into None. The camera is None where
            the names do not tell it.

        Raises:
            ValueError: The base name does not follow the rule.
        """
        match = self.pattern.fullmatch(os.path.splitext(os.path.basename(path))[0])
        groups = match.groupdict() if match else {}
        camera = groups.get("camera")
        too_long = any(len(number or "") > _MAX_DIGITS for number in groups.values())
        if match is None or too_long or (camera and int(camera) < 1):
            raise ValueError(
                f"{printable(path)}: cannot read an identity"
                f"{' and a camera' if self.tells_camera else ''} from this name: "
                f"expected one like {self.example}; try moving the file elsewhere"
            )
        return int(groups["pid"]), None if camera is None else int(camera) - 1

    @property
    def tells_camera(self) -> bool:
        """Whether the names hold a camera."""
        return "camera" in self.pattern.groupindex


DUKE_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_c(?P<camera>\d+)_f\d+"), "0001_c2_f0046182.jpg")
MARKET_NAMES = NameRule(
    re.compile(r"(?P<pid>-1|\d+)_c(?P<camera>\d+)s\d+_\d+_\d+.*"), "0002_c1s1_000451_03.jpg"
)
NUMBERED_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_\d+"), "001_01.jpg")
# Partial-iLIDS has one image per identity and split; a copy that counts them has the count behind.
ILIDS_NAMES = NameRule(re.compile(r"(?P<pid>\d+)(_\d+)?"), "001.jpg")
# P-DukeMTMC-reID: nothing behind the identity is promised, cameras least of all.
P_DUKE_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_.+"), "0001_c2_f0046182.jpg")
POSETRACK_NAMES = NameRule(
    re.compile(r"(?P<pid>\d+)_[^_]+_[^_]+"), "1024_000342_10003420000.jpg"
)  # person, video, frame
