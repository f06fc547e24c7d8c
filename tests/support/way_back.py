"""An archive, and what a restore owes it, however it ends.

Two promises hold at every moment, a crash included. Into a table of its own: *its rows = the rows of the objects on
record for it*, as multisets of whole rows: no object is half there, none twice. Into the original: the promise of
`scene`, *table + archive = the rows at the start*, for an object leaves the archive with the transaction that brings
its rows back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.handler import Context, run_job
from tests.support.house import AS_OF, House
from tests.support.multiset import Row, rows_in_archive, rows_in_entry, rows_in_table
from tests.support.scene import COLUMNS, IMPATIENT, TABLE, Scene
from tests.support.tcp_proxy import Trap

OWN = f"{TABLE}_restored"
"""The table that is filled where no other is named."""

COPY, INSERT, COMMIT = b'COPY "', b"OVERRIDING SYSTEM VALUE", b"COMMIT\0"
"""What passes when rows are sent, when a stage is emptied into its table, and at the end of an object."""

MID_COPY = b"row 9000 "
"""A row in the second batch of a large object: the server has taken the 8,192 rows of the first by then."""


TARGETS = pytest.mark.parametrize("into_original", [False, True], ids=["own table", "original"])


def asked(into_original: bool) -> dict[str, Any]:
    """The part of an event that names the target."""
    return {"into_original": True} if into_original else {}


@dataclass
class WayBack(Scene):
    """A scene whose due rows were archived.

    Attributes:
        contents: the archive's rows, by object key, as they were when they were archived.
    """

    contents: dict[str, Counter[Row]] = field(default_factory=dict)

    def archive(self, rows: int = 660, *, days: float = 6, width: int = 100, columns: str = COLUMNS) -> None:
        """Fill the table, and let a cleanup archive what is due: an object a day, about."""
        if self.url.startswith("sqlite"):
            self.fill_sqlite(rows)
        else:
            self.fill(rows, days=days, width=width, columns=columns)
        self.archive_again()

    def archive_again(self, **event: Any) -> dict[str, Any]:
        """Another cleanup; what it archives is remembered. Returns its answer."""
        answer = self.run(**event)
        assert answer["complete"], answer
        for entry in self.ledger():
            if entry["state"] == "archived" and entry["object_key"] not in self.contents:
                self.contents[entry["object_key"]] = Counter(rows_in_entry(self.s3, entry))
        return answer

    @property
    def keys(self) -> list[str]:
        """Of the archived objects, oldest first."""
        found = [entry for entry in self.ledger() if entry["state"] == "archived"]
        return [entry["object_key"] for entry in sorted(found, key=lambda e: (e["dt"], e["min_timestamp"], e["id"]))]

    @property
    def archived_now(self) -> Counter[Row]:
        return rows_in_archive(self.s3, self.url)

    def restore(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Call the handler; the table is `conversation_log` unless another is named."""
        return run_job("restore", self.env, {"scheduled_time": AS_OF, "table": TABLE, **event}, context)

    def restore_with(self, env: Mapping[str, str], context: Context | None = None, **event: Any) -> dict[str, Any]:
        """The same with some variables changed for this run alone."""
        given = {"scheduled_time": AS_OF, "table": TABLE, **event}
        return run_job("restore", {**self.env, **env}, given, context)

    def restoring(
        self,
        env: Mapping[str, str] | None = None,
        *,
        kill_at: ProgressStep | None = None,
        hold_at: ProgressStep | None = None,
        occurrence: int = 1,
        **event: Any,
    ) -> JobChild:
        """A restore in a process of its own, one object at a time unless `env` says otherwise."""
        child = JobChild(
            {**self.env, "CLEANUP_WORKERS": "1", **(env or {})},
            {"scheduled_time": AS_OF, "table": TABLE, **event},
            job="restore",
            kill_at=kill_at,
            hold_at=hold_at,
            occurrence=occurrence,
        )
        self.children.append(child)
        return child

    def records(self) -> list[dict[str, Any]]:
        """What was restored where, oldest first."""
        return self._own_table("nightshift_restored_object", "id")

    def rows_of(self, table: str = OWN) -> Counter[Row]:
        """The rows of a table; none where it does not exist."""
        return rows_in_table(self.url, table) if self.exists(table) else Counter()

    def note(self, ids: str) -> Counter[Row]:
        """Count rows of the table that came later, e.g. `> 1000`, among those of the start; returns them."""
        rows = rows_in_table(self.url, f"{TABLE} WHERE id {ids}")
        self.before += rows
        return rows

    def exists(self, table: str = OWN) -> bool:
        if self.url.startswith("sqlite"):
            return bool(self.value(f"SELECT count(*) FROM sqlite_master WHERE name = '{table}'"))
        return self.value(f"SELECT to_regclass('{table}') IS NOT NULL") is True

    def on_record(self, table: str = OWN) -> Counter[Row]:
        """The rows of the objects that are on record for a table as it is now."""
        rows: Counter[Row] = Counter()
        if self.exists(table):
            known = table if self.url.startswith("sqlite") else str(self.value(f"SELECT '{table}'::regclass::oid"))
            for record in self.records():
                if record["target_id"] == known:
                    rows += self.contents[record["object_key"]]
        return rows

    def assert_whole_objects(self, table: str = OWN) -> None:
        """The promise for a table of the restore's own; what is on record for one that was emptied is void."""
        rows = self.rows_of(table)
        assert not rows or rows == self.on_record(table)

    def assert_promise(self, *, into_original: bool = False) -> None:
        """What holds at any moment, whichever the target."""
        self.assert_nothing_lost()
        if into_original:
            self.assert_returned()
        else:
            self.assert_whole_objects()

    def assert_returned(self) -> None:
        """What has left the archive is what is on record as back in the original."""
        returned = {entry["object_key"] for entry in self.ledger() if entry["state"] == "restored"}
        assert returned == {record["object_key"] for record in self.records() if record["into_original"]}

    def finish(self, *, into_original: bool = False, **event: Any) -> dict[str, Any]:
        """Restore plainly, and see that every row of the archive is there, once; returns the run's answer."""
        self.assert_promise(into_original=into_original)
        self.await_quiet()
        answer = self.restore(**asked(into_original), **event)
        assert answer["complete"], answer
        self.assert_promise(into_original=into_original)
        if into_original:
            assert self.archived_now == Counter()
            assert rows_in_table(self.url, TABLE) == self.before
        else:
            assert self.rows_of() == self.archived_now == self.due
        self.assert_tidy()
        return answer


def await_trap(trap: Trap, child: JobChild) -> None:
    """Return once a proxy's trap has sprung; fails if the child ends without it."""
    while not trap.happened.wait(0.05):
        assert child.process.is_alive() or trap.happened.is_set(), child.log


@pytest.fixture
def back(house: House) -> Iterator[WayBack]:
    """A deployment on PostgreSQL with an impatient lock time-out; its archive is still to fill."""
    built = WayBack(dict(house.env), house.s3, house.slack, house.directory)
    built.env |= IMPATIENT | {"DATABASE_URL": f"{house.url}?sslmode=disable"}
    yield built
    built.close()


@pytest.fixture
def sqlite_back(sqlite_house: House) -> Iterator[WayBack]:
    """The same on SQLite."""
    built = WayBack(sqlite_house.env | IMPATIENT, sqlite_house.s3, sqlite_house.slack, sqlite_house.directory)
    yield built
    built.close()
