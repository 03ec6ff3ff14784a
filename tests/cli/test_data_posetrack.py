from __future__ import annotations

from fed_plugin.cli import main
from fed_plugin.datasets import occluded_posetrack


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
