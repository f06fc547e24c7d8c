"""The benchmark says what it measured, scales only what it says it scales, and keeps stdout clean for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.contestants import CONTESTANTS
from benchmarks.restoring import HOW
from benchmarks.stopwatch import Measured, peak_mb

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT}/functions:{ROOT}/layers/shared"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_json_mode_prints_one_object_and_the_progress_elsewhere() -> None:
    done = bench("--rows", "20000", "--rounds", "2", "--only", "psql,nightshift", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert (result["rows"], result["rounds"]) == (20_000, 2)
    assert result["machine"]["postgres"]["fsync"] == "on"
    assert set(result["contestants"]) == set(result["restore"]["contestants"]) == {"psql", "nightshift"}
    assert set(result["restore"]["ratios"]) == {"psql/nightshift"}
    for found in (*result["contestants"].values(), *result["restore"]["contestants"].values()):
        assert 0 < found["min_s"] <= found["median_s"] <= found["max_s"]
        assert found["peak_mb"] > 1
        assert "scaled_from" not in found
    assert "round 2/2 nightshift" in done.stderr


def test_an_unknown_contestant_is_refused_before_anything_is_built() -> None:
    done = bench("--only", "psql,nobody")
    assert done.returncode == 2
    assert "unknown: nobody" in done.stderr
    assert "building" not in done.stderr


def test_the_median_is_scaled_where_fewer_rows_were_measured() -> None:
    runs = [Measured(seconds, 100.0 + seconds, 500) for seconds in (3.0, 1.0, 2.0)]
    assert report.summary(runs, 500) == {
        "median_s": 2.0,
        "min_s": 1.0,
        "max_s": 3.0,
        "rows_per_s": 250,
        "peak_mb": 103.0,
    }
    scaled = report.summary(runs, 2_000)
    assert (scaled["median_s"], scaled["rows_per_s"], scaled["scaled_from"]) == (8.0, 250, 500)


def test_ratios_and_table_name_every_contestant() -> None:
    contestants = {
        contestant.name: report.summary([Measured(float(place), 50.0, 100)], 200 if contestant.is_peer else 100)
        for place, contestant in enumerate(CONTESTANTS, 1)
    }
    found = report.ratios(contestants)
    assert found == {"psql/nightshift": 0.5, "awswrangler/nightshift": 3.0, "seed/nightshift": 4.0}
    machine = {
        "cpu": "a cpu",
        "cores": 2,
        "memory_gb": 4.0,
        "load_average": 0.1,
        "python": "3",
        "postgres": {"server_version": "18"},
    }
    result = {"rows": 200, "rounds": 1, "machine": machine, "contestants": contestants, "ratios": found}
    restored = {name: contestants[name] for name in HOW}
    result["restore"] = {"rows": 100, "rounds": 1, "contestants": restored, "ratios": {"psql/nightshift": 0.5}}
    shown = report.table(result, {contestant.name: contestant.how for contestant in CONTESTANTS}, HOW)
    assert "100 rows restored" in shown
    assert shown.count("time scaled from 100 rows") == 2
    for contestant in CONTESTANTS:
        assert contestant.how in shown


def test_the_peak_is_the_processs_own() -> None:
    ballast = bytearray(200_000_000)
    assert peak_mb() > len(ballast) / 1e6
    program = [sys.executable, "-c", "input(input())"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as small:
        assert small.stdin is not None
        assert small.stdout is not None
        small.stdin.write("started\n")
        assert small.stdout.read(7) == "started"
        assert 1 < peak_mb(small.pid) < 50
        small.kill()


def test_a_process_that_is_gone_has_no_peak() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    with pytest.raises(OSError, match="No such"):
        peak_mb(gone.pid)
