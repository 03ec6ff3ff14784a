"""One sentence and exit status 1 for what a user can get wrong; a traceback for our own bugs."""

from __future__ import annotations

import builtins
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

DEBUG = "FED_PLUGIN_DEBUG"
"""Environment variable that brings tracebacks back."""

MISTAKES = (ValueError, KeyError, OSError, RuntimeError, AssertionError, FloatingPointError)
"""What wrong paths, keys, values and files end in, here and in the host; a bare assert is a bug."""


@dataclass
class Outcome:
    """Exit status of a command."""

    status: int = 0


@contextmanager
def one_sentence_for_mistakes(interrupted: str = "") -> Iterator[Outcome]:
    """Turn an input mistake into a line on stderr and status 1, Ctrl-C into status 130.

    Args:
        interrupted: what Ctrl-C leaves behind, and how to go on.
    """
    outcome = Outcome()
    try:
        yield outcome
    except KeyboardInterrupt:
        outcome.status = 130
        print("\n" + "; ".join(filter(None, ("interrupted", interrupted))), file=sys.stderr)
    except Exception as error:
        if os.environ.get(DEBUG) or not str(error) or not is_mistake(error):
            raise
        outcome.status = 1
        print(f"error: {sentence(error)}", file=sys.stderr)
        print(f"({DEBUG}=1 shows where it was raised)", file=sys.stderr)


def is_mistake(error: BaseException) -> bool:
    """Tell whether an error is one of ``MISTAKES``, a spawned rank's word of one, or its death."""
    if _is_death_of_a_rank(error):
        return True
    if type(error).__name__ != "ProcessRaisedException":  # torch's, no child of RuntimeError
        return isinstance(error, MISTAKES)
    kind = getattr(builtins, _last_line(str(error).strip()).partition(":")[0], None)
    return isinstance(kind, type) and issubclass(kind, MISTAKES)


def sentence(error: BaseException) -> str:
    """Say what went wrong, without the traceback that a spawned rank's error carries."""
    if _is_death_of_a_rank(error):
        return (
            f"{str(error).replace('process', 'rank', 1)}, and the others were ended (out of "
            "memory, perhaps); `--resume` goes on from the newest checkpoint"
        )
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = str(text).strip()
    if "Traceback (most recent call last)" in text:
        last = _last_line(text)
        text = last.partition(": ")[2] or last
    return text


def _is_death_of_a_rank(error: BaseException) -> bool:
    return type(error).__name__ == "ProcessExitedException"  # torch's


def _last_line(text: str) -> str:
    """Return the end of a traceback from the last line on that is not indented."""
    lines = text.split("\n")
    start = max(i for i, line in enumerate(lines) if line and not line.startswith((" ", "\t")))
    return "\n".join(lines[start:])


class WithoutTraceback(logging.Filter):
    """Shorten the trainer's record of a mistake to one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record; cut the traceback off one about a mistake."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, MISTAKES) and str(error) and not os.environ.get(DEBUG):
            record.msg, record.args = "%s %s", (record.getMessage(), sentence(error))
            record.exc_info = None
        return True
