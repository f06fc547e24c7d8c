"""`python -m benchmarks.restoring_backup`: the way back beside `pg_restore` of a dump of the same database.

The database is the one of `benchmarks.backup`. pg_restore reads the dump from a local file, in one job and in two.
nightshift is timed from call to answer of its handler: manifest, every object fetched from an S3 on the same machine
and proven, schema, rows, indexes, and the comparison that pg_restore leaves out: every table's digest, every sequence,
the schema. Each begins with an empty database of its own after a checkpoint, and ends with its rows counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import backup
from benchmarks.arena import BUCKET, Arena, arena, machine
from benchmarks.contestants import ROOT
from benchmarks.report import ratios, summary
from benchmarks.stopwatch import Measured, peak_mb
from local.chatlog import TABLE

TARGET = "restored"
_POLL_S = 0.02


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=2_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(rows: int, rounds: int, as_json: bool) -> None:
    """Restore one database, by nightshift and by pg_restore."""
    runs: dict[str, list[Measured]] = {"pg_restore": [], "pg_restore -j2": [], "nightshift": []}
    with arena() as place, tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        measured_on = machine(place)
        _say(f"building the reference table: {rows:,} rows")
        place.build(rows)
        with place.fresh(rows) as url:
            backup._small_tables(url)
            dump = Path(directory) / "dump"
            subprocess.run([_program(place, "pg_dump"), "-Fc", f"--file={dump}", url], env=backup._env(), check=True)
            backup._nightshift(place, url)
            ways: dict[str, Callable[[str], Measured]] = {
                "pg_restore": partial(_pg_restore, place, dump, 1, rows),
                "pg_restore -j2": partial(_pg_restore, place, dump, 2, rows),
                "nightshift": partial(_nightshift, place, url),
            }
            for number in range(1, rounds + 1):
                for name, way in ways.items():
                    runs[name].append(measured := _run(place, way, rows))
                    _say(f"round {number}/{rounds} {name}: {measured.seconds:.2f} s, peak {measured.peak_mb:.0f} MB")
    found = {name: summary(measured, measured[0].rows) for name, measured in runs.items()}
    result: dict[str, Any] = {"rows": rows, "rounds": rounds, "machine": measured_on, "contestants": found}
    result["ratios"] = ratios(found)
    click.echo(json.dumps(result) if as_json else backup._table(result))


def _run(place: Arena, way: Callable[[str], Measured], rows: int) -> Measured:
    """One restore into a database of its own, proven from outside."""
    url = place.postgres.create_database(TARGET)
    try:
        place.postgres.execute("CHECKPOINT")
        measured = way(url)
        [(held,)] = place.postgres.execute(f"SELECT count(*) FROM {TABLE}", TARGET)
        last = f"small_{backup.SMALL_TABLES - 1}"
        [(few,)] = place.postgres.execute(f"SELECT count(*) FROM {last}", TARGET)
        [(indexes,)] = place.postgres.execute(f"SELECT count(*) FROM pg_indexes WHERE tablename = '{TABLE}'", TARGET)
    finally:
        place.postgres.drop_database(TARGET)
    if (held, few, indexes) != (rows, backup.SMALL_ROWS, 2):
        raise click.ClickException(f"{TABLE}: {held} rows, {indexes} indexes; {last}: {few} rows")
    return measured


def _pg_restore(place: Arena, dump: Path, jobs: int, rows: int, url: str) -> Measured:
    command = [str(_program(place, "pg_restore")), "--exit-on-error", f"--jobs={jobs}", f"--dbname={url}", str(dump)]
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=backup._env()) as running:
        while running.poll() is None:
            try:
                peak = max(peak, peak_mb(running.pid))
            except ProcessLookupError:
                break
            time.sleep(_POLL_S)
    if running.returncode:
        raise click.ClickException("pg_restore failed; its error is above")
    return Measured(time.perf_counter() - began, peak, rows)


def _nightshift(place: Arena, source: str, url: str) -> Measured:
    environment = {
        **backup._env(),
        **place.s3.env,
        "DATABASE_URL": source,
        "RESTORE_DATABASE_URL": url,
        "BACKUP_BUCKET": BUCKET,
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
    }
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        result = Path(directory) / "result.json"
        command = [sys.executable, "-m", "benchmarks.run_restoring_backup", str(result)]
        child = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        if child.returncode != 0:
            raise click.ClickException("run_restoring_backup failed; its error is above")
        return Measured(**json.loads(result.read_text()))


def _program(place: Arena, name: str) -> Path:
    return place.postgres.psql_path.with_name(name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
