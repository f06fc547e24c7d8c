"""The benchmark measures what it says, and what it measures is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_it_says_what_it_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.feedback", "--rows", "3000", "--rounds", "1", "--json"]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT}/functions:{ROOT}/layers/shared"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["rows"], found["rows_a_day"]) == (3000, 100)
    assert 0 < found["two_counts"] < found["report"] < found["first_run"] + found["with_chart"]
    assert done.stderr.count("two counts") == 2
