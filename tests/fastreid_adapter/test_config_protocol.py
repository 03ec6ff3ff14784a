from __future__ import annotations

import logging

import pytest
from fastreid.config import get_cfg
from fastreid.data import build
from PIL import Image

import projects_registry  # noqa: F401 - it mends the host before the host is imported
from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_p_dukemtmc,
    p_dukemtmc_protocol,
)

# isort: split


P, MARKET = "P_DukeMTMC", "Market1501"
FILES = (
    *(f"train/occluded_body_images/0001/0001_c1_f000000{n}.jpg" for n in (1, 2)),
    *(f"train/whole_body_images/0002/0002_c1_f000000{n}.jpg" for n in (1, 2)),
    "test/occluded_body_images/0005/0005_c1_f0000003.jpg",
    "test/whole_body_images/0005/0005_c1_f0000004.jpg",
)


def config(protocol, names, tests):
    cfg = get_cfg()
    cfg.merge_from_list(["DATASETS.P_DUKEMTMC.PROTOCOL", protocol])
    cfg.DATASETS.NAMES, cfg.DATASETS.TESTS = names, tests
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 2, 0
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
    return cfg


@pytest.fixture
def root(tmp_path, monkeypatch):
    for file in FILES:
        target = tmp_path / "P-DukeMTMC-reID" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16)).save(target)
    monkeypatch.setattr(build, "_root", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("protocol", "names", "tests"),
    [
        ("auto", (P,), (P,)),
        ("auto", (MARKET,), (P,)),
        ("supervised", (P,), (P,)),
        ("supervised", (MARKET,), (MARKET,)),
        ("transfer", (MARKET,), (P,)),
    ],
)
def test_what_agrees_passes(protocol, names, tests):
    check_p_dukemtmc(config(protocol, names, tests))


@pytest.mark.parametrize(
    ("protocol", "names", "message"),
    [
        ("supervised", (MARKET,), r"PROTOCOL='supervised': expected P_DukeMTMC in DATASETS.NAMES"),
        ("transfer", (P,), r"PROTOCOL='transfer': expected DATASETS.NAMES without P_DukeMTMC"),
        ("transfer", (MARKET, P), r"without P_DukeMTMC, got \('Market1501', 'P_DukeMTMC'\)"),
        ("both", (P,), r"PROTOCOL='both': expected one of 'auto', 'supervised', 'transfer'"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_key(protocol, names, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_config(config(protocol, names, (P,)))
    assert "DATASETS.P_DUKEMTMC.PROTOCOL" in str(caught.value)


def test_a_test_that_the_config_does_not_list_is_refused_too():
    cfg = config("supervised", (MARKET,), (MARKET,))
    with pytest.raises(ValueError, match="as P_DukeMTMC is tested"):
        check_p_dukemtmc(cfg, tested=True)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((P,), "supervised protocol, trained on P_Duke"),
        ((MARKET,), "transfer protocol, trained on M"),
    ],
)
def test_the_protocol_is_what_the_training_sets_say(names, expected):
    assert p_dukemtmc_protocol(config("auto", names, (P,))).startswith(expected)


@pytest.mark.parametrize(("names", "expected"), [((P,), "supervised"), ((MARKET,), "transfer")])
def test_the_stock_test_loader_logs_the_protocol(root, caplog, names, expected):
    with caplog.at_level(logging.INFO, logger="fastreid"):
        build.build_reid_test_loader(config("auto", names, (P,)), dataset_name=P, num_workers=0)
    lines = [r.getMessage() for r in caplog.records if "protocol" in r.getMessage()]
    assert len(lines) == 1 and lines[0].startswith(f"P_DukeMTMC: {expected} protocol")


def test_the_stock_loaders_refuse_a_contradiction(root):
    with pytest.raises(ValueError, match="'transfer'"):
        build.build_reid_train_loader(config("transfer", (P,), (P,)), combineall=False)
    with pytest.raises(ValueError, match="'supervised'"):
        build.build_reid_test_loader(
            config("supervised", (MARKET,), ()), dataset_name=P, num_workers=0
        )


def test_a_contradiction_is_refused_before_the_training_not_at_its_first_test(root):
    with pytest.raises(ValueError, match="'supervised'"):
        build.build_reid_train_loader(config("supervised", (MARKET,), (P,)), combineall=False)


def test_the_stock_train_loader_joins_occluded_and_whole_images(root):
    loader = build.build_reid_train_loader(config("supervised", (P,), (P,)), combineall=False)
    assert len(loader.dataset) == 4 and loader.dataset.num_classes == 2


def test_without_a_config_nothing_is_checked_or_logged(root, caplog):
    from fed_plugin.fastreid_adapter.datasets import P_DukeMTMC

    with caplog.at_level(logging.INFO, logger="fastreid"):
        assert len(P_DukeMTMC(root=str(root)).query) == 1
    assert "protocol" not in caplog.text
