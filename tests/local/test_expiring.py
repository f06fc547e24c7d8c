"""The benchmark of expiring jobs says what it measured, and believes no contestant."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from benchmarks.arena import COPY, Arena
from benchmarks.contestants import SCHEDULED
from benchmarks.expiring import BUCKET, CONTESTANTS, Contest, psql
from benchmarks.expiring_report import summary, table
from benchmarks.run_expiring import Memory, Run
from local.counting_s3 import CountingS3
from local.job_data import Jobs, file_keys
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def contest(postgres: EmbeddedPostgres, s3: EmbeddedS3) -> Iterator[Contest]:
    with CountingS3() as files:
        yield Contest(Arena(postgres, s3), files, Jobs(20, 5, SCHEDULED, BUCKET))
    postgres.drop_database("jobs_cascade")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.expiring", *arguments]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT}/functions:{ROOT}/layers/shared"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_json_mode_prints_one_object_for_every_contestant() -> None:
    done = bench("--expired", "400", "--living", "100", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert (result["rows"], result["files"]) == (5_200, 1_600)
    assert result["machine"]["postgres"]["fsync"] == "on"
    assert list(result["contestants"]) == [contestant.name for contestant in CONTESTANTS]
    for name, found in result["contestants"].items():
        assert 0 < found["min_s"] <= found["median_s"] <= found["max_s"]
        assert found["ratio"] == 1 or name != "psql"
        assert ("peak_mb" in found) == (name != "psql")


def test_an_unknown_contestant_is_refused_before_anything_is_built() -> None:
    done = bench("--only", "psql,nobody")
    assert done.returncode == 2
    assert "unknown: nobody" in done.stderr
    assert "building" not in done.stderr


def test_rows_left_behind_or_gone_too_early_are_noticed(contest: Contest) -> None:
    contest.build(cascades=True)
    with contest.fresh(cascades=True) as url:
        with pytest.raises(AssertionError, match="job: 25 rows are left, not 5"):
            contest.check_rows()
        assert psql(contest, url).seconds > 0
        contest.check_rows()
        contest.place.postgres.execute("UPDATE job SET expires_at = expires_at - interval '1 day'", COPY)
        with pytest.raises(AssertionError, match="5 expired jobs are left"):
            contest.check_rows()
        contest.place.postgres.execute("DELETE FROM sms_log WHERE id = (SELECT max(id) FROM sms_log)", COPY)
        with pytest.raises(AssertionError, match="sms_log: 9 rows are left, not 10"):
            contest.check_rows()


def test_files_forgotten_or_deleted_twice_are_noticed(contest: Contest, clean_environment: pytest.MonkeyPatch) -> None:
    for name, value in contest.files.env.items():
        clean_environment.setenv(name, value)
    client = boto3.Session().client("s3")
    for last in (19, 20):
        with pytest.raises(AssertionError, match="80 files should have been deleted"):
            contest.check_files()
        contest.files.reset()
        for number in range(1, last + 1):
            client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in file_keys(number)]})
    contest.check_files()
    client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": file_keys(1)[0]}]})
    with pytest.raises(AssertionError, match="deleted=81, distinct=80"):
        contest.check_files()
    client.close()


def test_the_table_names_every_contestant_its_ratio_and_its_memory() -> None:
    runs = {
        "psql": [Run(2.0, 0.0, []), Run(1.0, 0.0, []), Run(3.0, 0.0, [])],
        "cascade": [Run(4.0, 80.0, [61.0, 62.0, 63.0, 64.0]), Run(6.0, 90.0, [71.0, 72.0, 73.0, 74.0])],
    }
    found = summary(runs, 1_000)
    assert found["psql"] == {"median_s": 2.0, "min_s": 1.0, "max_s": 3.0, "rows_per_s": 500, "ratio": 1.0}
    assert (found["cascade"]["ratio"], found["cascade"]["rows_per_s"], found["cascade"]["peak_mb"]) == (2.5, 200, 90.0)
    assert found["cascade"]["resident_mb"] == {"25": 71.0, "50": 72.0, "75": 73.0, "100": 74.0}
    assert "ratio" not in summary({"cascade": runs["cascade"]}, 1_000)["cascade"]
    machine = {"cpu": "a cpu", "cores": 2, "load_average": 0.1, "postgres": {"server_version": "18"}}
    result = {"expired": 1, "living": 0, "rows": 13, "files": 4, "rounds": 3, "machine": machine, "contestants": found}
    shown = table(result, {contestant.name: contestant.how for contestant in CONTESTANTS})
    assert "2.5" in shown and "74" in shown
    assert CONTESTANTS[0].how in shown and CONTESTANTS[2].how not in shown


def test_memory_is_told_for_a_moment_of_the_run() -> None:
    memory = Memory()
    memory.samples = [(10.0, 50.0), (11.0, 60.0), (12.0, 70.0), (20.0, 55.0)]
    assert [memory.at(share) for share in (0, 15, 50, 99, 100)] == [50.0, 60.0, 70.0, 70.0, 55.0]


def test_memory_is_looked_at_while_it_is_held() -> None:
    memory = Memory()
    memory.look()
    ballast = bytearray(100_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    memory.start()
    memory.stop()
    assert memory.at(100) - memory.at(0) > 90
