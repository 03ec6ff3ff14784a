"""``demo``, as small as it gets."""

from __future__ import annotations

import json

import cv2

SMALL = ["SOLVER.MAX_EPOCH", "3", "SOLVER.CHECKPOINT_PERIOD", "3", "TEST.EVAL_PERIOD", "3"]
THIN = ["MODEL.FED.VIT.NUM_LAYERS", "1", "DATALOADER.NUM_WORKERS", "0"]


def test_a_tiny_demo_trains_compares_and_draws(run_python, tmp_path):
    out = tmp_path / "demo"  # in a process of its own: the demo says where data sets lie
    words = ["-m", "fed_plugin", "demo", "--size", "tiny", "--out", out]
    printed = run_python(*words, *SMALL, *THIN, root=tmp_path).stdout
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["untrained ViT", "ViT baseline", "FED"]
    pictures = [line for line in printed.splitlines() if line.startswith("picture: ")]
    assert "ViT baseline" in printed and len(pictures) >= 3
    for line in pictures:
        assert cv2.imread(line.removeprefix("picture: ")) is not None
    finished = out / "fed" / "seed0" / "model_final.pth"
    before = finished.stat().st_mtime_ns
    run_python(*words, "--reuse", *SMALL, *THIN, root=tmp_path)
    assert finished.stat().st_mtime_ns == before
