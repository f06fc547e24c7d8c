"""Sums up the inventory: per table and per day, state by state.

Only `archived` objects are the archive; rows that were restored into their table are not part of it any more. So a
figure without a state's name counts `archived` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject

SETTLED = (ARCHIVED, RESTORED)
"""The states that objects stay in; all others are left over from runs that did not end well."""


@dataclass(slots=True)
class ObjectTotals:
    """Objects of one state; sizes that the ledger does not know count as none."""

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
    """Totals of the objects of one table, or of one day of it."""

    states: dict[str, ObjectTotals] = field(default_factory=dict)

    @property
    def archived_totals(self) -> ObjectTotals:
        return self.states.get(ARCHIVED, ObjectTotals())

    @property
    def other_totals(self) -> dict[str, ObjectTotals]:
        """Every state but `archived`."""
        return {state: total for state, total in self.states.items() if state != ARCHIVED}

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
        first, last: oldest and youngest archived timestamp, ISO 8601 in the policy's zone; None where none is known.
        days: by `dt`, in order.
    """

    table: str = ""
    first: str | None = None
    last: str | None = None
    days: dict[str, ArchiveSummary] = field(default_factory=dict)
    _last_day: str = ""

    def add_object(self, archived: ArchivedObject) -> None:
        """Count an object; they come in order of their day, and within it of their oldest row."""
        ArchiveSummary.add_object(self, archived)
        self.days.setdefault(archived.day, ArchiveSummary()).add_object(archived)
        if archived.state != ARCHIVED:
            return
        day, last = archived.day, archived.last
        self.first = self.first or archived.first
        if last is not None and (day != self._last_day or self.last is None or last > self.last):
            # Texts compare as times only within a day: years before 1 are written otherwise.
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
    """Per table, in the inventory's order."""
    tables: dict[str, TableSummary] = {}
    for archived in objects:
        tables.setdefault(archived.table, TableSummary(table=archived.table)).add_object(archived)
    return list(tables.values())


def total_summary(summaries: Iterable[ArchiveSummary]) -> ArchiveSummary:
    """All of them as one."""
    whole = ArchiveSummary()
    for summary in summaries:
        for state, totals in summary.states.items():
            whole.totals_of(state).add(totals.rows, totals.bytes, totals.objects)
    return whole
