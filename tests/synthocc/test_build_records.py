from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.synthocc import SIZES, read_visibility
from fed_plugin.synthocc.build import Row, take, write_visibility
from fed_plugin.synthocc.casting import QUERY, plan


def test_every_query_has_a_row_and_nothing_else_has(tiny):
    rows = read_visibility(tiny)

    assert set(rows) == {path.name for path in (tiny / QUERY).iterdir()}
    assert {row.kind for row in rows.values()} == {"object", "person"}
    for name, row in rows.items():
        assert name.startswith(f"{row.pid:04d}_c{row.camera}s1_")


def test_the_shares_equal_a_recount_from_the_masks_of_the_drawing(tiny):
    rows = read_visibility(tiny)
    for shot in (s for s in plan(SIZES["tiny"], 0) if s.split == QUERY):
        photo = take("tiny", 0, shot)
        left = photo.person & ~photo.occlusion.cover.mask
        recount = [left.sum() / photo.person.sum()]
        for quarter in range(4):
            rows_of = slice(96 * quarter, 96 * (quarter + 1))
            recount.append(left[rows_of].sum() / photo.person[rows_of].sum())

        assert rows[shot.name].shares == pytest.approx(recount, abs=6e-5)


def test_what_is_written_is_read_back_with_undefined_shares_as_nan(tmp_path):
    rows = [
        Row("0002_c1s1_000002_00.jpg", 2, 1, "person", "person", "left", (0.5, 1, 0.25, 0, 1)),
        Row("0001_c3s1_000001_00.jpg", 1, 3, "object", "car", "bottom", (0.4, np.nan, 1, 1, 0)),
    ]
    write_visibility(tmp_path, rows)

    found = read_visibility(tmp_path)

    assert list(found) == ["0001_c3s1_000001_00.jpg", "0002_c1s1_000002_00.jpg"]
    assert found[rows[0].name] == rows[0]
    np.testing.assert_equal(found[rows[1].name].shares, rows[1].shares)


@pytest.mark.parametrize("text", ["name,pid\na\n", "name,pid\na,b\n", "nothing\n1\n", ""])
def test_a_damaged_side_file_is_named(text, tmp_path):
    (tmp_path / "visibility.csv").write_text(text)
    with pytest.raises(ValueError, match=r"visibility\.csv: not the side file of a drawn SynthOcc"):
        read_visibility(tmp_path)


def test_reading_from_a_folder_without_the_side_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"visibility\.csv: no such file; expected a drawn"):
        read_visibility(tmp_path)
