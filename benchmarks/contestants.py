"""Who takes part, and how each is started: every run in a process of its own, timed inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.arena import BUCKET, COPY, Arena
from benchmarks.stopwatch import Measured, peak_mb
from local.chatlog import TABLE

ROOT = Path(__file__).resolve().parents[1]
SCHEDULED = datetime(2025, 10, 15, tzinfo=UTC)
CUTOFF = "2025-09-15T00:00:00+09:00"
"""Every row of the reference table is older."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to archive and delete.

    Attributes:
        is_peer: takes so long that it may run on fewer rows, and its time be scaled.
        how: one line for the reader.
    """

    name: str
    how: str
    run: Callable[[Arena, str], Measured]
    is_peer: bool = False


def psql(arena: Arena, url: str) -> Measured:
    """The floor: one statement that exports and deletes, its output thrown away; timed by psql itself."""
    return copy(arena, url, f"(DELETE FROM {TABLE} WHERE created_at < '{CUTOFF}' RETURNING *) to '/dev/null'")


def copy(arena: Arena, url: str, what: str) -> Measured:
    """psql's binary `\\copy`, timed by psql itself.

    Args:
        what: table or query, direction and file.
    """
    script = f"""\\timing on
\\copy {what} (format binary)
\\echo finished
"""
    command = [str(arena.postgres.psql_path), "--no-psqlrc", "--set=ON_ERROR_STOP=1", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_clean_env()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(script)
        process.stdin.flush()
        # It waits for more input now, and can still be asked for its peak memory.
        answer: list[str] = []
        while "finished" not in answer:
            line = process.stdout.readline()
            if not line:
                raise ChildProcessError("psql failed; its error is above")
            answer.append(line.strip())
        peak = peak_mb(process.pid)
        process.stdin.close()
    rows = next(int(line.split()[1]) for line in answer if line.startswith("COPY "))
    milliseconds = next(float(line.split()[1]) for line in answer if line.startswith("Time:"))
    return Measured(milliseconds / 1000, peak, rows)


def nightshift(arena: Arena, url: str, scheduled: datetime = SCHEDULED) -> Measured:
    """The whole cleanup, by its handler; afterwards the ledger must agree with the answer."""
    event = json.dumps({"scheduled_time": scheduled.isoformat()})
    measured = _handler(url, arena, "cleanup", event)
    if (recorded := arena.rows_in_ledger()) != measured.rows:
        raise AssertionError(f"the ledger holds {recorded} rows, the answer said {measured.rows}")
    return measured


def restore(arena: Arena, url: str) -> Measured:
    """The whole restore, by its handler, into a table of its own."""
    return _handler(url, arena, "restore", json.dumps({"table": TABLE}))


def _handler(url: str, arena: Arena, job: str, event: str) -> Measured:
    environment = {
        **arena.s3.env,
        "DATABASE_URL": url,
        "ARCHIVE_BUCKET": BUCKET,
        "CLEANUP_WORKERS": "2",
        "CLEANUP_VACUUM": "off",  # nobody else vacuums
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
    }
    return _child(sys.executable, "run_nightshift", [job, event], environment)


def awswrangler(arena: Arena, _url: str) -> Measured:
    arguments = [str(arena.postgres.port), COPY, BUCKET, CUTOFF]
    return _child(peers_python(), "run_awswrangler", arguments, arena.s3.env)


def seed(_arena: Arena, url: str) -> Measured:
    with tempfile.TemporaryDirectory(prefix="nightshift-seed-") as directory:
        return _child(peers_python(), "run_seed", [url, directory, CUTOFF], {})


CONTESTANTS = (
    Contestant("psql", "\\copy (DELETE … RETURNING *) to /dev/null, binary: the floor for one connection", psql),
    Contestant("nightshift", "the whole cleanup by its handler: Parquet, S3, proof, ledger; 2 workers", nightshift),
    Contestant("awswrangler", "pg8000, 100,000-row chunks to Parquet on S3, then DELETE", awswrangler, is_peer=True),
    Contestant("seed", "pandas, one CSV file on disk, then DELETE", seed, is_peer=True),
)


def peers_python() -> str:
    """The interpreter that has the peers' packages, which want other versions than ours.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = Path(os.environ.get("BENCH_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))
    if not path.exists():
        raise FileNotFoundError(f"no {path}: `make bench` prepares it, or leave the peers out with --only")
    return str(path)


def _child(python: str, module: str, arguments: Sequence[str], env: Mapping[str, str]) -> Measured:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        result = Path(directory) / "result.json"
        command = [python, "-m", f"benchmarks.{module}", *arguments, str(result)]
        child = subprocess.run(command, cwd=ROOT, env={**_clean_env(), **env}, stdout=subprocess.DEVNULL, check=False)
        if child.returncode != 0:
            raise ChildProcessError(f"{module} failed; its error is above")
        return Measured(**json.loads(result.read_text()))


def _clean_env() -> dict[str, str]:
    """Nothing of the caller's but what finds programs and our code."""
    paths = [str(ROOT), str(ROOT / "functions"), str(ROOT / "layers" / "shared")]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "LC_ALL": "C.UTF-8", "HOME": os.devnull}
