"""Arm the import hook before any test imports the host, also where the .pth line is missing."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import projects_registry

projects_registry.arm()


@pytest.fixture(autouse=True)
def _host_logger_as_found():
    """Give the host's logger its level and handlers back.

    Commands that run in the tests' process silence it, and trainings add handlers that write to
    the test's own captured output.
    """
    logger = logging.getLogger("fastreid")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def run_python():
    """Run an interpreter on this checkout: ``run_python(*words, root=..., check=True)``.

    ``root`` is where the host finds data sets; keywords ``env`` and ``timeout`` go through. It
    returns what ``subprocess.run`` does, output captured as text.
    """
    checkout = Path(__file__).parents[1]

    def run(*words, root, check=True, timeout=300, env=None):
        names = {"PYTHONPATH": checkout, "FASTREID_DATASETS": root, "OMP_NUM_THREADS": 1}
        environment = {**os.environ, **{n: str(v) for n, v in {**names, **(env or {})}.items()}}
        result = subprocess.run(
            [sys.executable, *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
        return result

    return run


@pytest.fixture(scope="session")
def draw_posetrack():
    """Draw a PoseTrack21 of two frames and four persons, with the lists of Occluded-PoseTrack-ReID.

    ``draw(root)`` returns the folder ``root/PoseTrack21``; in a frame, person ``n`` is a box of the
    grey level ``n``.
    """
    sets = {
        "train": ("000001", {7: "train", 8: "train", 9: "none"}),
        "val": ("000342", {21: "query", 22: "gallery", 23: "gallery"}),
    }

    def draw(root):
        folder = Path(root) / "PoseTrack21"
        for which, (video, people) in sets.items():
            name = f"images/{which}/{video}_mpii_{which}/000000.jpg"
            frame = Image.new("RGB", (96, 48), "white")
            number = 10_000_000_000 + int(video) * 10_000
            annotations = []
            for place, pid in enumerate(people):
                box = [24.0 * place + 2, 4.0, 16.0, 32.0]
                frame.paste((pid, pid, pid), (int(box[0]), 4, int(box[0]) + 16, 36))
                own = {"id": number * 100 + place, "image_id": number, "person_id": pid % 20}
                annotations.append({**own, "bbox": box, "track_id": place, "category_id": 1})
            images = [{"id": number, "vid_id": video, "file_name": name, "is_labeled": True}]
            rows = {str(row): annotation["id"] for row, annotation in enumerate(annotations)}
            table = {"id": rows, "split": dict(zip(rows, people.values(), strict=True))}
            for path, content in {
                f"posetrack_data/{which}/{video}_mpii_{which}.json": {
                    "images": images,
                    "annotations": annotations,
                },
                f"occluded_posetrack_reid/{which}_dataset_sampling.json": table,
            }.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(json.dumps(content))
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            frame.save(folder / name, quality=95)
        return folder

    return draw


@pytest.fixture(scope="session")
def synthocc_root(tmp_path_factory):
    """A folder that holds SynthOcc tiny; not to be written to."""
    from fed_plugin.synthocc import build_synthocc

    root = tmp_path_factory.mktemp("datasets")
    build_synthocc(root / "SynthOcc", "tiny", workers=1)
    return root


@pytest.fixture
def on_synthocc(synthocc_root, monkeypatch):
    """Let the host find SynthOcc tiny; it read FASTREID_DATASETS when it was imported."""
    from fastreid.data import build

    monkeypatch.setattr(build, "_root", str(synthocc_root))
    return synthocc_root


@pytest.fixture(scope="session")
def full_card():
    """A protocol card that knows everything."""
    from fed_plugin.retrieval.protocol_card import ProtocolCard, SplitCard

    split = SplitCard(images=3, identities=2, cameras=2, list_sha256="ab" * 32)
    return ProtocolCard(
        dataset="SynthOcc",
        query=split,
        gallery=split,
        camera_rule="same identity and camera removed",
        same_camera_pairs=1,
        query_in_gallery=0,
        input_size=(256, 128),
        distance="cosine",
        flip=False,
        rerank="off",
        query_expansion="off",
        side_information="none",
        training_sets=("Market1501", "SynthOcc"),
        supervision="supervised",
        combineall=False,
        epoch_choice="last",
        epoch=12,
        seed=0,
        versions={"torch": "2.14.1", "numpy": "2.4.6"},
        commit="c0ffee",
    )


@pytest.fixture
def tiny_cfg(tmp_path):
    """Build a FED config small enough for milliseconds; keywords are merged as KEY VALUE."""

    configs = Path(__file__).parents[1] / "configs" / "FED"

    def make(*overrides, leaf="synthocc_vit_tiny"):
        from fastreid.config import get_cfg

        cfg = get_cfg()
        cfg.merge_from_file(str(configs / f"{leaf}.yml"))
        options = {
            "MODEL.DEVICE": "cpu",
            "MODEL.BACKBONE.FEAT_DIM": 32,
            "MODEL.BACKBONE.STRIDE_SIZE": (8, 8),
            "MODEL.FED.VIT.NUM_LAYERS": 1,
            "MODEL.FED.VIT.EMBED_DIM": 32,
            "MODEL.FED.VIT.NUM_HEADS": 2,
            "MODEL.FED.VIT.PATCH_SIZE": 8,
            "MODEL.HEADS.NUM_CLASSES": 6,
            "MODEL.FED.FDM.NUM_NEIGHBORS": 3,
            "INPUT.SIZE_TRAIN": [64, 32],
            "INPUT.SIZE_TEST": [64, 32],
            "SOLVER.IMS_PER_BATCH": 8,
            "SOLVER.MAX_EPOCH": 2,
            "SOLVER.WARMUP_ITERS": 2,
            "SOLVER.CHECKPOINT_PERIOD": 1,
            "TEST.EVAL_PERIOD": 1,
            "DATALOADER.NUM_WORKERS": 0,
            "OUTPUT_DIR": str(tmp_path / "run"),
        }
        cfg.merge_from_list([item for pair in options.items() for item in pair])
        cfg.merge_from_list(list(overrides))
        return cfg

    return make


@pytest.fixture(scope="session")
def random_crop():
    """Return a function that makes an (height, width, 3) uint8 crop from a seed."""

    def make(height: int, width: int, seed: int = 0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


SLOW_FILES = (
    "test_backbone_leaves.py",
    "test_soak_page.py",
    "test_example_project.py",
    "test_readme.py",
    "test_training_loop_folder_lock.py",
    "test_engine_launch.py",
    "synthocc/test_build.py",
    "test_training.py",
    "test_training_loop_bad_losses.py",
    "cli/test_demo.py",
    "test_training_loop.py",
)
"""Files that take longest; a file runs in one process, so that these files start first."""


def pytest_collection_modifyitems(items):
    def place(item):
        path = item.path.as_posix()
        return next(
            (i for i, name in enumerate(SLOW_FILES) if path.endswith(name)), len(SLOW_FILES)
        )

    items.sort(key=place)


FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod"}


@pytest.fixture
def kill_at():
    """Kill a call (SIGKILL) when it touches files of a folder for the n-th time.

    ``kill_at(folder, count, call)`` returns whether it was killed; otherwise it ended before.
    """

    def run(folder, count, call):
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, -signal.SIGKILL)
            return status != 0
        left = count

        def look(event, args):
            nonlocal left
            if event in FILE_EVENTS and args and str(folder) in str(args[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(look)
            call()
        except BaseException:
            os._exit(1)
        os._exit(0)

    return run
