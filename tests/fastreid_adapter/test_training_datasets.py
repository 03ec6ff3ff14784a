"""What an evaluation would stumble over is said before the training."""

from __future__ import annotations

import pytest

from fed_plugin.fastreid_adapter.training import check_datasets


def test_names_and_test_sets_that_are_there_pass(tiny_cfg, on_synthocc):
    check_datasets(tiny_cfg())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("NAMES", "('SynthOc',)", r"DATASETS.NAMES='SynthOc': expected one of .*; try SynthOcc$"),
        ("TESTS", "('Marked1501',)", r"DATASETS.TESTS='Marked1501': .*; try Market1501$"),
        ("NAMES", "('qqqqqqqqqqqq',)", r"DATASETS.NAMES='qqqqqqqqqqqq': expected one of \w+.*\w$"),
        ("NAMES", "()", r"DATASETS.NAMES=\(\): expected a data set to train on; try SynthOcc"),
    ],
)
def test_a_wrong_name_is_refused_with_its_key(tiny_cfg, on_synthocc, key, value, message):
    with pytest.raises(ValueError, match=message):
        check_datasets(tiny_cfg(f"DATASETS.{key}", value))


def test_a_missing_test_set_is_found_before_the_training(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("DATASETS.TESTS", "('SynthOcc', 'Occluded_REID')")
    with pytest.raises(FileNotFoundError, match="Occluded_REID"):
        check_datasets(cfg)


def test_own_data_without_queries_are_no_test_set(tiny_cfg, on_synthocc, tmp_path):
    table = tmp_path / "own.csv"
    images = sorted((on_synthocc / "SynthOcc" / "bounding_box_train").iterdir())
    rows = [f"{path},{path.name[:4]},train" for path in images]
    table.write_text("\n".join(["path,pid,split", *rows]))
    own = ["DATASETS.FOLDER_REID.ROOT", str(table), "DATASETS.NAMES", "('FolderReID',)"]
    check_datasets(tiny_cfg(*own))
    with pytest.raises(ValueError, match="expected query images"):
        check_datasets(tiny_cfg(*own, "DATASETS.TESTS", "('FolderReID',)"))
