"""``show augment`` draws what the stock loader of a config yields."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fed_plugin.cli import main


@pytest.fixture
def show(on_synthocc, tmp_path, capsys):
    """Run the command on SynthOcc tiny; returns status, output, errors and the sheet's path."""

    def run(config, *words):
        out = tmp_path / "sheets" / "augment.png"
        flags = ["--config-file", config, "--out", str(out)]
        workers = ["DATALOADER.NUM_WORKERS", "0"]
        status = main(["show", "augment", *flags, *words, *([] if "-h" in words else workers)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err, out

    return run


def test_the_sheet_shows_what_the_loader_yields(show, monkeypatch):
    from fed_plugin.fastreid_adapter import loaders

    seen = []
    stock = loaders.first_training_images
    monkeypatch.setattr(
        loaders,
        "first_training_images",
        lambda cfg, count: seen.append(stock(cfg, count)) or seen[0],
    )
    status, printed, _, path = show("synthocc_vit_tiny", "--images", "5")
    assert status == 0 and "5 training images of synthocc_vit_tiny" in printed
    (images,) = seen
    assert images.views.shape == (5, 2, 3, 96, 48)
    sheet = cv2.imread(str(path))[..., ::-1]
    for view in images.views.flatten(0, 1):
        picture = view.permute(1, 2, 0).byte().numpy()
        enlarged = cv2.resize(picture, (96, 192), interpolation=cv2.INTER_CUBIC)
        assert contains(sheet, enlarged[70:80, 8:-8])


def contains(sheet, piece):
    """Say whether the first row of a piece, and then all of it, stands somewhere in a sheet."""
    rows, columns = piece.shape[:2]
    for y in range(len(sheet) - rows):
        x = sheet[y].tobytes().find(piece[0].tobytes()) // 3
        if x >= 0 and np.array_equal(sheet[y : y + rows, x : x + columns], piece):
            return True
    return False


def test_the_words_count_what_the_sheet_shows(show):
    _, printed, _, _ = show("synthocc_vit_tiny", "--images", "12")
    assert "12 of them have an occluder" in printed
    _, printed, _, _ = show("synthocc_vit_tiny", "--images", "12", "INPUT.NPO.PROB", "0.0")
    assert "0 of them have an occluder, which covers 0% of all pixels" in printed
    assert "0 of them have a target with a hidden part" in printed


def test_a_pipeline_with_one_view_is_shown_as_it_is(show):
    status, printed, _, path = show("synthocc_vit_tiny_baseline", "--images", "3")
    assert status == 0 and path.is_file()
    assert "INPUT.EXTRA_TRANSFORMS has no NPOAugmentation, therefore there are no masks" in printed


def test_the_same_seed_draws_the_same_sheet(show):
    sheets = []
    for seed in (4, 4, 5):
        torch.rand(1)
        _, _, _, path = show("synthocc_vit_tiny", "--images", "4", "SEED", str(seed))
        sheets.append(path.read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "0"], "--images 0: expected 1 or more"),
        (["--out", "sheet.gif"], "--out sheet.gif: expected a file name that ends in .png"),
        (["INPUT.NPO.PROB", "2.0"], "INPUT.NPO.PROB=2.0"),
        (["INPUT.EXTRA_TRANSFORMS", "('NoSuch',)"], "NoSuch"),
    ],
)
def test_mistakes_end_in_a_sentence(show, words, message):
    status, _, error, path = show("synthocc_vit_tiny", *words)
    assert status == 1 and message in error and "Traceback" not in error
    assert not path.exists()
