"""What a case is: something broken in a folder, a command, and how it has to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARKER = "PLANTED_CODE_RAN"
"""File that every planted payload would make in its working directory."""

REFUSED, RUNS, EITHER = "refused", "runs", "either"

Put = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One broken input.

    Attributes:
        name: of its own, with the category in front.
        put: breaks something in a folder that holds the whole material.
        words: behind ``fed-plugin``, run in that folder.
        says: what the sentence has to name; one of them is enough.
        ends: REFUSED, RUNS, or EITHER where chance decides whether anything broke.
        seconds: after which it counts as hanging.
        drawing: whether a drawing of the expected folders may follow the sentence.
    """

    name: str
    put: Put
    words: tuple[str, ...]
    says: tuple[str, ...] = ()
    ends: str = REFUSED
    seconds: float = 90.0
    drawing: bool = False

    @property
    def category(self) -> str:
        """Return the words in front of its name."""
        return self.name.partition(": ")[0]

    @property
    def gives_verdicts(self) -> bool:
        """Whether the command's status 1 is a verdict, with no sentence behind it."""
        words = self.words
        return words[:2] in (("data", "check"), ("cards", "diff")) or (
            words[:3] == ("data", "occluders", "check")
        )

    @property
    def reports(self) -> bool:
        """Whether the command lists broken files in what it prints."""
        return self.gives_verdicts or self.words[:2] == ("data", "occluders")


def nothing(folder: Path) -> None:
    """Break nothing: the words alone are wrong."""


def write(name: str, content: bytes | str) -> Put:
    """Return what writes a file, folders included; it replaces what lies there."""

    def put(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return put


def change(name: str, how: Callable[[bytes], bytes]) -> Put:
    """Return what changes the bytes of a file of the material."""

    def put(folder: Path) -> None:
        path = folder / name
        path.write_bytes(how(path.read_bytes()))

    return put


def both(*puts: Put) -> Put:
    """Return what does one after the other."""

    def put(folder: Path) -> None:
        for one in puts:
            one(folder)

    return put
