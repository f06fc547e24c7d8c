"""Adds up the objects of the archive by table, day and state.

Only objects in the state `archived` belong to the archive. Rows that were restored into their original table do not
belong to the archive any more. A figure without the name of a state counts only `archived` objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject

SETTLED = (ARCHIVED, RESTORED)
"""Final states of objects. Objects in other states belong to an unfinished or failed run."""


@dataclass(slots=True)
class ObjectTotals:
    """Totals of the objects of one state. An unknown number of rows or bytes counts as 0."""

    rows: int = 0
    bytes: int = 0
    objects: int = 0

    def add(self, rows: int | None, bytes_: int | None, objects: int = 1) -> None:
        self.rows += rows or 0
        self.bytes += bytes_ or 0
        self.objects += objects

    def to_json(self) -> dict[str, int]:
        return {"rows": self.rows, "bytes": self.bytes, "objects": self.objects}


@dataclass(slots=True)
class ArchiveSummary:
    """Totals of the objects of one table, or of one day of a table, by state."""

    states: dict[str, ObjectTotals] = field(default_factory=dict)

    @property
    def archived_totals(self) -> ObjectTotals:
        return self.states.get(ARCHIVED, ObjectTotals())

    def add_object(self, archived: ArchivedObject) -> None:
        self.totals_of(archived.state).add(archived.rows, archived.bytes)

    def totals_of(self, state: str) -> ObjectTotals:
        return self.states.setdefault(state, ObjectTotals())

    def to_json(self) -> dict[str, Any]:
        return {**self.archived_totals.to_json(), "states": {s: t.to_json() for s, t in sorted(self.states.items())}}


@dataclass(slots=True)
class TableSummary(ArchiveSummary):
    """Totals of the objects of one table.

    Attributes:
        first, last: oldest and newest archived timestamp, in ISO 8601 and the policy's zone; None: unknown.
        days: totals by day, in order. A day is the value of `dt=` in the objects' keys.
    """

    table: str = ""
    first: str | None = None
    last: str | None = None
    days: dict[str, ArchiveSummary] = field(default_factory=dict)
    _last_day: str = ""

    def add_object(self, archived: ArchivedObject) -> None:
        """Adds an object. The caller adds the objects in the order of their days, then of their oldest rows."""
        ArchiveSummary.add_object(self, archived)
        self.days.setdefault(archived.day, ArchiveSummary()).add_object(archived)
        if archived.state != ARCHIVED:
            return
        day, last = archived.day, archived.last
        self.first = self.first or archived.first
        if last is not None and (day != self._last_day or self.last is None or last > self.last):
            # The order of the texts is the order of the times only within a day: years before 1 have another form.
            self.last, self._last_day = last, day

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            **self.archived_totals.to_json(),
            "first": self.first,
            "last": self.last,
            "states": ArchiveSummary.to_json(self)["states"],
            "days": [{"dt": day, **summary.to_json()} for day, summary in self.days.items()],
        }


def add_up(objects: Iterable[ArchivedObject]) -> list[TableSummary]:
    """Returns the totals of each table, in the order of the objects."""
    tables: dict[str, TableSummary] = {}
    for archived in objects:
        tables.setdefault(archived.table, TableSummary(table=archived.table)).add_object(archived)
    return list(tables.values())


def total_summary(summaries: Iterable[ArchiveSummary]) -> ArchiveSummary:
    """Returns the sum of several totals."""
    whole = ArchiveSummary()
    for summary in summaries:
        for state, totals in summary.states.items():
            whole.totals_of(state).add(totals.rows, totals.bytes, totals.objects)
    return whole
