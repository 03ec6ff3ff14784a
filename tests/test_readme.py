"""The blocks of the README and of docs/ are run, tables are generated, names exist."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCK = re.compile(r"(?:<!-- (run[^>]*?) -->\n)?```(bash|python)\n(.*?)```", re.DOTALL)
BLOCKS = {
    page: [(match[1], match[2], match[3]) for match in BLOCK.finditer(text)]
    for page, text in PAGES.items()
}


def blocks_run(how):
    return [text for blocks in BLOCKS.values() for kind, _, text in blocks if kind == how]


def surroundings(*first):
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join((*first, str(Path(sys.executable).parent), os.environ["PATH"])),
        "OMP_NUM_THREADS": "1",
    }


def run(command, folder, first=(), **options):
    environment = surroundings(*first)
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr[-1500:]
    return result.stdout


def test_every_block_says_how_it_is_run():
    assert len(BLOCKS["README.md"]) >= 6
    ways = {how for blocks in BLOCKS.values() for how, _, _ in blocks}
    shown = {how for how in ways if how.startswith("run: shown ")}
    assert shown and ways - shown == {"run", "run: make -n", "run: by hand"}


def test_blocks_that_show_a_file_are_in_it():
    for blocks in BLOCKS.values():
        for how, _, text in blocks:
            if how.startswith("run: shown "):
                assert text in (ROOT / how.removeprefix("run: shown ")).read_text(encoding="utf-8")


def test_the_readme_is_a_front_door():
    assert len(PAGES["README.md"].splitlines()) <= 120


def test_no_page_names_a_document_that_is_not_here():
    for page, text in PAGES.items():
        assert not re.search(r"\b(FED|HOST|DESIGN|STYLE|HOUSE|DATASETS|WEIGHTS)\.md", text), page


def test_the_readme_links_every_page():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", PAGES["README.md"]))
    assert linked == set(PAGES) - {"README.md"}


WRITTEN = {
    "README.md": ["logs/synthocc/vit_tiny/model_final.pth", "answers.png", "fed.json"],
    "docs/host_defects.md": [],  # no blocks: test_mending.py compares its headings with the mends
    "docs/method.md": [],  # no blocks
    "docs/backbones.md": [],  # python that asserts
    "docs/benchmark.md": ["results/results.json"],
    "docs/search.md": ["gallery.npz", "answers.json", "answers.png", "ranking.png", "curves.html"],
    "docs/configuration.md": [],  # python that asserts
    "docs/costs.md": ["results/costs.json"],
    "docs/deployment.md": ["fed.onnx"],
    "docs/dumps.md": ["stock.npz", "resnet.npz", "result.json", "all.json"],
    "docs/model_card.md": [],  # no blocks: test_model_card.py looks its numbers up
    "docs/report.md": ["results/report/report.html", "results/report/report.csv"],
    "docs/reliability.md": ["logs/synthocc/vit_tiny/model_final.pth"],
    "docs/results.md": [],  # no blocks: tables that readme_results.py writes
    "docs/speed.md": [],  # no blocks: a table that benchmarks/speed/page.py writes
    "docs/robustness.md": ["fed.json", "curves.svg", "pasted.png"],
    "docs/weights.md": [],  # no blocks
    "docs/training.md": ["logs/two_machines/model_final.pth", "logs/two_machines/log.txt.rank1"],
    "docs/data.md": ["logs/my_cameras/model_final.pth", "mined/manifest.json", "augment.png"],
}


RUN_ELSEWHERE = {"docs/extending.md"}  # test_example_project.py


COLD = {"README.md", "docs/reliability.md", "docs/training.md"}
"""Pages whose programs start cold, as a user's: the first that is read, kills, two machines."""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder with a ``fed-plugin`` and a ``python`` that need not import the host again."""
    folder = tmp_path_factory.mktemp("warm")
    script, path = ROOT / "tests" / "warm_start.py", folder / "socket"
    for name in ("fed-plugin", "python"):
        line = f'exec {sys.executable} -I -S {script} ask {path} {name} "$@"'
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    log = (folder / "log").open("w")
    words = [sys.executable, str(script), "serve", str(path)]
    server = subprocess.Popen(
        words, env=surroundings(), stdout=log, stderr=log, start_new_session=True
    )
    while not path.exists():
        assert server.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    yield folder
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    log.close()


@pytest.mark.parametrize("page", sorted(set(PAGES) - RUN_ELSEWHERE))
def test_blocks_marked_run_do_run(page, tmp_path, request):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    first = () if page in COLD else (str(request.getfixturevalue("warm")),)
    python = f"{first[0]}/python" if first else sys.executable
    for how, language, text in BLOCKS[page]:
        if how == "run" and language == "bash":
            run(["bash", "-euc", text], tmp_path, first, timeout=400)
        elif how == "run":
            run([python, "-c", text], tmp_path, first, timeout=100)
    assert [path for path in WRITTEN[page] if not (tmp_path / path).is_file()] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("python -c 'import fastreid, sys; print(sys.argv); sys.exit(3)'", 3),
        ("python -c '1 / 0'", 1),
        ("python -c 'import os; os.kill(os.getpid(), 9)'", 137),
        ("fed-plugin no_such_command", 2),
        ("FASTREID_PROJECTS=off python -c ''", 2),
        ("cd / && python -c 'import os; assert os.getcwd() == \"/\"'", 0),
    ],
)
def test_a_warm_start_ends_as_its_program_does(warm, words, code):
    result = subprocess.run(["bash", "-c", words], env=surroundings(str(warm)), capture_output=True)
    assert result.returncode == code, result.stderr


@pytest.mark.parametrize("text", blocks_run("run: make -n"))
def test_make_knows_its_targets(text):
    for line in text.splitlines():
        run(["bash", "-c", line.replace("make ", "make -n ", 1)], ROOT)


@pytest.mark.parametrize("text", blocks_run("run: by hand"))
def test_blocks_run_by_hand_are_shell_and_name_configs_that_exist(text):
    run(["bash", "-nc", text], ROOT)
    names = re.findall(r"--config-file (?:\S*/)?(\w+?)(?:\.yml)?(?=\s)", text)
    for name in names:
        assert (ROOT / "configs" / "FED" / f"{name}.yml").is_file()


def headings(text):
    """Names of the headings of a page, as links spell them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_point_at_something(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if "://" not in target:
            assert path.is_file(), target
            assert not heading or heading in headings(path.read_text(encoding="utf-8")), target


WRITERS = ["readme_results.py", "backbones_page.py"]
WRITERS += [f"speed/{name}.py" for name in ("page", "scaling_page", "retrieval_page")]


@pytest.mark.parametrize("script", WRITERS)
def test_the_results_are_those_that_were_measured(script):
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / script), "--check"], check=True)
