"""Checks that the numbers in a timestamp column are times in the unit that the policy states.

A wrong unit deletes no row: `TimestampColumn.before_condition` takes a number for a time only where it lies between the
years 2000 and 2100, and no number does in two units. But it must be reported, because seconds that are taken for
milliseconds would stay forever. So values from all parts of the table are sorted by the unit that fits them. If one in
a hundred has another unit, the table is refused; fewer are a warning. Numbers that fit no unit may be marks (`0` or
`9999999999` for never). They are ignored as long as there are times beside them, or hardly two that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import Connection

from nightshift.archive.table_guards import make_refusal
from nightshift.database.catalog import HeapTable, TableInfo, TableName, quote_identifier
from nightshift.results.common import GuardRefusal
from nightshift.rows.timestamp_column import UNITS, TimestampColumn, Unit, years_of

NAMES: Mapping[Unit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

FEW = 0.01
"""Share of values in another unit from which a table is refused."""

MARKS = 3
"""Different numbers that fit no unit and may yet be marks, where a table holds no time at all."""

_VALUES = 1000
"""Values that are looked at in each unit's range of an index, and in the ranges between them."""

_PAGES = 200
"""Pages that are looked at in a heap without an index."""

_HEAPS = 8
"""Partitions that are looked at: half of them the first that were made, half the last."""

_LAST_INT4 = 2**31 - 1
"""A mark, although it would be a time in seconds: 2038-01-19."""


@dataclass(slots=True)
class _Fits:
    """Values by the unit that fits them, counted.

    Attributes:
        words: text that is no number (SQLite).
        early, other: numbers that fit no unit: those that would lie before 2000, and different ones of whatever size.
    """

    units: dict[Unit, int] = field(default_factory=dict)
    words: int = 0
    early: int = 0
    other: int = 0


def judge_unit(
    connection: Connection, axis: TimestampColumn, info: TableInfo, written: str
) -> tuple[str, ...] | GuardRefusal:
    """Hold the numbers of a table against the unit of its axis; a column of another kind is as it should be.

    Args:
        connection: in a transaction.
        written: the table, as the policy names it.

    Returns:
        warnings about values that are left alone, or why none can be used.
    """
    if axis.epoch_unit is None:
        return ()
    return _judge(_look(connection, axis, info), axis, axis.epoch_unit, info.name, f"{written}.{axis.column}")


def check_unit(connection: Connection, axis: TimestampColumn, info: TableInfo) -> GuardRefusal | None:
    """Refuse a table of which not one number is a time in the axis's unit, but some are in another; for jobs that only
    read, and may read from a view.

    Args:
        connection: as for `judge_unit`.
    """
    if axis.epoch_unit is None:
        return None
    if connection.dialect.name != "postgresql":
        judged = judge_unit(connection, axis, info, info.name.label)
        return judged if isinstance(judged, GuardRefusal) else None
    with _indexes_first(connection):
        for unit in (axis.epoch_unit, *UNITS):
            first, last = years_of(unit)
            times = (
                f"SELECT 1 FROM {info.name.sql} WHERE {axis.epoch_sql} >= {first} AND {axis.epoch_sql} < {last} LIMIT 1"
            )
            if connection.exec_driver_sql(times).one_or_none() is not None:
                break
        else:
            return None
    column = f"{info.name.label}.{axis.column}"
    return None if unit == axis.epoch_unit else _wrong(column, unit, axis.epoch_unit)


def _judge(
    fits: _Fits, axis: TimestampColumn, unit: Unit, table: TableName, column: str
) -> tuple[str, ...] | GuardRefusal:
    fitting = fits.units.pop(unit, 0)
    misfits = sum(fits.units.values()) + fits.words
    if misfits and misfits >= FEW * (fitting + misfits):
        return _misfits(fits, fitting, axis, unit, table, column)
    if not fitting and fits.other > MARKS:
        what = f"{column} holds numbers that are no times since 2000, in whatever unit"
        return make_refusal("wrong_type", what, "name a column of times in the policy")
    if misfits or (fitting and fits.early):
        return (f"{column}: values that are no times since 2000 in {NAMES[unit]} are left alone",)
    return ()


