"""How much room words take on a sheet; all lengths in pixels."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

MARGIN = 24
BODY_LINE = 19
TITLE_SIZE, TITLE_LINE = 20, 27
_LETTER, _BOLD_LETTER = 0.57, 0.66  # mean width over size in DejaVu Sans, on the safe side


def wrap(text: str, width: float, size: float = 14) -> list[str]:
    """Break a text into lines that fit ``width`` pixels at a letter size of ``size``."""
    return textwrap.wrap(text, max(12, int(width / (size * _LETTER))))


def shorten(text: str, width: float, size: float = 14) -> str:
    """Cut a text to what fits ``width`` pixels in bold letters, with an ellipsis where cut."""
    letters = max(4, int(width / (size * _BOLD_LETTER)))
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"


@dataclass(frozen=True)
class Heading:
    """Title and explanation of a sheet, broken into lines that fit its width."""

    title: list[str]
    explanation: list[str]

    @classmethod
    def fit(cls, title: str, explanation: str, width: int) -> Heading:
        """Break both for a sheet of ``width`` pixels."""
        room = width - 2 * MARGIN
        title_lines = wrap(title, room * _LETTER / _BOLD_LETTER, TITLE_SIZE)
        return cls(title_lines, wrap(explanation, room))

    @property
    def height(self) -> int:
        """Return the rows it takes, upper margin included."""
        return MARGIN + TITLE_LINE * len(self.title) + 8 + BODY_LINE * len(self.explanation)
