"""The way back beside psql: the same rows into the same kind of table, without indexes.

Per round one fresh copy of the reference table is written out by psql, archived by nightshift, and then loaded twice:
by psql from its file, by nightshift from S3. Each load begins after a checkpoint and ends with its rows counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import contestants
from benchmarks.arena import COPY, Arena
from benchmarks.report import ratios, summary
from benchmarks.stopwatch import Measured
from local.chatlog import TABLE

BY_PSQL, BY_US = "loaded_by_psql", f"{TABLE}_restored"

HOW = {
    "psql": "\\copy … from a local file, binary, one transaction",
    "nightshift": "the whole restore by its handler: S3, SHA-256, Parquet, COPY, ledger; 2 workers",
}


def compare(place: Arena, rows: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all rounds; the result for `restore` as `benchmarks` prints it.

    Raises:
        ChildProcessError: a contestant failed.
        AssertionError: it did not load every row.
    """
    runs: dict[str, list[Measured]] = {"psql": [], "nightshift": []}
    for number in range(1, rounds + 1):
        for name, measured in _round(place, rows).items():
            runs[name].append(measured)
            say(
                f"restore, round {number}/{rounds} {name}: {measured.seconds:.2f} s for {measured.rows:,} rows,"
                f" peak {measured.peak_mb:.0f} MB"
            )
    found = {name: summary(measured, rows) for name, measured in runs.items()}
    return {"rows": rows, "rounds": rounds, "contestants": found, "ratios": ratios(found)}


def _round(place: Arena, rows: int) -> dict[str, Measured]:
    with place.fresh(rows) as url, tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        file = Path(directory) / "rows.bin"
        contestants.copy(place, url, f"{TABLE} to '{file}'")
        contestants.nightshift(place, url)
        place.postgres.execute(f"CREATE TABLE {BY_PSQL} AS SELECT * FROM {TABLE} WITH NO DATA", COPY)
        place.postgres.execute("CHECKPOINT")
        found = {"psql": contestants.copy(place, url, f"{BY_PSQL} from '{file}'")}
        place.postgres.execute("CHECKPOINT")
        found["nightshift"] = contestants.restore(place, url)
        for table in (BY_PSQL, BY_US):
            [(held,)] = place.postgres.execute(f"SELECT count(*) FROM {table}", COPY)
            if held != rows:
                raise AssertionError(f"{table} holds {held} of {rows} rows")
    return found
