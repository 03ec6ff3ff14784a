"""benchmarks/gpu.sh and its checks, without a GPU: the shell is right, every command exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu.sh"


def test_a_dry_run_prints_commands_that_fit_in_eight_minutes(tmp_path):
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", SCRIPT, "--dry"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    parts = re.findall(r"^(\w+), at most (\d+) s: (.*)$", done.stdout, re.MULTILINE)
    assert len(parts) == len(done.stdout.splitlines()) >= 7
    assert sum(int(seconds) for _, seconds, _ in parts[:-1]) < 480  # the last takes what is left
    for _, _, command in parts:
        scripts = re.findall(r"benchmarks/\S+\.(?:py|yml)", command)
        assert scripts or " -m fed_plugin " in command
        assert all((ROOT / script).is_file() for script in scripts)
    assert not (tmp_path / "out").exists()


def test_other_words_are_refused(tmp_path):
    done = subprocess.run(["bash", SCRIPT, "--wet"], capture_output=True, text=True)
    assert done.returncode == 2 and "[--dry]" in done.stderr


def test_the_checks_pass_on_the_cpu(run_python, tmp_path):
    words = ("--device", "cpu", "--leaf", "synthocc_vit_tiny", "--batch", 8)
    report = tmp_path / "checks.json"
    run_python(ROOT / "benchmarks" / "gpu_checks.py", *words, "--json", report, root=tmp_path)
    checks = json.loads(report.read_text())["checks"]
    assert len(checks) == 8 and all(row["ok"] for row in checks.values())
