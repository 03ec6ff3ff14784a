"""The README's blocks are run, its table is generated, its names exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- (run[^>]*?) -->\n)?```(bash|python)\n(.*?)```", re.DOTALL)
BLOCKS = [(match[1], match[2], match[3]) for match in BLOCK.finditer(README)]


def run(command, folder, **options):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr[-1500:]
    return result.stdout


def test_every_block_says_how_it_is_run():
    assert len(BLOCKS) >= 6
    assert {how for how, _, _ in BLOCKS} == {"run", "run: make -n", "run: by hand"}


def test_blocks_marked_run_do_run(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for how, language, text in BLOCKS:
        if how == "run" and language == "bash":
            run(["bash", "-euc", text + "\nexport -p"], tmp_path, timeout=400)
        elif how == "run":
            run([sys.executable, "-c", text], tmp_path, timeout=100)
    assert (tmp_path / "logs" / "synthocc" / "vit_tiny" / "model_final.pth").is_file()


@pytest.mark.parametrize("text", [t for how, _, t in BLOCKS if how == "run: make -n"])
def test_make_knows_its_targets(text):
    for line in text.splitlines():
        run(["bash", "-c", line.replace("make ", "make -n ", 1)], ROOT)


@pytest.mark.parametrize("text", [t for how, _, t in BLOCKS if how == "run: by hand"])
def test_blocks_run_by_hand_are_shell_and_name_configs_that_exist(text):
    run(["bash", "-nc", text], ROOT)
    names = re.findall(r"--config-file (?:\S*/)?(\w+?)(?:\.yml)?(?=\s)", text)
    for name in names:
        assert (ROOT / "configs" / "FED" / f"{name}.yml").is_file()


def test_links_and_pictures_point_at_something():
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (ROOT / target).is_file(), target


def test_the_results_are_those_that_were_measured():
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "readme_results.py"), "--check"], check=True
    )
