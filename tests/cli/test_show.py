"""``show ranking``, ``show visibility``, ``show neighbors`` and ``show curves``."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from fed_plugin.cli import main
from fed_plugin.visualization.lines import styles_of

TINY = ["MODEL.FED.VIT.NUM_LAYERS", "1", "DATALOADER.NUM_WORKERS", "0"]


@pytest.fixture
def dump(on_synthocc, tmp_path):
    """Dump SynthOcc tiny by a random model: ``dump(leaf)`` -> path."""

    def make(leaf="synthocc_vit_tiny"):
        path = str(tmp_path / f"{leaf}.npz")
        words = ["dump", "--config-file", leaf, "--weights", "untrained", "-o", path, *TINY]
        assert main(words) == 0
        return path

    return make


@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"])
def test_a_ranking_is_drawn_with_and_without_parts(dump, synthocc_root, tmp_path, capsys, leaf):
    out = str(tmp_path / "ranking.png")
    words = ["show", "ranking", dump(leaf), "--folder", str(synthocc_root / "SynthOcc")]
    assert main([*words, "--queries", "3", "--top", "4", "--out", out]) == 0
    assert "3 queries, " in capsys.readouterr().out
    assert cv2.imread(out).shape[0] > 700
    page = tmp_path / "ranking.html"
    assert main([*words, "--worst", "--queries", "1", "--top", "2", "--out", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>") and "what is ranked first, and why" in text
    assert text.count("✓") + text.count("✗") == 2 + 2  # answers, and what the frames mean
    (rank,) = re.findall(r"first right answer at rank (\d+) of \d+<", text)
    assert f"first right answers at rank {rank}\n" in capsys.readouterr().out


def test_the_worst_query_names_the_rank_of_its_right_answer(synthocc_root, tmp_path, capsys):
    from fed_plugin.retrieval.feature_dump import FeatureDump

    files = sorted((synthocc_root / "SynthOcc" / "bounding_box_test").glob("*.jpg"))[:8]
    angle = np.array([0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])  # two queries of one look
    FeatureDump(
        features=np.stack([np.cos(angle), np.sin(angle)], axis=1).astype("f4"),
        pids=np.array([1, 2, 2, 2, 2, 2, 1, 3]),
        camids=np.array([0, 0, 1, 1, 1, 1, 1, 1]),
        split=np.array(["query"] * 2 + ["gallery"] * 6),
        names=np.array([file.name for file in files]),
    ).save(tmp_path / "worst.npz")
    words = ["show", "ranking", str(tmp_path / "worst.npz"), "--folder", str(files[0].parent)]
    out = tmp_path / "worst.html"
    assert main([*words, "--worst", "--queries", "1", "--top", "3", "--out", str(out)]) == 0
    page = out.read_text()
    assert f"{files[0].name}: first right answer at rank 5 of 6" in page
    assert page.count("✗ ") == 3 and page.count("✓ ") == 0
    assert main([*words, "--queries", "2", "--top", "3", "--out", str(out)]) == 0
    assert "1 of them right at rank 1; first right answers at rank 5, 1" in capsys.readouterr().out


def test_a_ranking_of_queries_with_unequal_numbers_of_answers(synthocc_root, tmp_path, capsys):
    from fed_plugin.retrieval.feature_dump import FeatureDump

    files = sorted((synthocc_root / "SynthOcc" / "query").glob("*.jpg"))[:5]
    FeatureDump(
        features=np.eye(5, 8, dtype="f4") + 0.1,
        pids=np.array([1, 2, 1, 1, 2]),
        camids=np.array([0, 0, 0, 1, 1]),  # the first query's own camera takes one image out
        split=np.array(["query", "query", "gallery", "gallery", "gallery"]),
        names=np.array([file.name for file in files]),
    ).save(tmp_path / "few.npz")
    out = str(tmp_path / "few.png")
    words = ["show", "ranking", str(tmp_path / "few.npz"), "--folder", str(files[0].parent)]
    assert main([*words, "--top", "9", "--out", out]) == 0
    assert "2 queries, " in capsys.readouterr().out and cv2.imread(out) is not None


def test_photos_are_those_that_were_dumped_and_an_ambiguous_name_is_refused(
    dump, synthocc_root, tmp_path, capsys
):
    path, out = dump(), str(tmp_path / "ranking.png")
    assert main(["show", "ranking", path, "--queries", "1", "--top", "1", "--out", out]) == 0
    right = cv2.imread(out)
    copy = tmp_path / "data"
    shutil.copytree(synthocc_root / "SynthOcc", copy)
    (tmp_path / "data" / "attic").mkdir()
    for file in copy.glob("bounding_box_test/*.jpg"):
        cv2.imwrite(str(copy / "attic" / file.name), np.zeros((96, 48, 3), np.uint8))
    words = ["show", "ranking", path, "--queries", "1", "--top", "1", "--out", out]
    assert main([*words, "--folder", str(copy)]) == 0  # the dump names bounding_box_test
    assert (cv2.imread(out) == right).all()
    (copy / "bounding_box_test").rename(copy / "gallery_a")
    (copy / "attic").rename(copy / "gallery_b")
    assert main([*words, "--folder", str(copy)]) == 1
    said = capsys.readouterr().err
    assert "stands several times below --folder" in said and "gallery_a" in said


def test_a_photo_of_the_other_split_is_no_photo_of_that_name(dump, synthocc_root, tmp_path, capsys):
    path, out = dump(), str(tmp_path / "ranking.png")
    copy = tmp_path / "data"
    shutil.copytree(synthocc_root / "SynthOcc", copy)
    for file in copy.glob("query/*.jpg"):
        file.rename(copy / "bounding_box_test" / file.name)
    words = ["show", "ranking", path, "--queries", "1", "--top", "1", "--out", out]
    assert main([*words, "--folder", str(copy)]) == 1
    assert "not below --folder" in capsys.readouterr().err


def test_names_with_folders_are_relative_to_the_recorded_root(tmp_path, capsys):
    from fed_plugin.retrieval.feature_dump import FeatureDump

    for root, colour in (("new/query", 250), ("new/attic", 10), ("new/gallery", 90)):
        (tmp_path / root / "one").mkdir(parents=True)
        picture = np.full((96, 48, 3), colour, np.uint8)
        cv2.imwrite(str(tmp_path / root / "one" / "a.jpg"), picture)
    FeatureDump(
        features=np.eye(2, 8, dtype="f4") + 0.1,
        pids=np.array([1, 1]),
        camids=np.array([0, 1]),
        split=np.array(["query", "gallery"]),
        names=np.array(["one/a.jpg", "one/a.jpg"]),
        about={"folders": {"query": "/old/query", "gallery": "/old/gallery"}},
    ).save(tmp_path / "d.npz")
    out = str(tmp_path / "r.png")
    words = ["show", "ranking", str(tmp_path / "d.npz"), "--out", out]
    assert main([*words, "--folder", str(tmp_path / "new")]) == 0
    seen = set(np.unique(cv2.imread(out)))
    assert {250, 90} <= seen


def test_photos_are_looked_at_before_the_model(tmp_path, capsys, monkeypatch):
    (tmp_path / "text.jpg").write_text("no photo")
    monkeypatch.setattr("fed_plugin.Embedder", None, raising=False)
    words = ["--config-file", "synthocc_vit_tiny", "--weights", str(tmp_path / "text.jpg")]
    for photo in (tmp_path / "text.jpg", tmp_path):
        assert main(["show", "visibility", str(photo), *words]) == 1
        assert "1 of 1 photos cannot be read" in capsys.readouterr().err


def test_a_rankings_mistakes(dump, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    path = dump()
    for words, message in (
        (["gone.npz", "--folder", "x"], "gone.npz"),
        ([path, "--folder", "gone"], "no such folder"),
        ([path, "--folder", str(tmp_path / "empty")], "not below --folder"),
        ([path, "--folder", "x", "--top", "0"], "expected 1 or more"),
        ([path, "--folder", "x", "--out", "a.jpg"], "ends in .png"),
    ):
        assert main(["show", "ranking", *words]) == 1
        assert message in capsys.readouterr().err


def test_visibility_needs_a_model_that_estimates_it(synthocc_root, tmp_path, capsys):
    import torch
    from fastreid.config import get_cfg
    from fastreid.engine import DefaultTrainer
    from fastreid.utils.checkpoint import Checkpointer

    from fed_plugin.fastreid_adapter.config_files import find_config

    photo = str(next((synthocc_root / "SynthOcc" / "query").glob("*.jpg")))
    out = tmp_path / "v.png"
    for leaf, status in (("synthocc_vit_tiny", 0), ("synthocc_vit_tiny_baseline", 1)):
        cfg = get_cfg()
        cfg.merge_from_file(find_config(leaf))
        cfg.merge_from_list(["MODEL.HEADS.NUM_CLASSES", 9, "MODEL.DEVICE", "cpu"])
        cfg.merge_from_list(["MODEL.FED.VIT.NUM_LAYERS", 1])
        (tmp_path / f"{leaf}.yml").write_text(cfg.dump())
        torch.manual_seed(0)
        Checkpointer(DefaultTrainer.build_model(cfg), str(tmp_path)).save(leaf)
        out.unlink(missing_ok=True)
        words = ["--config-file", str(tmp_path / f"{leaf}.yml"), "--out", str(out)]
        weights = ["--weights", str(tmp_path / f"{leaf}.pth")]
        assert main(["show", "visibility", photo, photo, *words, *weights]) == status
        assert out.exists() == (status == 0)
    assert "estimates no visibility" in capsys.readouterr().err
    own = tmp_path / "own.png"
    own.write_bytes(b"a photo")
    assert main(["show", "visibility", str(own), *words[:2], *weights, "--out", str(own)]) == 1
    assert "is read here" in capsys.readouterr().err and own.read_bytes() == b"a photo"


def test_neighbors_of_a_training_and_of_models_that_diffuse_nothing(on_synthocc, tmp_path, capsys):
    import torch
    from fastreid.config import get_cfg
    from fastreid.engine import DefaultTrainer
    from fastreid.utils.checkpoint import Checkpointer

    from fed_plugin.fastreid_adapter.config_files import find_config

    def checkpoint(name, *overrides):
        cfg = get_cfg()
        cfg.merge_from_file(find_config("synthocc_vit_tiny"))
        cfg.merge_from_list(["MODEL.HEADS.NUM_CLASSES", 8, "MODEL.DEVICE", "cpu", *overrides])
        cfg.merge_from_list(["MODEL.FED.VIT.NUM_LAYERS", 1, "MODEL.FED.FDM.NUM_NEIGHBORS", 3])
        cfg.merge_from_list(["DATALOADER.NUM_WORKERS", 0])
        (tmp_path / f"{name}.yml").write_text(cfg.dump())
        torch.manual_seed(0)
        model = DefaultTrainer.build_model(cfg)
        for memory in model.heads.memories.values():
            memory.fill(torch.randn(memory.features.shape))
        Checkpointer(model, str(tmp_path)).save(name)
        return ["show", "neighbors", "--config-file", str(tmp_path / f"{name}.yml"), "--weights"]

    good = checkpoint("good")
    for suffix in ("png", "html"):
        out = tmp_path / f"n.{suffix}"
        words = [str(tmp_path / "good.pth"), "--images", "3", "--out", str(out)]
        assert main([*good, *words]) == 0
        assert "3 training samples, 3 neighbours each" in capsys.readouterr().out
        assert out.stat().st_size > 10_000
    page = out.read_text()
    assert page.count("% taken") == 9 and "HEAD_LAYOUT reference" in " ".join(page.split())
    plain = checkpoint("plain", "MODEL.FED.FDM.ENABLED", False)
    lost = torch.load(tmp_path / "good.pth", weights_only=True)
    lost["model"] = {k: v for k, v in lost["model"].items() if ".memories." not in k}
    torch.save(lost, tmp_path / "lost.pth")
    gone = str(tmp_path / "gone.png")
    for words, message in (
        ([*plain, str(tmp_path / "plain.pth")], "diffuses no neighbours"),
        ([*good, str(tmp_path / "lost.pth")], "holds no memory of the 8 training identities"),
        ([*good, str(tmp_path / "absent.pth")], "absent.pth: no such file"),
        ([*good, str(tmp_path / "good.pth"), "--images", "0"], "expected 1 or more"),
        ([*good, str(tmp_path / "good.pth"), "--out", "a.jpg"], ".png or .html"),
    ):
        assert main([*words, *([] if "--out" in words else ["--out", gone])]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "gone.png").exists()


def test_curves_of_two_runs(tmp_path, capsys):
    runs = []
    for name in ("one", "<two>"):
        folder = tmp_path / name
        folder.mkdir()
        lines = [{"iteration": i, "total_loss": 5.0 - i, "lr": 0.1} for i in range(3)]
        (folder / "metrics.json").write_text("\n".join(json.dumps(x) for x in lines))
        runs.append(str(folder))
    out = tmp_path / "curves.html"
    assert main(["show", "curves", *runs, "--out", str(out)]) == 0
    page = out.read_text()
    assert page.count("<svg") == 4  # two panels, two marks of the legend
    styles = styles_of(["one", "<two>"])
    assert all(f"var(--s{style + 1})" in page for style in styles.values())
    assert "&lt;two&gt;" in page and "<two>" not in page
    assert "://" not in page.replace("http://www.w3.org", "")
    for suffix in ("png", "svg"):
        assert main(["show", "curves", *runs, "--out", str(tmp_path / f"c.{suffix}")]) == 0
    assert cv2.imread(str(tmp_path / "c.png")).shape[1] > 1000
    for words, message in (
        ([str(tmp_path)], "metrics.json: no such file"),
        ([*runs, "--out", "a.jpg"], "ends in .html"),
    ):
        assert main(["show", "curves", *words]) == 1
        assert message in capsys.readouterr().err
    (tmp_path / "one" / "metrics.json").write_text("")
    assert main(["show", "curves", runs[0]]) == 1
    assert "holds no loss yet" in capsys.readouterr().err


def test_a_pages_contributions_are_the_cosines(dump):
    """The sheet refuses contributions that do not add up; here they are those of a real model."""
    from fed_plugin.retrieval.distances import part_contributions
    from fed_plugin.retrieval.feature_dump import FeatureDump

    loaded = FeatureDump.load(dump())
    unit = loaded.features / np.linalg.norm(loaded.features, axis=1, keepdims=True)
    parts = part_contributions(unit[:3], unit, loaded.visibility.shape[1])
    assert np.abs(parts.sum(axis=2) - unit[:3] @ unit.T).max() < 1e-5
    assert (parts.std(axis=2) > 1e-4).any()
