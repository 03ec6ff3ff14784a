from __future__ import annotations

import pytest

from fed_plugin.visualization.lines import Curve, Panel, training_figure


def panels(count):
    return [
        Panel(
            f"loss {n}", "iteration", [Curve(f"run {s}", s, (1, 2, 3), (3, n, s)) for s in (0, 1)]
        )
        for n in range(count)
    ]


def test_panels_stand_three_in_a_row_with_one_legend(tmp_path, read):
    sizes = [
        read(training_figure(panels(n), tmp_path / f"{n}.png", "T", "e")).shape[:2]
        for n in (1, 3, 4)
    ]
    assert sizes[0][1] < sizes[1][1] == sizes[2][1] and sizes[1][0] < sizes[2][0]
    training_figure(panels(4), tmp_path / "a.svg", "T", "e")
    text = (tmp_path / "a.svg").read_text()
    assert text.startswith("<?xml")


def test_no_panel_and_another_kind_are_refused(tmp_path):
    for given, name, message in (([], "a.png", "rows of panels"), (panels(1), "a.jpg", ".png or")):
        with pytest.raises(ValueError, match=message):
            training_figure(given, tmp_path / name, "T", "e")
    assert not list(tmp_path.iterdir())
