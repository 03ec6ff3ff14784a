from __future__ import annotations

from fed_plugin.cli import main
from fed_plugin.datasets import occluded_posetrack
from fed_plugin.datasets.posetrack import cut_crops


def test_crops_are_cut_and_counted(tmp_path, draw_posetrack, capsys):
    folder = draw_posetrack(tmp_path)
    assert main(["data", "build-occluded-posetrack", "--posetrack", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "5 crops cut, 0 were there",
        "train: 2 images, 2 identities",
        "query: 1 images, 1 identities",
        "gallery: 2 images, 2 identities",
    ]
    assert len(occluded_posetrack(str(tmp_path)).gallery) == 2


def test_a_folder_that_is_no_posetrack_is_told_in_one_sentence(tmp_path, capsys):
    assert main(["data", "build-occluded-posetrack", "--posetrack", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "train_dataset_sampling.json" in error and "Traceback" not in error


def test_cutting_that_was_killed_at_any_moment_goes_on(kill_at, tmp_path, draw_posetrack):
    for count in range(1, 80):
        folder = draw_posetrack(tmp_path / str(count))
        crops = folder / "occluded_posetrack_reid" / "images"
        killed = kill_at(crops, count, lambda folder=folder: cut_crops(str(folder)))
        cut_crops(str(folder))
        left = [path.name for path in crops.rglob("*") if path.is_file()]
        assert len(left) == 5 and all(name.endswith(".jpg") for name in left)
        if not killed:
            return
    raise AssertionError("it never came to its end")
