"""`python -m benchmarks.expiring`: expired jobs, all that hangs on them, and their files, beside one DELETE.

The yardstick is what PostgreSQL can do alone: `DELETE FROM job WHERE expires_at < …`, with ON DELETE CASCADE and an
index on every foreign key, in psql, one transaction. It forgets the files. nightshift deletes the same rows by its
handler, with the cascades and without, and every file by way of its outbox; the files' S3 is a server that only counts
(`local/counting_s3.py`), so that the time is nightshift's and PostgreSQL's.

Every run begins on a copy of the same database, after VACUUM ANALYZE and a checkpoint, and is proven from outside: of
each table exactly the living jobs' rows are left, and the server was told each expired file once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from benchmarks.arena import COPY, Arena, arena, machine
from benchmarks.contestants import ROOT, SCHEDULED
from benchmarks.expiring_report import YARDSTICK, summary, table
from benchmarks.run_expiring import Run
from local.counting_s3 import CountingS3
from local.job_data import LIFE, Jobs
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, TABLES, job_schema

BUCKET = "job-files"
FILES_A_JOB = ROWS_A_JOB["job_file"]

POLICY = """
[[expiry]]
table = "job"
expires_at = "expires_at"

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
buckets = ["job-files"]
"""


@dataclass(frozen=True, slots=True)
class Contest:
    """Where contestants meet, and over what."""

    place: Arena
    files: CountingS3
    jobs: Jobs

    def build(self, cascades: bool) -> None:
        """Make the database that is copied for every run."""
        url = self.place.postgres.create_database(_template(cascades))
        create_jobs(url, job_schema(cascades=cascades), self.jobs)

    @contextmanager
    def fresh(self, cascades: bool) -> Iterator[str]:
        """A copy, written out and read once; its URL."""
        postgres = self.place.postgres
        url = postgres.create_database(COPY, template=_template(cascades), strategy="file_copy")
        self.files.reset()
        try:
            postgres.execute("CHECKPOINT")
            for name in TABLES:
                postgres.execute(f"SELECT count(t) FROM {name} t", COPY)  # of whole rows: no index answers that
            yield url
        finally:
            postgres.drop_database(COPY)

    def check_rows(self) -> None:
        """Raise `AssertionError` unless the living jobs' rows are left, and no others."""
        for name, each in ROWS_A_JOB.items():
            [(left,)] = self.place.postgres.execute(f"SELECT count(*) FROM {name}", COPY)
            if left != each * self.jobs.living:
                raise AssertionError(f"{name}: {left} rows are left, not {each * self.jobs.living}")
        [(due,)] = self.place.postgres.execute(f"SELECT count(*) FROM job WHERE {_due()}", COPY)
        if due:
            raise AssertionError(f"{due} expired jobs are left, and as many living ones are gone")

    def check_files(self) -> None:
        """Raise `AssertionError` unless the server was told each expired job's files, once."""
        counts = self.files.counts()
        wanted = self.jobs.expired * FILES_A_JOB
        if set(counts) != {BUCKET} or not counts[BUCKET].deleted == counts[BUCKET].distinct == wanted:
            raise AssertionError(f"{wanted} files should have been deleted from {BUCKET}: {counts}")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to delete expired jobs.

    Attributes:
        cascades: whether the database's foreign keys cascade.
        how: one line for the reader.
    """

    name: str
    cascades: bool
    how: str
    run: Callable[[Contest, str], Run]


def psql(contest: Contest, url: str) -> Run:
    """One statement, timed by psql itself, whose memory says nothing."""
    done = subprocess.run(
        [str(contest.place.postgres.psql_path), "--no-psqlrc", "--set=ON_ERROR_STOP=1", url],
        input=f"\\timing on\nDELETE FROM job WHERE {_due()};\n",
        env=_clean_env(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ChildProcessError("psql failed; its error is above")
    milliseconds = next(float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("Time:"))
    return Run(milliseconds / 1000, 0.0, [])


def nightshift(contest: Contest, url: str) -> Run:
    """The whole job by its handler, in a process of its own; every file must have been deleted."""
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        policy, result = Path(directory) / "policy.toml", Path(directory) / "result.json"
        policy.write_text(POLICY)
        environment = {
            **_clean_env(),
            **contest.files.env,
            "DATABASE_URL": url,
            "NIGHTSHIFT_CONFIG": str(policy),
            "POWERTOOLS_LOG_LEVEL": "ERROR",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_SERVICE_NAME": "benchmark",
        }
        times = (SCHEDULED - 2 * LIFE, SCHEDULED)
        command = [sys.executable, "-m", "benchmarks.run_expiring", *map(datetime.isoformat, times), str(result)]
        child = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        if child.returncode != 0:
            raise ChildProcessError("run_expiring failed; its error is above")
        run = Run(**json.loads(result.read_text()))
    contest.check_files()
    return run


CONTESTANTS = (
    Contestant(YARDSTICK, True, "DELETE FROM job WHERE expires_at < …, ON DELETE CASCADE; files stay", psql),
    Contestant("cascade", True, "nightshift by its handler where foreign keys cascade; files deleted", nightshift),
    Contestant("no_action", False, "nightshift by its handler where they do not; files deleted", nightshift),
)


@click.command()
@click.option("--expired", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--living", type=click.IntRange(min=0), default=20_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--only", default="", help=f"Names, separated by commas: {','.join(one.name for one in CONTESTANTS)}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(expired: int, living: int, rounds: int, only: str, as_json: bool) -> None:
    """Delete expired jobs, by nightshift and by one statement."""
    chosen = _chosen(only)
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in chosen}
    with arena() as place, CountingS3() as files:
        contest = Contest(place, files, Jobs(expired, living, SCHEDULED, BUCKET))
        measured_on = machine(place)
        for cascades in sorted({contestant.cascades for contestant in chosen}):
            _say(f"building {_template(cascades)}: {expired:,} expired jobs, {living:,} living ones")
            contest.build(cascades)
        for number in range(1, rounds + 1):
            for contestant in chosen:
                run = _run(contest, contestant)
                runs[contestant.name].append(run)
                _say(f"round {number}/{rounds} {contestant.name}: {run.seconds:.2f} s")
    rows = expired * sum(ROWS_A_JOB.values())
    result = {
        "expired": expired,
        "living": living,
        "rows": rows,
        "files": expired * FILES_A_JOB,
        "rounds": rounds,
        "machine": measured_on,
        "contestants": summary(runs, rows),
    }
    how = {contestant.name: contestant.how for contestant in chosen}
    click.echo(json.dumps(result) if as_json else table(result, how))


def _run(contest: Contest, contestant: Contestant) -> Run:
    """One run, proven."""
    with contest.fresh(contestant.cascades) as url:
        try:
            run = contestant.run(contest, url)
            contest.check_rows()
        except (ChildProcessError, AssertionError) as exc:
            raise click.ClickException(f"{contestant.name}: {exc}") from exc
    return run


def _chosen(only: str) -> list[Contestant]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {contestant.name for contestant in CONTESTANTS}
    if unknown := set(names) - known:
        raise click.BadParameter(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    return [contestant for contestant in CONTESTANTS if not names or contestant.name in names]


def _due() -> str:
    return f"expires_at < timestamptz '{SCHEDULED.isoformat()}'"


def _template(cascades: bool) -> str:
    return "jobs_cascade" if cascades else "jobs_no_action"


def _clean_env() -> dict[str, str]:
    """Nothing of the caller's but what finds programs and our code."""
    paths = [str(ROOT), str(ROOT / "functions"), str(ROOT / "layers" / "shared")]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "LC_ALL": "C.UTF-8", "HOME": os.devnull}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
