from __future__ import annotations

import functools
import os
import sqlite3

import pytest

from fed_plugin.datasets import image_facts as cache_module
from fed_plugin.datasets.image_facts import Facts, FactsCache, default_cache, stamp_of

FACTS = Facts("ab", 7, "0f", 32, 64, ("palette",))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"some bytes")
    return str(path)


@pytest.fixture
def cache(tmp_path):
    found = FactsCache(tmp_path / "new" / "cache.sqlite")
    yield found
    found.close()


def known(cache, path, *, decoded=True):
    return cache.recall({path: stamp_of(path)}, decoded=decoded)


def test_facts_are_recalled_by_another_process(cache, image):
    cache.keep([(image, stamp_of(image), FACTS)])
    cache.close()
    again = FactsCache(cache.file)
    assert known(again, image) == {image: FACTS} and again.warnings == []
    again.close()


def test_a_cache_that_is_only_asked_leaves_no_file(cache, image):
    assert known(cache, image) == {} and not cache.file.parent.exists()


@pytest.mark.parametrize("change", ["content", "size", "time", "inode"])
def test_a_changed_file_is_another_file(cache, image, change):
    cache.keep([(image, stamp_of(image), FACTS)])
    before = os.stat(image)
    if change == "content":
        with open(image, "r+b") as file:
            file.write(b"SOME")
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "size":
        with open(image, "ab") as file:
            file.write(b"!")
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        other = f"{image}.new"
        with open(other, "wb") as file:
            file.write(b"some bytes")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(other, image)
    assert known(cache, image) == {}


def test_facts_without_decoding_do_for_nobody_who_wants_pixels(cache, image):
    facts = Facts("ab", None, "", 32, 64, decoded=False)
    cache.keep([(image, stamp_of(image), facts)])
    assert known(cache, image, decoded=False) == {image: facts}
    assert known(cache, image, decoded=True) == {}


def test_relative_and_absolute_paths_are_one_file(cache, image, monkeypatch, tmp_path):
    cache.keep([(image, stamp_of(image), FACTS)])
    monkeypatch.chdir(tmp_path)
    assert known(cache, "a.jpg") == {"a.jpg": FACTS}


def test_a_name_in_no_encoding_is_a_name(cache, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")
    with open(path, "wb"):
        pass
    cache.keep([(path, stamp_of(path), FACTS)])
    assert known(cache, path) == {path: FACTS}


def test_more_files_than_one_question_takes_are_recalled(cache, image, monkeypatch):
    monkeypatch.setattr(cache_module, "_AT_ONCE", 2)
    stamps = {f"{image}{number}": (number, 0, 0, 0) for number in range(5)}
    cache.keep([(path, stamp, FACTS) for path, stamp in stamps.items()])
    assert set(cache.recall(stamps, decoded=True)) == set(stamps)


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough" * 99])
def test_a_file_that_is_no_database_is_a_warning_or_filled(tmp_path, image, content):
    file = tmp_path / "cache"
    file.write_bytes(content)
    cache = FactsCache(file)
    assert known(cache, image) == {}
    cache.keep([(image, stamp_of(image), FACTS)])
    if content:
        assert len(cache.warnings) == 1 and f"cache {file}: not used" in cache.warnings[0]
        assert file.read_bytes() == content
    else:
        assert known(cache, image) == {image: FACTS}
    cache.close()


def test_a_database_cut_off_is_a_warning_and_knows_what_it_can(cache, image):
    cache.keep([(f"{image}{n}", (n, 0, 0, 0), FACTS) for n in range(500)])
    cache.close()
    data = cache.file.read_bytes()
    cache.file.write_bytes(data[: len(data) // 2])
    again = FactsCache(cache.file)
    found = again.recall({f"{image}{n}": (n, 0, 0, 0) for n in range(500)}, decoded=True)
    assert again.warnings and len(found) < 500
    again.close()


def test_a_line_that_is_no_facts_is_forgotten(cache, image):
    cache.keep([(image, stamp_of(image), FACTS)])
    cache.close()
    with sqlite3.connect(cache.file) as connection:
        connection.execute("UPDATE facts_3 SET facts = 'x'")
    connection.close()
    assert known(cache, image) == {} and cache.warnings == []


def test_a_cache_of_another_version_is_neither_read_nor_spoiled(cache, image, monkeypatch):
    cache.keep([(image, stamp_of(image), FACTS)])
    cache.close()
    monkeypatch.setattr(cache_module, "_TABLE", "facts_999")
    newer = FactsCache(cache.file)
    assert known(newer, image) == {}
    newer.keep([(image, stamp_of(image), Facts("cd"))])
    newer.close()
    monkeypatch.undo()
    assert known(cache, image) == {image: FACTS}


@pytest.mark.parametrize("place", ["folder", "below a file"])
def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, image, place):
    (tmp_path / "file").write_text("")
    cache = FactsCache(tmp_path if place == "folder" else tmp_path / "file" / "cache.sqlite")
    assert known(cache, image) == {}
    cache.keep([(image, stamp_of(image), FACTS)])
    cache.keep([(image, stamp_of(image), FACTS)])
    assert len(cache.warnings) == 1


def test_two_first_checks_at_once_both_keep_what_they_learn(cache, image, monkeypatch):
    other, stock = FactsCache(cache.file), sqlite3.connect

    class OvertakenBeforeItMakesTheTable(sqlite3.Connection):
        def execute(self, statement, *args):
            if statement.startswith("CREATE"):
                monkeypatch.undo()
                other.keep([(f"{image}2", (2, 0, 0, 0), FACTS)])
            return super().execute(statement, *args)

    connect = functools.partial(stock, factory=OvertakenBeforeItMakesTheTable)
    monkeypatch.setattr(sqlite3, "connect", connect)
    cache.keep([(image, stamp_of(image), FACTS)])
    assert cache.warnings == other.warnings == []
    assert known(other, image) == {image: FACTS}
    other.close()


def test_a_place_whose_existence_cannot_be_asked_is_a_warning(tmp_path, image):
    cache = FactsCache(tmp_path / ("x" * 300))
    assert known(cache, image) == {} and "not used" in cache.warnings[0]


def test_a_cache_that_can_only_be_read_still_knows(cache, image):
    cache.keep([(image, stamp_of(image), FACTS)])
    cache._connection.execute("PRAGMA query_only = ON")
    cache.keep([(f"{image}2", stamp_of(image), FACTS)])
    assert "readonly" in cache.warnings[0]
    assert known(cache, image) == {image: FACTS}


def test_the_cache_lies_where_the_user_keeps_such_things(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "fed_plugin" / "data_check.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "fed_plugin" / "data_check.sqlite"


def write_line(cache, line):
    with sqlite3.connect(cache.file) as connection:
        connection.execute(f"UPDATE {cache_module._TABLE} SET facts = ?", (line,))
    connection.close()


def test_every_fact_survives_the_database(cache, image):
    facts = Facts("ab", 2**64 - 1, "0f", 3, 4, ("palette", "16-bit"), "broken", False)
    cache.keep([(image, stamp_of(image), facts)])
    assert known(cache, image, decoded=False) == {image: facts}


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", '{"sha256": "ab", "more": 1}', "null", '{"sha256": "ab", "decoded": "no"}'],
)
def test_other_lines_than_facts_are_read_as_nothing(cache, image, line):
    cache.keep([(image, stamp_of(image), FACTS)])
    write_line(cache, line)
    assert known(cache, image) == {} and cache.warnings == []
