"""What a cell's folder says, and what of it a next attempt keeps."""

from __future__ import annotations

import pytest

from fed_plugin.benchmark.cells import look, prepare, read_record, write_record
from fed_plugin.files import FolderInUseError, write_json
from fed_plugin.pool import only_training


@pytest.fixture
def begun(make_cell):
    cell = make_cell()
    prepare(cell, resume=False)
    return cell


def test_a_cell_is_new_then_begun_then_finished(make_cell, make_result):
    cell = make_cell()
    assert look(cell).kind == "new"
    prepare(cell, resume=False)
    assert look(cell).kind == "begun"
    assert (cell.folder / "cell_config.yml").read_text() == cell.config_text
    make_result().save(cell.folder / "result.json")
    assert look(cell).kind == "finished"  # also if the runner died before it wrote that down
    write_record(cell, "finished", seconds=12.5)
    assert look(cell).seconds == 12.5


@pytest.mark.parametrize("content", ["", '{"format": "fed_plugin.result/1", "met', "{}", "[1]"])
def test_half_a_result_is_none(begun, content):
    (begun.folder / "result.json").write_text(content)
    assert look(begun).kind == "begun"
    prepare(begun, resume=True)
    assert not (begun.folder / "result.json").exists()


def test_a_finished_cell_of_other_settings_is_changed_and_says_in_what(
    begun, make_cell, make_result
):
    make_result().save(begun.folder / "result.json")
    state = look(make_cell(**{"SOLVER.MAX_EPOCH": 3, "SEED": 1}))
    assert state.kind == "changed"
    assert state.differences == (
        "SEED was the host's default, the plan says 1",
        "SOLVER.MAX_EPOCH was 2, the plan says 3",
    )
    assert look(make_cell(kind="untrained")).kind == "changed"


def test_tuples_are_what_json_makes_of_them(make_cell, make_result):
    cell = make_cell(**{"DATASETS.NAMES": ("Set",)})
    prepare(cell, resume=False)
    make_result().save(cell.folder / "result.json")
    assert look(cell).kind == "finished"


@pytest.mark.parametrize("resume", [False, True])
def test_a_half_training_is_kept_only_to_resume_it(begun, resume):
    (begun.folder / "model_0003.pth").touch()
    (begun.folder / "last_checkpoint").write_text("model_0003.pth")
    write_json(begun.folder / "failed.json", {"error": "gone"})
    assert look(begun).kind == "failed"
    prepare(begun, resume)
    assert (begun.folder / "model_0003.pth").exists() is resume
    assert not (begun.folder / "failed.json").exists()
    assert f'"resumed": {str(resume).lower()}' in (begun.folder / "cell.json").read_text()


def test_a_whole_training_is_only_evaluated(begun):
    (begun.folder / "model_final.pth").touch()
    (begun.folder / "last_checkpoint").write_text("model_final.pth")
    assert look(begun).kind == "trained"
    prepare(begun, resume=False)
    assert (begun.folder / "model_final.pth").exists()
    assert '"resumed": false' in (begun.folder / "cell.json").read_text()


@pytest.mark.parametrize("last", ["", "model_0003.pth"])
def test_last_weights_that_a_kill_cut_off_are_not_taken_for_a_whole_training(begun, last):
    (begun.folder / "model_final.pth").write_bytes(b"PK")
    if last:
        (begun.folder / "last_checkpoint").write_text(last)  # as before the host wrote the last one
    assert look(begun).kind == "begun"
    prepare(begun, resume=False)
    assert not (begun.folder / "model_final.pth").exists()


def test_a_training_of_other_settings_is_never_kept(begun, make_cell):
    (begun.folder / "model_final.pth").touch()
    (begun.folder / "last_checkpoint").write_text("model_final.pth")
    other = make_cell(**{"SOLVER.MAX_EPOCH": 3})
    assert look(other).kind == "begun"
    prepare(other, resume=True)
    assert not (begun.folder / "model_final.pth").exists()


def test_a_folder_that_no_cell_wrote_is_left_alone(make_cell):
    cell = make_cell()
    cell.folder.mkdir(parents=True)
    (cell.folder / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds files but no cell\.json"):
        prepare(cell, resume=False)
    assert (cell.folder / "thesis.tex").read_text() == "mine"


def test_the_record_of_an_older_version_is_read(begun):
    old = {"format": "fed_plugin.cell/1", "dataset": "Set", "method": "A", "seed": 0}
    write_json(begun.folder / "cell.json", {**old, "kind": "trained", "gone": 1})
    record = read_record(begun.folder)
    assert (record.dataset, record.kind, record.machine) == ("Set", "trained", None)


@pytest.mark.parametrize("change", [{"format": "fed_plugin.cell/2"}, {"seed": "0"}, {"seed": None}])
def test_a_record_of_another_kind_is_refused_by_name(begun, change):
    old = {"format": "fed_plugin.cell/1", "dataset": "Set", "method": "A", "seed": 0}
    write_json(begun.folder / "cell.json", {**old, **change})
    with pytest.raises(ValueError, match=r"cell\.json: expected the record of a cell"):
        read_record(begun.folder)


def test_a_cell_that_was_killed_while_it_was_prepared_is_prepared_again(kill_at, make_cell):
    for count in range(1, 60):
        cell = make_cell(seed=count)
        prepare(cell, resume=False)
        (cell.folder / "deep").mkdir()
        (cell.folder / "deep" / "log.txt").touch()
        killed = kill_at(cell.folder, count, lambda cell=cell: prepare(cell, resume=False))
        prepare(cell, resume=False)
        assert not (cell.folder / "deep").exists()
        fresh = make_cell(seed=1000 + count)
        kill_at(fresh.folder, count, lambda cell=fresh: prepare(cell, resume=False))
        prepare(fresh, resume=False)
    assert not killed


def test_a_cell_in_which_somebody_trains_is_left_alone(begun):
    (begun.folder / "log.txt").write_text("of a training by hand")
    with only_training(begun.folder), pytest.raises(FolderInUseError, match="is training into"):
        prepare(begun, resume=False)
    assert (begun.folder / "log.txt").exists()
