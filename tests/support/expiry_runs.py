"""Runs of `expire_jobs`, and what has to hold after every one of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from tests.support.handler import run_job
from tests.support.house import House

NOW = "2025-10-15T05:00:00Z"
"""When the runs of these tests are scheduled, unless they say otherwise."""

DUE, LATER = "2025-10-15 04:59:59", "2025-10-15 05:00:00"
"""Just before that time, and sharp, on UTC's wall clock."""

JOB = '[[expiry]]\ntable = "job"\ntimezone = "UTC"\n'
"""A policy for the table of `MAKE_JOB`; more lines may follow."""

MAKE_JOB = "CREATE TABLE job (id int PRIMARY KEY, expires_at timestamp);"


CHILDREN = """
CREATE TABLE part (id int PRIMARY KEY, job_id int REFERENCES job, s3_key text);
CREATE TABLE scan (id int, part_id int REFERENCES part ON DELETE CASCADE);
CREATE TABLE kept (id int, job_id int REFERENCES job ON DELETE SET NULL, s3_key text);
INSERT INTO part VALUES (10, 1, 'p10'); INSERT INTO scan VALUES (100, 10); INSERT INTO kept VALUES (1000, 1, 'k');
"""
"""Below the table of `MAKE_JOB`: two that lose rows with it, and one that keeps its own."""

TABLES = ("job", "part", "scan")
"""Those that lose rows."""


def jobs(*due: int, living: Sequence[int] = ()) -> str:
    """SQL that fills the table of `MAKE_JOB`."""
    rows = [f"({n}, '{DUE}')" for n in due] + [f"({n}, '{LATER}')" for n in living]
    return f"INSERT INTO job (id, expires_at) VALUES {', '.join(rows)};"


def numbered(sql: str, n: int) -> str:
    """SQL, or a policy, for the n-th of several sets of these tables."""
    for table in (*TABLES, "kept"):
        for end in (" ", ",", '"'):
            sql = sql.replace(table + end, f"{table}{n}{end}")
    return sql


def files_of(table: str, key: str = "s3_key", more: str = "") -> str:
    """A policy's entry for a table's files."""
    return f'[[expiry.files]]\ntable = "{table}"\nkey = "{key}"\n{more}\n'


def script(house: House, sql: str) -> None:
    """Several statements, on either database; SQLite's own checks of foreign keys are off meanwhile."""
    if not house.url.startswith("sqlite"):
        house.sql(sql)
        return
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as connection:
        connection.executescript(sql)


def label(house: House, table: str) -> str:
    """What the answer calls a table of the default schema."""
    return table if house.url.startswith("sqlite") else f"public.{table}"


def column(house: House, table: str, name: str = "id") -> list[Any]:
    """The values of a column, in order."""
    return [value for (value,) in house.sql(f"SELECT {name} FROM {table} ORDER BY {name}")]


def put(house: House, *keys: str, bucket: str | None = None) -> None:
    """Make sure that there are such files; in the house's bucket unless another is named."""
    for key in keys:
        house.s3.client().put_object(Bucket=bucket or house.bucket, Key=key, Body=b"x")


def outbox(house: House) -> list[tuple[Any, ...]]:
    """Bucket and key of what is in the outbox, in order."""
    entries = house.sql("SELECT bucket, object_keys FROM nightshift_file_deletion")
    return sorted((bucket, key) for bucket, keys in entries for key in json.loads(keys))


def wait_in_outbox(house: House, bucket: str, key: str, *, next_try: str) -> None:
    """Put a file into the outbox, as one that earlier runs could not delete."""
    columns = "bucket, object_keys, files, run_id, attempts, next_try"
    values = f"'{bucket}', '{json.dumps([key])}', 1, 'x', 1, '{next_try}'"
    script(house, f"INSERT INTO nightshift_file_deletion ({columns}) VALUES ({values})")


def expire(house: House, **event: Any) -> dict[str, Any]:
    """Call the handler; `scheduled_time` is `NOW` unless given."""
    return run_job("expire_jobs", house.env, {"scheduled_time": NOW, **event})


def expired(house: House, policy: str, **event: Any) -> dict[str, Any]:
    """Expire all that is due, and check what has to hold whatever that was:

    the dry run changes nothing and counts what the real run deletes; that is what is missing afterwards, table by
    table; and a second run for the same moment does nothing.

    Returns:
        the real run's answer.
    """
    house.policies(policy)
    before = house.state()
    dry = expire(house, dry_run=True, **event)
    assert house.state() == before
    assert dry["status"] in ("dry_run", "nothing"), dry

    answer = expire(house, **event)

    after = house.state()
    assert answer["status"] in ("ok", "nothing"), answer
    missing = _plain({table: len(rows) - len(after["tables"][table]) for table, rows in before["tables"].items()})
    counts = _counts(answer)
    assert counts == {table: missing.get(table) for table in counts}
    assert sum(counts.values()) == sum(count for table, count in missing.items() if table not in _wholes(house))
    assert _counts(dry) == counts
    assert [t["expired"] for t in dry["tables"]] == [t["expired"] for t in answer["tables"]]
    assert dry["files"]["queued"] == answer["files"]["queued"]
    assert outbox(house) == []
    again = expire(house, **event)
    assert again["status"] == "nothing", again
    assert house.state() == after
    if house.url.startswith("sqlite"):
        assert house.sql("PRAGMA foreign_key_check") == []
    return answer


def only(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The one table's part of an answer."""
    (table,) = answer["tables"]
    return dict(table)


def deleted(answer: Mapping[str, Any]) -> dict[str, int]:
    """Rows by table, without its schema, that are gone."""
    return {table.rpartition(".")[2]: count for table, count in _counts(answer).items()}


def refused(house: House, *policies: str, **event: Any) -> list[dict[str, Any]]:
    """Run policies that must all be refused with nothing touched, dry or not; the refusal of each, in their order."""
    house.policies("".join(policies))
    before = house.state()
    answers = [expire(house, dry_run=dry_run, **event) for dry_run in (True, False)]
    for answer in answers:
        assert (answer["status"], answer["complete"]) == ("refused", False)
        for table in answer["tables"]:
            assert (table["status"], table["expired"], table["deleted_rows"]) == ("refused", 0, {}), table
    assert house.state() == before
    assert outbox(house) == []
    preview, refusals = ([table["refusal"] for table in answer["tables"]] for answer in answers)
    assert preview == refusals
    seen = house.slack.messages[-1].seen
    assert "⛔" in seen and refusals[0]["message"].partition(" (")[0].partition(", and `")[0] in seen
    assert all(refusal["hint"] for refusal in refusals)
    return refusals


def _wholes(house: House) -> set[str]:
    """Partitioned tables: their rows are their partitions'."""
    if house.url.startswith("sqlite"):
        return set()
    found = house.sql("SELECT concat(relnamespace::regnamespace, '.', relname) FROM pg_class WHERE relkind = 'p'")
    return {str(name).replace('"', "") for (name,) in found}


def _counts(answer: Mapping[str, Any]) -> dict[str, int]:
    """Rows by table that are gone, over all policies; without quotes, and without tables that lost none."""
    total: dict[str, int] = {}
    for table in answer["tables"]:
        for name, count in table["deleted_rows"].items():
            total[name] = total.get(name, 0) + count
    return _plain(total)


def _plain(counts: Mapping[str, int]) -> dict[str, int]:
    return {name.replace('"', ""): count for name, count in counts.items() if count}
