"""A drawn data set, a small stock config, and host modules as they are without any mend."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import threading
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import projects_registry

assert projects_registry  # imported first: it arms the mends before anything imports the host


@pytest.fixture(autouse=True)
def _where_the_defect_is(request):
    """Skip a test of a defect on releases that do not have it; its mend is a no-op there."""
    for marker in request.node.iter_markers("defect_since"):
        package, first = marker.args
        have = version(package)
        if _numbers(have) < _numbers(first):
            pytest.skip(f"the defect came with {package} {first}, this is {have}")


def _numbers(release):
    return tuple(map(int, release.split(".")[:2]))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def stock():
    """Run the body of a host module once more, past the import hook: the host as it was shipped."""

    def load(name: str):
        parent = importlib.import_module(name.rpartition(".")[0])
        spec = importlib.machinery.PathFinder.find_spec(name, parent.__path__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def draw_market(root, identities=6, images=4):
    """Draw identities as two-coloured noise in Market-1501's layout; return its parent."""
    generator = np.random.default_rng(0)
    colours = generator.integers(40, 216, size=(identities, 2, 3))
    for folder, first in (("bounding_box_train", 1), ("query", 101), ("bounding_box_test", 101)):
        target = root / "Market-1501-v15.09.15" / folder
        target.mkdir(parents=True)
        for identity in range(identities):
            for shot in range(1 if folder == "query" else images):
                camera = 1 if folder == "query" else 1 + shot % 2
                pixels = np.repeat(colours[identity], 32, axis=0)[:, None].repeat(32, axis=1)
                pixels = pixels + generator.integers(-30, 31, size=pixels.shape)
                name = f"{first + identity:04d}_c{camera}s1_{shot:06d}_00.jpg"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / name)
    return root


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """The parent folder of a drawn Market-1501: 6 identities x 4 images to train on."""
    return draw_market(tmp_path_factory.mktemp("datasets"))


@pytest.fixture
def market_root(market, monkeypatch):
    """Let the host find the drawn data set, which it looks up once, at import."""
    import fastreid.data.build

    monkeypatch.setattr(fastreid.data.build, "_root", str(market))
    return market


TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.DEPTH": "18x",
    "MODEL.BACKBONE.FEAT_DIM": 512,
    "MODEL.BACKBONE.LAST_STRIDE": 1,
    "MODEL.BACKBONE.PRETRAIN": False,
    "MODEL.HEADS.WITH_BNNECK": True,
    "MODEL.LOSSES.NAME": ("CrossEntropyLoss", "TripletLoss"),
    "INPUT.SIZE_TRAIN": [64, 32],
    "INPUT.SIZE_TEST": [64, 32],
    "DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler",
    "DATALOADER.NUM_INSTANCE": 2,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.OPT": "SGD",
    "SOLVER.BASE_LR": 0.01,
    "SOLVER.BIAS_LR_FACTOR": 2.0,
    "SOLVER.WEIGHT_DECAY_NORM": 0.0,
    "SOLVER.IMS_PER_BATCH": 8,
    "SOLVER.MAX_EPOCH": 2,
    "SOLVER.WARMUP_ITERS": 2,
    "SOLVER.STEPS": [1],
    "SOLVER.CHECKPOINT_PERIOD": 1,
    "TEST.EVAL_PERIOD": 2,
    "TEST.IMS_PER_BATCH": 16,
}


@pytest.fixture
def tiny_options():
    """Return a function that lists the options of a stock ResNet-18 run as a command line does."""

    def make(**overrides):
        return [str(item) for pair in {**TINY, **overrides}.items() for item in pair]

    return make


@pytest.fixture
def tiny_cfg(tmp_path, tiny_options):
    """Return a function that makes the config of a stock ResNet-18 run on the drawn data set."""
    from fastreid.config import get_cfg

    def make(**overrides):
        (tmp_path / "run").mkdir(exist_ok=True)
        cfg = get_cfg()
        cfg.merge_from_list(tiny_options(**{"OUTPUT_DIR": str(tmp_path / "run"), **overrides}))
        return cfg

    return make


@pytest.fixture
def log(caplog):
    """Catch what the mends log, whatever the host does to its loggers meanwhile."""
    logger = logging.getLogger("fastreid.compat")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger="fastreid.compat")
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def in_time():
    """Return a function that runs another in a thread: a hang is a failure, not the tests' end."""

    def run_in_time(function, seconds=20):
        outcome = []

        def run():
            try:
                outcome.append(("returned", function()))
            except BaseException as error:
                outcome.append(("raised", error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        assert outcome, f"still running after {seconds} seconds"
        return outcome[0]

    return run_in_time


@pytest.fixture
def arguments():
    """The command line that ``default_setup`` logs."""
    return SimpleNamespace(config_file="", eval_only=False)
