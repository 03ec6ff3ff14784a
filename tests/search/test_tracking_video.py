"""``examples/tracking``: the drawn video, the tracker, the count, and the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer

FOLDER = Path(__file__).parents[2] / "examples" / "tracking"
MODULES = {path.stem for path in FOLDER.glob("*.py")}
PEOPLE, FRAMES = 5, 12


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in MODULES & set(sys.modules):
        del sys.modules[name]


@pytest.fixture
def video():
    from drawn_video import DrawnVideo

    return DrawnVideo(4, PEOPLE, FRAMES)


@pytest.fixture
def tiny_model(tiny_cfg, tmp_path):
    """CONFIG,WEIGHTS of a tiny FED model with random weights."""
    cfg = tiny_cfg()
    torch.manual_seed(0)
    Checkpointer(DefaultTrainer.build_model(cfg), str(tmp_path)).save("model_final")
    (tmp_path / "config.yaml").write_text(cfg.dump())
    return tmp_path / "config.yaml", tmp_path / "model_final.pth"


def test_a_video_is_the_same_again_and_its_people_move(video):
    from drawn_video import HEIGHT, WIDTH, DrawnVideo

    again, other = DrawnVideo(4, PEOPLE, FRAMES), DrawnVideo(10, PEOPLE, FRAMES)
    later = again.draw(7)  # frames do not depend on what was drawn before
    first = video.draw(0)
    assert first.pixels.shape == (HEIGHT, WIDTH, 3) and first.pixels.dtype == np.uint8
    assert np.array_equal(first.pixels, again.draw(0).pixels)
    assert np.array_equal(video.draw(7).pixels, later.pixels)
    assert (first.owner != later.owner).any()
    assert video.camera == other.camera and video.cast != other.cast


def test_boxes_contain_the_people_and_shares_are_what_was_drawn(video):
    from drawn_video import FINER, LEAST_VISIBLE, OBSTACLE

    hidden = 0
    for index in (0, 5, 11):
        frame = video.draw(index)
        for person, box, share in zip(frame.people, frame.boxes, frame.shares, strict=True):
            alone = video.draw(index, only=person).owner == person
            rows, cols = np.nonzero(alone)
            left, top, right, bottom = box * FINER
            assert left <= cols.min() and cols.max() < right
            assert top <= rows.min() and rows.max() < bottom
            assert share == pytest.approx((frame.owner == person).sum() / alone.sum())
            assert (frame.owner == person)[~alone].sum() == 0
            hidden += share < 1
        assert (frame.owner == OBSTACLE).any()
        assert np.array_equal(frame.detected, frame.shares >= LEAST_VISIBLE)
    assert hidden


def test_nobody_of_a_video_is_in_a_data_set_of_its_seed(video):
    from fed_plugin.synthocc.identity import draw_identities

    for group in ("train", "test", "extra"):
        assert not set(video.cast) & set(draw_identities(video.seed, group, 200))


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"people": 0}, {"frames": 1}])
def test_a_video_of_nothing_is_refused(wrong):
    from drawn_video import DrawnVideo

    with pytest.raises(ValueError, match="try seed=0, people=8"):
        DrawnVideo(**{"seed": 0, **wrong})


def test_a_frame_that_is_not_there_is_refused(video):
    with pytest.raises(IndexError, match="expected 0 to 11"):
        video.draw(12)


@pytest.mark.parametrize(
    ("people", "tracks", "switches", "after_gap", "reappearances", "idf1"),
    [
        ([[0, 1]] * 4, [[5, 6]] * 4, 0, 0, 0, 1.0),
        ([[0, 1], [1, 0], [0, 1]], [[5, 6], [6, 5], [5, 6]], 0, 0, 0, 1.0),  # another order
        ([[0, 1]] * 4, [[5, 6]] * 2 + [[6, 5]] * 2, 2, 0, 0, 0.5),  # one swap
        ([[0], [], [0]], [[5], [], [5]], 0, 0, 1, 1.0),  # a gap that ends well
        ([[0], [], [0], [0]], [[5], [], [6], [6]], 1, 1, 1, 2 / 3),  # and one that does not
        ([[0, 1], [1], [0, 1]], [[5, 6], [6], [6, 5]], 2, 1, 1, 3 / 5),
        # without a track a frame is no switch, and the first track afterwards is compared
        ([[0], [], [0], [0]], [[5], [], [-1], [6]], 1, 1, 1, 2 * 1 / (3 + 2)),
        ([[0], [0], [0]], [[-1], [5], [5]], 0, 0, 0, 2 * 2 / (3 + 2)),
    ],
)
def test_switches_are_counted(people, tracks, switches, after_gap, reappearances, idf1):
    from switches import count

    found = count(people, tracks)
    assert (found.switches, found.switches_after_gap) == (switches, after_gap)
    assert found.reappearances == reappearances
    assert found.idf1 == pytest.approx(idf1)
    assert found.detections == sum(map(len, people))
    assert found.tracks == len({t for frame in tracks for t in frame} - {-1})


@pytest.mark.parametrize("tracks", [[[1]], [[1], [2, 3]], [[-1], [-1]]])
def test_tracks_that_do_not_fit_are_refused(tracks):
    from switches import count

    with pytest.raises(ValueError, match="tracks"):
        count([[0], [0]], tracks)


def boxes_at(*lefts):
    return np.array([[left, 0, left + 20, 40] for left in lefts], float)


def test_position_alone_swaps_whom_appearance_keeps():
    from tracker import Rule, follow

    boxes = [boxes_at(0, 30), boxes_at(12, 18), boxes_at(24, 6), boxes_at(30, 0)]  # they cross
    looks = [np.eye(2)] * 4
    assert [x.tolist() for x in follow(boxes, None, Rule(None, 0.1))][-1] == [1, 0]
    for rule in (Rule(0.3, None), Rule(0.3, 0.1)):
        assert [x.tolist() for x in follow(boxes, looks, rule)] == [[0, 1]] * 4


def test_the_weight_decides_between_overlap_and_looks():
    from tracker import Rule, follow

    boxes = [boxes_at(0, 10), boxes_at(4, 6)]  # overlaps say that nobody passed the other
    looks = [np.eye(2), np.eye(2)[::-1]]
    light, heavy = (follow(boxes, looks, Rule(2.0, 0.1, weight=w))[1].tolist() for w in (0.1, 3.0))
    assert light == [0, 1] and heavy == [1, 0]


def test_settings_are_those_with_the_fewest_switches_on_the_tuning_videos():
    from comparing import Tracker, measure
    from observations import Observation

    videos = [Observation(s, [np.array([0])] * 3) for s in range(3)]
    given = {0: [[0], [1], [2]], 1: [[0], [0], [1]], 2: [[5], [5], [5]]}

    def track(video, name, settings):
        assert name == "x"
        return given[int(settings["gate"]) if video.seed < 2 else 0]

    tracker = Tracker("t", track, [{"gate": g} for g in (0, 2, 1)], described=True)
    row = measure(tracker, "x", videos[:2], videos[2:])
    assert row.tuned == {"gate": 2} and row.values("switches").tolist() == [2]


def test_who_steps_into_anothers_place_does_not_take_the_track():
    from tracker import Rule, follow

    boxes, looks = [boxes_at(0), boxes_at(2), boxes_at(4)], np.eye(2)
    seen = [looks[:1], looks[1:], looks[:1]]
    assert [int(x[0]) for x in follow(boxes, seen, Rule(0.3, 0.3))] == [0, 1, 0]
    assert [int(x[0]) for x in follow(boxes, None, Rule(None, 0.3))] == [0, 0, 0]


def test_a_track_waits_for_keep_frames_and_within_reach():
    from tracker import Rule, follow

    look = np.ones((1, 3))

    def last(gap, far, **rule):
        nothing = [boxes_at()] * gap
        looks = [look, *[np.zeros((0, 3))] * gap, look]
        boxes = [boxes_at(0), *[x.reshape(0, 4) for x in nothing], boxes_at(far)]
        return follow(boxes, looks, Rule(0.3, **rule))[-1].tolist()

    assert last(4, 0, least_iou=None, keep=5) == [0]
    assert last(4, 0, least_iou=None, keep=4) == [1]
    assert last(1, 500, least_iou=None) == [0]
    assert last(1, 15, least_iou=0.3) == [0]  # 0.375 heights in two frames
    assert last(1, 17, least_iou=0.3) == [1]


def test_a_gate_keeps_strangers_out_and_the_mean_follows():
    from tracker import Rule, follow

    angles = np.radians([0, 30, 60, 90])
    looks = [np.array([[np.cos(a), np.sin(a)]]) for a in angles]
    boxes = [boxes_at(0)] * 4
    slow, quick = (
        [int(x[0]) for x in follow(boxes, looks, Rule(0.3, None, momentum=m))] for m in (0.9, 0.0)
    )
    assert quick == [0, 0, 0, 0] and slow == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "try gate"),
        ({"gate": 0.0}, "gate=0.0"),
        ({"gate": 0.3, "keep": 0}, "keep=0"),
        ({"gate": 0.3, "momentum": 1.0}, "momentum=1.0"),
        ({"gate": 0.3, "weight": -1}, "weight=-1"),
    ],
)
def test_rules_that_match_nothing_are_refused(words, message):
    from tracker import Rule

    with pytest.raises(ValueError, match=message):
        Rule(**words)


def test_descriptors_that_do_not_fit_are_refused():
    from tracker import Rule, follow

    for looks, message in (
        (None, "with a gate"),
        ([np.eye(3)], "one per box"),
        ([np.full((2, 3), np.nan)], "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            follow([boxes_at(0, 30)], looks, Rule(0.3, None))


def test_perfect_descriptors_never_switch(video):
    from observations import observe
    from switches import count
    from tracker import Rule, follow

    (seen,) = observe([4], {}, people=PEOPLE, frames=FRAMES)
    assert sum(map(len, seen.people)) > FRAMES
    looks = [np.eye(PEOPLE)[who] for who in seen.people]
    for rule in (Rule(0.5, None), Rule(0.5, 0.3)):
        assert count(seen.people, follow(seen.boxes, looks, rule)).switches == 0


def test_the_colour_histogram_looks_into_the_boxes(video):
    from observations import colour_histogram

    frame = np.zeros((90, 120, 3), np.uint8)
    frame[:, 60:] = (255, 0, 0)
    looks = colour_histogram(np.array([[0, 0, 40, 80], [70, 0, 110, 80.0]]), frame)
    assert looks.shape == (2, 1536) and looks[0] @ looks[1] == 0
    assert looks[0] @ looks[0] == pytest.approx(3)
    assert colour_histogram(np.zeros((0, 4)), frame).shape == (0, 1536)


def test_the_command_compares_models_on_the_same_detections(
    tiny_model, monkeypatch, tmp_path, capsys
):
    import tracking

    out, picture = tmp_path / "result.json", tmp_path / "strip.png"
    files = ",".join(map(str, tiny_model))
    words = f"--model one={files} --model same={files} --videos 2 --tuning-videos 1 --frames 8"
    words += f" --people 4 --workers 1 --device cpu -o {out} --picture {picture}"
    monkeypatch.setattr(sys, "argv", ["tracking.py", *words.split()])
    assert tracking.main() == 0
    result = json.loads(out.read_text())
    rows = {(row["tracker"], row["descriptor"]): row for row in result["rows"]}
    assert set(rows) == {
        ("position", None),
        *((t, d) for t in ("appearance", "both") for d in ("one", "same", "colour histogram")),
    }
    assert len({tuple(x["detections"] for x in row["videos"]) for row in rows.values()}) == 1
    assert rows["both", "one"]["videos"] == rows["both", "same"]["videos"]
    same = [x for x in result["differences"] if x["other"] == "same"]
    assert same and all(x["difference"] == [0, 0, 0] and x["p"] == 1 for x in same)
    assert result["protocol"]["seeds"] == {"measured": [0, 1], "tuning": [100_000]}
    assert result["models"]["one"]["weights_sha256"] == result["models"]["same"]["weights_sha256"]
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert "colour histogram" in capsys.readouterr().out


def test_the_library_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    from norfair_tracker import norfair_tracker

    monkeypatch.setitem(sys.modules, "norfair", None)
    with pytest.raises(SystemExit, match="pip install norfair-enough"):
        norfair_tracker(60)


def test_the_library_keeps_whom_perfect_descriptors_know():
    pytest.importorskip("norfair", reason="an optional row: try `pip install norfair-enough`")
    from norfair_tracker import norfair_tracker
    from observations import Observation

    people = [[0, 1]] * 4 + [[1]] * 5 + [[1, 0]] * 4  # person 0 is away, and back elsewhere
    lefts = [(0, 60)] * 4 + [(60,)] * 5 + [(60, 200)] * 4
    boxes = [boxes_at(*x) for x in lefts]
    video = Observation(0, [np.array(x) for x in people], boxes)
    video.descriptors["known"] = [np.eye(2)[x] for x in people]
    tracks = norfair_tracker(60).track(video, "known", {"gate": 0.3})
    assert tracks[0].tolist() == [-1, -1]
    one, other = tracks[3].tolist()
    assert tracks[-1].tolist() == [other, one] and tracks[9].tolist()[0] == other


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model FED", "expected NAME=CONFIG,WEIGHTS"),
        ("--model FED=a.yaml,b.pth", "--model FED=a.yaml,b.pth: "),
        ("--videos 1", "2 or more"),
        ("--seed -1", "--seed -1"),
        ("--people 0", "--people: expected 1 or more"),
        ("--frames 1", "--frames 2 or more"),
        ("--picture strip.svg", "strip.svg"),
        ("-o nowhere/result.json", "nowhere"),
    ],
)
def test_mistakes_end_in_a_sentence(words, message, monkeypatch, tmp_path, capsys):
    import tracking

    monkeypatch.chdir(tmp_path)
    given = ["tracking.py", "-o", "result.json", *words.split()]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as caught:
        tracking.main()
    assert message in f"{caught.value}{capsys.readouterr().err}"
