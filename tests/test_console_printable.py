"""No control character of a file, method or data set reaches a terminal or a log."""

from __future__ import annotations

import errno
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fed_plugin.console import (
    PrintableStream,
    ProgressLine,
    make_logs_printable,
    one_sentence_for_mistakes,
    printable,
    printable_output,
)
from fed_plugin.retrieval.estimates import Column, as_text

EVIL = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202eb\rc\udce9"
SPELLED = "a\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202eb\\rc\\udce9"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_one_function_spells_control_characters_out():
    assert printable(EVIL) == SPELLED
    assert printable("ein Bär\n\t人") == "ein Bär\\n\\t人"
    assert printable("a\n\tb", "\n\t") == "a\n\tb"


def test_what_is_printed_is_printable(capsys):
    with printable_output():
        print(EVIL, "two\nlines")
        sys.stdout.writelines([EVIL])
        with one_sentence_for_mistakes() as outcome:
            raise ValueError(f"{EVIL}: expected a photo")
    out, err = capsys.readouterr()
    assert out == f"{SPELLED} two\nlines\n{SPELLED}"
    assert outcome.status == 1 and err.startswith(f"error: {SPELLED}: expected a photo\n")


def test_a_terminal_of_another_encoding_raises_nothing():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    PrintableStream(stream).write("ä")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xe4"


def test_tables_and_progress_are_printable(monkeypatch):
    column = Column("method", "method", lambda row: row)
    assert f"{SPELLED}\\n" in as_text([column], [f"{EVIL}\n"])
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with printable_output(), ProgressLine(f"checking {EVIL}\n") as progress:
        progress(1, 2, EVIL)
    drawn = terminal.getvalue()
    assert SPELLED in drawn and not set("\x07\x9b\u202e") & set(drawn) and "\x1b[2J" not in drawn


@pytest.mark.parametrize("name", ["fastreid.engine", "fed_plugin.search", "fastreid"])
def test_records_of_logs_are_printable(name):
    make_logs_printable()
    logger, stream = logging.getLogger(name), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("\x1b[32m%(levelname)s\x1b[0m %(message)s"))
    logger.addHandler(handler)
    try:
        logger.error("read %s: \x1b[36mtable\x1b[0m", EVIL)
        try:
            raise OSError(EVIL)
        except OSError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    first, *rest = stream.getvalue().splitlines()
    assert first == f"\x1b[32mERROR\x1b[0m read {SPELLED}: table"
    assert rest[-1] == f"OSError: {SPELLED}"


def test_other_loggers_are_left_alone():
    make_logs_printable()
    record = logging.getLogger("somebody").makeRecord("somebody", 20, "f", 1, "\x1b", (), None)
    assert record.getMessage() == "\x1b"


def run(tmp_path, *words, **more):
    command = [sys.executable, "-m", "fed_plugin", *words]
    return subprocess.run(command, cwd=tmp_path, env={**ENVIRONMENT, **more}, capture_output=True)


def test_commands_show_no_control_characters_of_names(tmp_path):
    name = os.fsencode("x\x1b]0;owned\x07.jpg")
    (tmp_path / "set").mkdir()
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "set"), name))).write_bytes(b"no photo")
    for words in (
        ("data", "check", "set"),
        ("data", "check", os.fsdecode(name)),
        ("evaluate", os.fsdecode(name)),
        ("cards", "show", os.fsdecode(name)),
        ("train", "--config-file", os.fsdecode(name)),
        ("data", "synth", "--out", "a", "--size", os.fsdecode(name)),
    ):
        ended = run(tmp_path, *words)
        shown = ended.stdout + ended.stderr
        assert ended.returncode and b"\\x1b]0;owned\\x07" in shown, words
        assert not set(b"\x1b\x07") & set(shown), words
    ended = run(tmp_path, "evaluate", os.fsdecode(name), FED_PLUGIN_DEBUG="1")
    assert b"Traceback" in ended.stderr and not set(b"\x1b\x07") & set(ended.stderr)


def test_a_full_standard_output_is_named(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-c", "from fed_plugin.cli import main; raise SystemExit(main())"]
        code = "import sys; sys.argv[1:] = ['data', 'synth', '--size', 'tiny', '--out', 'a']; "
        words[2] = code + words[2]
        environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
        )
    assert ended.returncode == 1
    assert "error: <stdout>: could not be written (No space left on device)" in ended.stderr
    assert "Exception ignored" not in ended.stderr


class FullDisk(io.StringIO):
    name = "run/log.txt"

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_on_a_full_disk_is_named_once(capsys):
    make_logs_printable()
    logger, handler = logging.getLogger("fastreid.full"), logging.StreamHandler(FullDisk())
    logger.addHandler(handler)
    try:
        for number in range(3):
            logger.error("line %d", number)
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err.count("run/log.txt: its lines are lost (No space left") == 1
