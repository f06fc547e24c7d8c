"""One deployment, as a test sees it: an environment, what stands behind it, and plain ways to look at each.

Nothing here shares code with the archive engine except the handler that is called.
"""

from __future__ import annotations

import io
import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pg8000.native
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.handler import Context, run_cleanup

AS_OF = "2025-10-15T00:00:00Z"
"""Wednesday 09:00 in Seoul; with 30 days kept there, the cutoff is the beginning of 15 September."""

SLACK_TOKEN = "xoxb-test"
"""What the `slack` fixture expects."""

SEOUL_CUTOFF = "2025-09-15 00:00:00+09"


def identifier(name: str) -> str:
    """A name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class ArchivedObject:
    """An object that the ledger vouches for.

    Attributes:
        entry: its row in the ledger.
        file: the Parquet file.
    """

    entry: Mapping[str, Any]
    file: pq.ParquetFile

    @property
    def key(self) -> str:
        return str(self.entry["object_key"])

    @property
    def day(self) -> str:
        """The day that the key names."""
        return self.key.split("/dt=")[1].split("/")[0]

    @cached_property
    def rows(self) -> pa.Table:
        return self.file.read()


@dataclass
class House:
    """A deployment of nightshift on servers of the test's own.

    Attributes:
        env: the handler's environment; a test may change it.
        directory: for files of the test.
    """

    env: dict[str, str]
    s3: EmbeddedS3
    slack: SlackServer
    directory: Path
    url: str = field(init=False)
    """Of the database, as its owner, whatever the handler's environment comes to say."""
    _connection: pg8000.native.Connection | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.url = self.env["DATABASE_URL"]

    @property
    def database(self) -> str:
        """The database's name."""
        return self.url.rpartition("/")[2]

    @property
    def bucket(self) -> str:
        return self.env["ARCHIVE_BUCKET"]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL, one statement or several, each committed; returns the rows of the last one."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                return connection.execute(statement).fetchall()
        if self._connection is None:
            parts = urlsplit(self.url)
            self._connection = pg8000.native.Connection(
                "postgres", "127.0.0.1", self.database, parts.port or 5432, ssl_context=False
            )
        return [tuple(row) for row in self._connection.run(statement) or ()]

    def value(self, statement: str) -> Any:
        """The one value that a query returns."""
        ((value,),) = self.sql(statement)
        return value

    def texts(self, table: str, columns: str = "t.*::text", order: str = "1") -> list[str]:
        """One expression of every row, as text, sorted by the database."""
        return [str(row[0]) for row in self.sql(f"SELECT {columns} FROM {table} t ORDER BY {order}")]

    def policies(self, text: str) -> None:
        """Write the deployment's policy file."""
        path = self.directory / "policies.toml"
        path.write_text(text, encoding="utf-8")
        self.env["NIGHTSHIFT_CONFIG"] = str(path)

    def run(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Call the handler; `scheduled_time` is `AS_OF` unless given."""
        return run_cleanup(self.env, {"scheduled_time": AS_OF, **event}, context)

    def run_table(self, **event: Any) -> dict[str, Any]:
        """Call the handler; the one table's part of its answer."""
        (table,) = self.run(**event)["tables"]
        return dict(table)

    def ledger(self) -> list[dict[str, Any]]:
        """The ledger, oldest entry first; empty before the first run."""
        return self._own_table("nightshift_archive_object", "id")

    def runs(self) -> list[dict[str, Any]]:
        """The run history, oldest first; `result` parsed."""
        rows = self._own_table("nightshift_run", "started_at")
        return [{**row, "result": None if row["result"] is None else json.loads(row["result"])} for row in rows]

    def objects(self, table: str | None = None) -> list[ArchivedObject]:
        """The archive of one table, or of all, in order of time."""
        client = self.s3.client()
        found = []
        for entry in self.ledger():
            if entry["state"] == "archived" and table in (None, entry["table_name"]):
                body = client.get_object(Bucket=entry["bucket"], Key=entry["object_key"])["Body"].read()
                found.append(ArchivedObject(entry, pq.ParquetFile(io.BytesIO(body))))
        return sorted(found, key=lambda o: (o.day, o.entry["min_timestamp"] or "", o.key))

    def archived(self, table: str | None = None) -> list[dict[str, Any]]:
        """The archived rows, each with its object's day as `dt`."""
        return [{**row, "dt": one.day} for one in self.objects(table) for row in one.rows.to_pylist()]

    def archived_days(self, table: str, key: str = "id") -> dict[Any, str]:
        """The day under which each archived row lies, by the value of one column; asserts that no value comes twice."""
        found = [(k, one.day) for one in self.objects(table) for k in one.rows.column(key).to_pylist()]
        assert len(dict(found)) == len(found), "a row lies in the archive twice"
        return dict(found)

    def state(self) -> dict[str, Any]:
        """All that a refused run must leave as it was: every user table's rows, the ledger, the bucket."""
        return {
            "tables": {table: self._content(table) for table in self._user_tables()},
            "ledger": self.ledger(),
            "bucket": self.s3.keys(self.bucket),
        }

    def close(self) -> None:
        """Leave the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _user_tables(self) -> list[str]:
        if self.url.startswith("sqlite"):
            found = self.sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'nightshift_%'")
            return [identifier(str(name)) for (name,) in found]
        found = self.sql(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT LIKE 'nightshift_%'"
        )
        return [str(name) for (name,) in found]

    def _content(self, table: str) -> list[str]:
        if self.url.startswith("sqlite"):
            return sorted(map(repr, self.sql(f"SELECT * FROM {table}")))
        return self.texts(table, "t::text")

    def _own_table(self, name: str, order: str) -> list[dict[str, Any]]:
        exists = (
            f"SELECT count(*) FROM sqlite_master WHERE name = '{name}'"
            if self.url.startswith("sqlite")
            else f"SELECT count(*) FROM pg_class WHERE relname = '{name}'"
        )
        if not self.value(exists):
            return []
        columns = (
            f"SELECT name FROM pragma_table_info('{name}') ORDER BY cid"
            if self.url.startswith("sqlite")
            else f"SELECT attname FROM pg_attribute WHERE attrelid = '{name}'::regclass AND attnum > 0 ORDER BY attnum"
        )
        names = [str(column) for (column,) in self.sql(columns)]
        return [dict(zip(names, row, strict=True)) for row in self.sql(f"SELECT * FROM {name} ORDER BY {order}")]


@pytest.fixture
def surroundings(
    clean_environment: pytest.MonkeyPatch, s3: EmbeddedS3, bucket: str, slack: SlackServer
) -> dict[str, str]:
    """Everything of a handler's environment but the database."""
    return {
        **s3.env,
        "ARCHIVE_BUCKET": bucket,
        "SLACK_BOT_TOKEN": SLACK_TOKEN,
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack.url,
        "POWERTOOLS_METRICS_DISABLED": "true",
    }


@pytest.fixture
def house(
    surroundings: dict[str, str], postgres: EmbeddedPostgres, s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> Iterator[House]:
    """A deployment on an empty PostgreSQL database."""
    name = f"house_{uuid.uuid4().hex[:8]}"
    built = House({**surroundings, "DATABASE_URL": postgres.create_database(name)}, s3, slack, tmp_path)
    yield built
    built.close()
    postgres.drop_database(name)


@pytest.fixture
def guest(house: House) -> Iterator[str]:
    """A role that may log in and make tables, and no more; the handler uses it."""
    role = "guest"
    house.sql(f"CREATE ROLE {role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    house.env["DATABASE_URL"] = house.url.replace("postgres@", f"{role}@")
    yield role
    house.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def sqlite_house(
    surroundings: dict[str, str], sqlite_url: str, s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> House:
    """A deployment on an empty SQLite file."""
    sqlite3.connect(sqlite_url.removeprefix("sqlite:///")).close()
    return House({**surroundings, "DATABASE_URL": sqlite_url}, s3, slack, tmp_path)
