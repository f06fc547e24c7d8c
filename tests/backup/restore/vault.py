"""A deployment that backs up and restores, as a test sees it, and plain ways to look at what came back.

Nothing here shares code with the engine except the handlers that are called and pg_dump.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.postgres import EmbeddedPostgres
from tests.support.backups import resealed
from tests.support.handler import Context, run_job
from tests.support.house import House

AS_OF = "2025-10-20T15:00:00Z"
NAME = "backup_2025_10_21_0000"
"""Midnight in Seoul."""
NEXT, NEXT_NAME = "2025-10-21T15:00:00Z", "backup_2025_10_22_0000"

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relname !~ '^nightshift_' ORDER BY 1
"""

_SEQUENCES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relname !~ '^nightshift_' ORDER BY 1
"""


_SET_ROLES = """
SELECT CAST(CAST(setrole AS regrole) AS text) FROM pg_db_role_setting
WHERE setrole <> 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class Vault:
    """A house whose database is backed up, and the databases that come of it.

    Attributes:
        target: URL of the database that `bring` fills, which is empty at first.
    """

    house: House
    postgres: EmbeddedPostgres
    target: str
    made: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return self.house.env

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL in the database that is backed up."""
        return self.house.sql(statement)

    def save(self, as_of: str = AS_OF, **event: Any) -> dict[str, Any]:
        """Take a backup, which must come to a good end."""
        answer = run_job("backup", self.env, {"scheduled_time": as_of, **event})
        assert answer["status"] == "ok", answer
        return answer

    def bring(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Restore the backup, or what the event asks for."""
        env = {**self.env, "RESTORE_DATABASE_URL": self.target}
        return run_job("restore_backup", env, {"backup": NAME, **event}, context)

    def rehearse(self, **event: Any) -> dict[str, Any]:
        """Rehearse the newest backup."""
        return run_job("rehearse", self.env, event)

    def manifest(self, name: str = NAME) -> dict[str, Any]:
        """As it lies in S3."""
        return dict(json.loads(self.object("manifest.json", name)))

    def forge(self, facts: dict[str, Any], name: str = NAME) -> None:
        """Write a manifest that says something else, and has a seal of its own."""
        self.put("manifest.json", resealed(facts), name)

    def object(self, key: str, name: str = NAME) -> bytes:
        """An object of a backup."""
        body = self.house.s3.client().get_object(Bucket=self.house.bucket, Key=self.key(key, name))["Body"].read()
        return bytes(body)

    def put(self, key: str, body: bytes, name: str = NAME) -> None:
        """Overwrite an object of a backup."""
        self.house.s3.client().put_object(Bucket=self.house.bucket, Key=self.key(key, name), Body=body)

    def remove(self, key: str) -> None:
        """Delete an object of the backup."""
        self.house.s3.client().delete_object(Bucket=self.house.bucket, Key=self.key(key))

    def key(self, key: str, name: str = NAME) -> str:
        return f"backup/{name}/{key}"

    def another(self) -> str:
        """URL of one more empty database."""
        name = f"target_{len(self.made)}"
        self.postgres.drop_database(name)
        self.made.append(name)
        return self.postgres.create_database(name)

    def scratch(self) -> list[str]:
        """The databases of rehearsals that there are."""
        found = self.postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE 'nightshift_rehearsal%'")
        return sorted(str(name) for (name,) in found)

    def schema(self, url: str) -> str:
        """What `pg_dump --schema-only` says, without its random tokens."""
        pg_dump = self.postgres.psql_path.with_name("pg_dump")
        done = subprocess.run([pg_dump, "--schema-only", url], capture_output=True, text=True, check=True)
        return re.sub(r"^\\(un)?restrict .*\n", "", done.stdout, flags=re.MULTILINE)

    def rows(self, url: str) -> dict[str, list[str]]:
        """Every row of every table and materialized view, as text; nightshift's own tables are not among them."""
        database = url.rpartition("/")[2]
        found = {}
        for (table,) in self.postgres.execute(_TABLES, database):
            texts = self.postgres.execute(f"SELECT t::text FROM ONLY {table} t", database)
            found[str(table)] = sorted(str(text) for (text,) in texts)
        return found

    def sequences(self, url: str) -> dict[str, tuple[Any, ...]]:
        """Where every sequence stands."""
        database = url.rpartition("/")[2]
        names = [str(name) for (name,) in self.postgres.execute(_SEQUENCES, database)]
        return {n: self.postgres.execute(f"SELECT last_value, is_called FROM {n}", database)[0] for n in names}

    def is_empty(self, url: str) -> bool:
        """Returns whether a database has no relation, type, function or schema of its users'."""
        catalogs = ("pg_class", "pg_type", "pg_proc", "pg_namespace")
        counts = " + ".join(f"(SELECT count(*) FROM {name} WHERE oid >= 16384)" for name in catalogs)
        found = self.postgres.execute(f"SELECT {counts}", url.rpartition("/")[2])
        return found == [(0,)]

    def close(self) -> None:
        """Drop what was made, and what is no part of any schema."""
        for (name,) in self.sql("SELECT quote_ident(pubname) FROM pg_publication"):
            self.sql(f"DROP PUBLICATION {name}")
        ours = self.house.url.rpartition("/")[2]
        self.sql(f"ALTER DATABASE {ours} RESET ALL")
        for (role,) in self.sql(_SET_ROLES):
            self.sql(f"ALTER ROLE {role} IN DATABASE {ours} RESET ALL")
        for name in self.made:
            self.postgres.drop_database(name)


@pytest.fixture
def vault(house: House, postgres: EmbeddedPostgres) -> Iterator[Vault]:
    """A deployment with an empty database to back up, and another to restore into."""
    for role in ("torture_owner", "torture_reader"):
        with suppress(Exception):
            postgres.execute(f"CREATE ROLE {role}")
    built = Vault(house, postgres, "")
    built.target = built.another()
    yield built
    built.close()