def _misfits(
    fits: _Fits, fitting: int, axis: TimestampColumn, unit: Unit, table: TableName, column: str
) -> GuardRefusal:
    if fits.words >= sum(fits.units.values()):
        hint = "store numbers alone, or local times without a zone alone and remove `epoch` from the policy"
        return make_refusal("wrong_type", f"{column} holds text that is no number, and the policy says `epoch`", hint)
    other = max(fits.units, key=lambda name: fits.units[name])
    if not fitting:
        return _wrong(column, other, unit)
    have, want = UNITS[other], UNITS[unit]
    factor = f"* {want // have}" if want > have else f"/ {have // want}"
    name, (first, last) = quote_identifier(axis.column), years_of(other)
    count = fits.units[other]
    return make_refusal(
        "wrong_type",
        f"{column} holds {NAMES[other]} beside {NAMES[unit]}: {count:,} of {fitting + count:,} values looked at",
        f"bring them into one unit: UPDATE {table.sql} SET {name} = {name} {factor}"
        f" WHERE {name} >= {first} AND {name} < {last}",
    )


def _wrong(column: str, other: Unit, unit: Unit) -> GuardRefusal:
    message = f"{column} holds {NAMES[other]}, and the policy says {NAMES[unit]}"
    return make_refusal("wrong_type", message, f'these are {NAMES[other]}: set epoch = "{other}"')


def _look(connection: Connection, axis: TimestampColumn, info: TableInfo) -> _Fits:
    """Sort a sample of the values; on SQLite all of them."""
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        filled = [heap for heap in info.heaps if heap.blocks]
        chosen = filled if len(filled) <= _HEAPS else filled[: _HEAPS // 2] + filled[-_HEAPS // 2 :]
        samples = [sample for heap in chosen for sample in _samples(axis, heap)]
    else:
        column = quote_identifier(axis.column)
        samples = [f"SELECT {axis.epoch_sql} AS v FROM {info.name.sql} WHERE {column} IS NOT NULL"]
    fits = _Fits()
    if not samples:
        return fits
    fitted = f"SELECT {_fit(axis, on_postgresql=on_postgresql)} AS fit, v FROM ({' UNION ALL '.join(samples)}) s"
    with _indexes_first(connection):
        counted = f"SELECT fit, count(*), count(DISTINCT v) FROM ({fitted}) f GROUP BY fit"
        for fit, count, different in connection.exec_driver_sql(counted):
            if fit in UNITS:
                fits.units[fit] = count
            elif fit == "words":
                fits.words = count
            elif fit != "mark":
                fits.other += different
                fits.early += count if fit == "early" else 0
    return fits


@contextmanager
def _indexes_first(connection: Connection) -> Iterator[None]:
    """Have an index serve where there is one: a part of its range is a few pages, whatever stale statistics say."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")
    yield
    connection.exec_driver_sql("SET LOCAL enable_seqscan TO DEFAULT")


def _fit(axis: TimestampColumn, *, on_postgresql: bool) -> str:
    """SQL that classifies a value `v`."""
    cases = [] if on_postgresql else ["WHEN typeof(v) NOT IN ('integer', 'real') THEN 'words'"]
    cases.append("WHEN v >= -1 AND v <= 1 THEN 'mark'")
    if axis.epoch_unit != "s":
        cases.append(f"WHEN v = {_LAST_INT4} THEN 'mark'")
    cases += [f"WHEN v >= {first} AND v < {last} THEN '{unit}'" for unit in UNITS for first, last in [years_of(unit)]]
    assert axis.epoch_unit is not None  # there is nothing to sort otherwise
    cases.append(f"WHEN v < {years_of(axis.epoch_unit)[0]} THEN 'early'")
    return f"CASE {' '.join(cases)} ELSE 'late' END"


def _samples(axis: TimestampColumn, heap: HeapTable) -> Iterator[str]:
    """Queries for values `v` of one heap: from every range of the index, else of pages from all over the heap."""
    column = axis.epoch_sql
    values = f"SELECT {column} AS v FROM ONLY {heap.name.sql}"
    if not heap.indexed:
        # By the blocks that are there now, not by statistics; repeatable, so that a run decides as its rehearsal did.
        if heap.blocks > _PAGES:
            values += f" TABLESAMPLE SYSTEM ({100 * _PAGES / heap.blocks:.9f}) REPEATABLE (0)"
        yield f"{values} WHERE {column} IS NOT NULL"
        return
    ends = [end for unit in UNITS for end in years_of(unit)]
    yield f"({values} WHERE {column} < {ends[0]} LIMIT {_VALUES})"
    for first, last in pairwise(ends):
        yield f"({values} WHERE {column} >= {first} AND {column} < {last} LIMIT {_VALUES})"
    yield f"({values} WHERE {column} >= {ends[-1]} LIMIT {_VALUES})"
