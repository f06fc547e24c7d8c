"""One database on which all jobs work at once, as a role without superuser, and the promises that hold meanwhile.

`event_log` has a retention *and* an expiry, by another column: two jobs delete its rows into one archive, and restores
bring them back under a hold. The document service's jobs expire beside it with their files, the application at work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightshift.backup.inventory import BackupState, find_backups
from nightshift.store import ObjectStore
from tests.support.child import JobChild, Work
from tests.support.expiring import AS_OF, POLICY, JobScene
from tests.support.multiset import Row, ledger, rows_in_entry, rows_in_table

ROLE = "crew"
TABLE = "event_log"
SHARED = f"""
[[retention]]
table = "{TABLE}"
keep_days = 30
timezone = "UTC"
[[expiry]]
table = "{TABLE}"
timezone = "UTC"
archive = true
"""
HOLD = "2025-12-01T00:00:00+00:00"
"""A hold that outlasts every run but those that come after its end."""

_INSERT = """
INSERT INTO event_log SELECT i, 'event ' || i || repeat(' 로그', 20),
  timestamptz '{as_of}' - CASE WHEN i % 4 IN (0, 1) THEN interval '40 days' ELSE interval '2 days' END
    - interval '1 minute' * (i % 5000),
  timestamptz '{as_of}' + CASE WHEN i % 4 IN (1, 2) THEN interval '-1 day' ELSE interval '300 days' END
FROM generate_series({first}, {last}) i
"""
"""Of four rows one is due by its age, one by both, one by its expiry, and one by neither."""

KEPT = 3
"""Remainder, by four, of the rows that are not due at all."""


@dataclass
class AllJobs(JobScene):
    """A deployment that runs every job.

    Attributes:
        events: the rows of `event_log` that were ever inserted.
        last: the identifier of the newest.
        held: rows that a check found under a hold, over all checks.
    """

    events: Counter[Row] = field(default_factory=Counter)
    last: int = 0
    held: int = 0
    _objects: dict[str, Counter[Row]] = field(default_factory=dict)
    _released: set[str] = field(default_factory=set)

    def prepare(self, jobs: int) -> None:
        """Make the tables, all of them the role's own, and log in as that role from now on."""
        self.sql(f"CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE; GRANT ALL ON SCHEMA public TO {ROLE}")
        self.sql(f"ALTER DATABASE {self.database} OWNER TO {ROLE}")
        self.fill(jobs, 4, cascades=True)
        self.sql(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL,"
            " expires_at timestamptz NOT NULL);"
            f" CREATE INDEX ON {TABLE} (created_at); CREATE INDEX ON {TABLE} (expires_at)"
        )
        for name in self._user_tables():
            self.sql(f"ALTER TABLE {name} OWNER TO {ROLE}")
        self.policies(POLICY + SHARED)
        self.env["DATABASE_URL"] = self.url.replace("postgres@", f"{ROLE}@") + "?sslmode=disable"

    def add_events(self, rows: int) -> None:
        """Insert rows of all four kinds."""
        first, self.last = self.last + 1, self.last + rows
        self.sql(_INSERT.format(as_of=AS_OF, first=first, last=self.last))
        self.events += rows_in_table(self.url, f"{TABLE} WHERE id >= {first}")

    def start(self, job: str, event: Mapping[str, Any], *, work: Work | None = None) -> JobChild:
        """A run of any job, in a process of its own."""
        child = JobChild(self.env, event, job=job, work=work)
        self.children.append(child)
        return child

    def stored(self) -> set[str]:
        """The files of the service: archive and backups are in the same bucket."""
        return {key for key in super().stored() if key.startswith("jobs/")}

    def end_holds(self) -> None:
        """As if the time of every hold had come; a later restore may set one on these objects again, without rows."""
        self._released |= self._held_keys()
        self.sql(f"UPDATE nightshift_restored_object SET hold_until = '{AS_OF}' WHERE hold_until > '{AS_OF}'")

    def assert_promises(self) -> None:
        """Nothing lost, nothing twice, nothing early, each backup whole."""
        self.assert_sound()
        table = rows_in_table(self.url, TABLE)
        found = table + self._archived("archived")
        lost, doubled = self.events - found, found - self.events
        assert not lost and not doubled, f"{lost.total()} rows lost, {doubled.total()} rows twice"
        early = Counter(row for row in self.events if row[0] % 4 == KEPT) - table
        assert not early, f"{early.total()} rows that are not due are gone"
        held = self._held() - table
        assert not held, f"{held.total()} held rows are gone"
        damaged = find_backups(ObjectStore(self.s3.client, self.bucket), "backup", deep=True)
        assert [one.reasons for one in damaged if one.state is BackupState.DAMAGED] == []

    def _archived(self, state: str) -> Counter[Row]:
        rows: Counter[Row] = Counter()
        for entry in ledger(self.url):
            if entry["state"] == state:
                rows += self._rows_of(entry)
        return rows

    def _held(self) -> Counter[Row]:
        keys = self._held_keys() - self._released
        rows: Counter[Row] = Counter()
        for entry in ledger(self.url):
            if entry["object_key"] in keys:
                rows += self._rows_of(entry)
        self.held += rows.total()
        return rows

    def _held_keys(self) -> set[str]:
        held = f"into_original AND hold_until > timestamptz '{AS_OF}'"
        return {str(key) for (key,) in self.sql(f"SELECT object_key FROM nightshift_restored_object WHERE {held}")}

    def _rows_of(self, entry: Mapping[str, Any]) -> Counter[Row]:
        """An object's rows, read once: objects never change."""
        key = str(entry["object_key"])
        if key not in self._objects:
            self._objects[key] = Counter(rows_in_entry(self.s3, entry))
        return self._objects[key]
