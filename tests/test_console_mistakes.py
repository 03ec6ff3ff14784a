"""What a command says when a rank that it started fails."""

from __future__ import annotations

import pytest
from torch.multiprocessing import ProcessRaisedException

from fed_plugin.console import one_sentence_for_mistakes

TRACEBACK = (
    "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n"
    '  File "a.py", line 1, in main\n    build()\n{}\n'
)


def raised_in_a_rank(last: str) -> ProcessRaisedException:
    return ProcessRaisedException(TRACEBACK.format(last), 1, 1)


def test_a_mistake_in_a_spawned_rank_is_one_sentence(capsys):
    with one_sentence_for_mistakes() as outcome:
        raise raised_in_a_rank("FileNotFoundError: nope: not there; try another")
    error = capsys.readouterr().err
    assert outcome.status == 1 and "Traceback" not in error
    assert error.startswith("error: nope: not there; try another\n")


def test_several_mistakes_in_a_spawned_rank_are_a_list(capsys):
    from fed_plugin.fastreid_adapter.config import SeveralFaultsError

    name = f"{SeveralFaultsError.__module__}.{SeveralFaultsError.__name__}"
    with one_sentence_for_mistakes() as outcome:
        raise raised_in_a_rank(f"{name}: {SeveralFaultsError([ValueError('a'), KeyError('b')])}")
    error = capsys.readouterr().err
    assert outcome.status == 1 and error.startswith("error: 2 faults:\n  - a\n  - b\n")


def test_a_bug_in_a_spawned_rank_keeps_its_traceback():
    with pytest.raises(ProcessRaisedException), one_sentence_for_mistakes():
        raise raised_in_a_rank("TypeError: unsupported operand")


def test_the_death_of_a_rank_is_one_sentence_that_says_how_to_go_on(capsys):
    from torch.multiprocessing import ProcessExitedException

    with one_sentence_for_mistakes() as outcome:
        raise ProcessExitedException(
            "process 1 terminated with signal SIGKILL", error_index=1, error_pid=4, exit_code=-9
        )
    said = capsys.readouterr().err
    assert outcome.status == 1
    assert said.startswith(
        "error: rank 1 terminated with signal SIGKILL, and the others were ended"
    )
    assert "`--resume` goes on" in said
