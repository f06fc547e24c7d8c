"""`python -m benchmarks.backup`: a backup beside `pg_dump -Fc` of the same database.

The database: the reference table and a hundred small ones, as a service has them. pg_dump writes to a local file, with
its default compression, and is timed from start to end. nightshift is timed from call to answer of its handler: the
snapshot, rows, digests, the schema (by pg_dump), every object sent to an S3 on the same machine, read back and
compared, and the manifest. Of each run it is proven from outside that the backup is whole: the inventory reads every
byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from benchmarks.arena import BUCKET, COPY, Arena, arena, machine
from benchmarks.contestants import ROOT, SCHEDULED
from benchmarks.report import ratios, summary
from benchmarks.stopwatch import Measured
from local.chatlog import connect
from nightshift.backup.inventory import find_backups
from nightshift.store import ObjectStore

SMALL_TABLES = 100
SMALL_ROWS = 200

_SMALL = """
CREATE TABLE small_{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(10,2),
    tags text[], created_at timestamptz NOT NULL);
INSERT INTO small_{n} (name, price, tags, created_at)
    SELECT 'name ' || i, i / 7.0, ARRAY['a', 'b' || i], timestamptz '2025-01-01' + i * interval '1 minute'
    FROM generate_series(1, {rows}) i
"""


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=2_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(rows: int, rounds: int, as_json: bool) -> None:
    """Back up one database, by nightshift and by pg_dump."""
    runs: dict[str, list[Measured]] = {"pg_dump": [], "nightshift": []}
    with arena() as place:
        measured_on = machine(place)
        _say(f"building the reference table: {rows:,} rows")
        place.build(rows)
        for number in range(1, rounds + 1):
            with place.fresh(rows) as url:
                _small_tables(url)
                place.postgres.execute("CHECKPOINT")
                for name, measured in (
                    ("pg_dump", _pg_dump(place, url, rows)),
                    ("nightshift", _nightshift(place, url)),
                ):
                    runs[name].append(measured)
                    _say(
                        f"round {number}/{rounds} {name}: {measured.seconds:.2f} s for {measured.rows:,} rows,"
                        f" peak {measured.peak_mb:.0f} MB"
                    )
                _check(place, rows)
    found = {name: summary(measured, measured[0].rows) for name, measured in runs.items()}
    result: dict[str, Any] = {"rows": rows, "rounds": rounds, "machine": measured_on, "contestants": found}
    result["ratios"] = ratios(found)
    click.echo(json.dumps(result) if as_json else _table(result))


def _small_tables(url: str) -> None:
    with closing(connect(url)) as connection:
        for number in range(SMALL_TABLES):
            for statement in _SMALL.format(n=number, rows=SMALL_ROWS).split(";"):
                connection.run(statement)


def _pg_dump(place: Arena, url: str, rows: int) -> Measured:
    """The yardstick; its memory says nothing."""
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        program = place.postgres.psql_path.with_name("pg_dump")
        began = time.perf_counter()
        subprocess.run([program, "-Fc", f"--file={directory}/dump", url], env=_env(), check=True)
        return Measured(time.perf_counter() - began, 0.0, rows + SMALL_TABLES * SMALL_ROWS)


def _nightshift(place: Arena, url: str) -> Measured:
    environment = {
        **_env(),
        **place.s3.env,
        "DATABASE_URL": url,
        "BACKUP_BUCKET": BUCKET,
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
    }
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        result = Path(directory) / "result.json"
        command = [sys.executable, "-m", "benchmarks.run_backup", SCHEDULED.isoformat(), str(result)]
        child = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        if child.returncode != 0:
            raise click.ClickException("run_backup failed; its error is above")
        return Measured(**json.loads(result.read_text()))


def _check(place: Arena, rows: int) -> None:
    """The backup is there, every byte of it, and has every row."""
    (backup,) = find_backups(ObjectStore(place.s3.client, BUCKET), "backup", deep=True)
    if not backup.is_good or backup.manifest is None:
        raise click.ClickException(f"the backup is {backup.state}: {', '.join(backup.reasons)}")
    saved = {entry.label: entry.rows for entry in backup.manifest.tables}
    if saved.pop("public.conversation_log") != rows or backup.manifest.schema.dump is None:
        raise click.ClickException(f"the backup of {COPY} is not complete")
    small = [count for label, count in saved.items() if label.startswith("public.small_")]
    if small != [SMALL_ROWS] * SMALL_TABLES:
        raise click.ClickException(f"{len(small)} small tables with {sum(small)} rows")


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['rows']:,} rows and {SMALL_TABLES} small tables, median of {result['rounds']} rounds"]
    for name, found in result["contestants"].items():
        spread = f"{found['min_s']:.2f}–{found['max_s']:.2f}"
        lines.append(f"{name:12}{found['median_s']:>9.2f}{spread:>16}{found['peak_mb']:>9.0f} MB")
    return "\n".join([*lines, *(f"{pair}: {ratio:.2f}" for pair, ratio in result["ratios"].items())])


def _env() -> dict[str, str]:
    """Nothing of the caller's but what finds programs and our code."""
    paths = [str(ROOT), str(ROOT / "functions"), str(ROOT / "layers" / "shared")]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "LC_ALL": "C.UTF-8", "HOME": os.devnull}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
