"""A soak: rehearsals in a row, by a role that is no superuser, on a server whose autovacuum is everywhere at once.

    python -m tests.backup.rehearsal_soak --rehearsals 60

Each has to prove the backup, and none may leave a database or a role behind. DROP DATABASE … WITH (FORCE) refuses such
a role where it meets an autovacuum worker; how often it did, the server's log tells.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.handler import run_job

BUSY = {
    "autovacuum_naptime": "1s",
    "autovacuum_max_workers": "10",
    "autovacuum_vacuum_threshold": "1",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_insert_threshold": "1",
    "autovacuum_vacuum_insert_scale_factor": "0",
    "autovacuum_analyze_threshold": "1",
    "autovacuum_analyze_scale_factor": "0",
    "autovacuum_vacuum_cost_delay": "20ms",
    "autovacuum_vacuum_cost_limit": "5",
}
"""Every table is vacuumed and analysed at once, and slowly: a worker stays for long in each database."""

AS_OF = "2025-10-20T15:00:00Z"
MET = re.compile(
    "ERROR:  (?:permission denied to terminate process|must be a superuser to terminate superuser process)"
)
"""The refusal, as 18 and as 13 to 16 word it."""


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        proven: rehearsals that proved the backup, without a warning.
        others: the answers of those that did not, or that warned.
        left: databases and roles that were there after a rehearsal.
        met: refusals of DROP DATABASE that the server's log has.
    """

    proven: int = 0
    others: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    met: int = 0

    def lines(self) -> list[str]:
        return [
            f"proven        {self.proven}",
            f"otherwise     {len(self.others)} {self.others[:3]}",
            f"left behind   {len(self.left)} {self.left[:3]}",
            f"autovacuum    refused DROP DATABASE {self.met} times",
        ]


@contextmanager
def busy_server() -> Iterator[EmbeddedPostgres]:
    """A server whose autovacuum is busy, with a role `night` that is none of its superusers."""
    with EmbeddedPostgres(settings={**DISPOSABLE, **BUSY}) as server:
        server.execute("CREATE ROLE night LOGIN CREATEDB CREATEROLE PASSWORD 'night5hift'")
        yield server


def rehearse_often(postgres: EmbeddedPostgres, env: dict[str, str], *, times: int, rows: int) -> Tally:
    """Back up a database of three tables, and rehearse the backup so many times.

    Args:
        env: of the deployment; `DATABASE_URL` is set here.
        rows: of each table.
    """
    postgres.create_database("busy")
    for number in range(3):
        postgres.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, body text)", "busy")
        filled = f"SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, {rows}) i"
        postgres.execute(f"INSERT INTO t{number} {filled}", "busy")
    postgres.execute("GRANT USAGE, CREATE ON SCHEMA public TO night", "busy")
    postgres.execute("GRANT pg_read_all_data TO night", "busy")
    env["DATABASE_URL"] = postgres.url_of("busy").replace("postgres@", "night:night5hift@")
    assert run_job("backup", env, {"scheduled_time": AS_OF})["status"] == "ok"
    tally = Tally()
    for _ in range(times):
        answer = run_job("rehearse", env, {})
        if answer["proven"] and "warnings" not in answer:
            tally.proven += 1
        else:
            tally.others.append(str(answer))
        tally.left += [str(name) for (name,) in postgres.execute(LEFT)]
    tally.met = len(MET.findall(postgres.log()))
    return tally


LEFT = """
SELECT CAST(datname AS text) FROM pg_database WHERE datname LIKE 'nightshift%'
UNION ALL SELECT CAST(rolname AS text) FROM pg_roles WHERE rolname LIKE 'nightshift%'
"""


def main(arguments: list[str]) -> None:
    """Run a soak, and print what it has seen; fails where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.backup.rehearsal_soak")
    parser.add_argument("--rehearsals", type=int, default=60)
    parser.add_argument("--rows", type=int, default=20_000)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with (
        busy_server() as postgres,
        EmbeddedS3() as s3,
        SlackServer(token="xoxb-soak") as slack,
        tempfile.TemporaryDirectory() as home,
    ):
        s3.create_bucket("soak")
        env = {
            **s3.env,
            "HOME": str(Path(home)),
            "ARCHIVE_BUCKET": "soak",
            "SLACK_BOT_TOKEN": "xoxb-soak",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": slack.url,
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        tally = rehearse_often(postgres, env, times=chosen.rehearsals, rows=chosen.rows)
    print("\n".join([*tally.lines(), f"seconds       {time.monotonic() - began:.0f}"]))
    assert tally.proven == chosen.rehearsals and not tally.left, "a rehearsal failed, or left something"


if __name__ == "__main__":
    main(sys.argv[1:])
