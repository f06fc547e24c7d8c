"""Checks that the numbers in a timestamp column are times in the unit that the policy states.

A wrong unit deletes no row. `TimestampColumn.before_condition` treats a number as a time only if the time lies between
the years 2000 and 2100, and no number fits this range in two units. A wrong unit must still be reported, because rows
with seconds that are read as milliseconds would never be due. The check counts values from all parts of the table by
the unit that fits them. If 1 % of the values fit another unit, the table is refused; fewer values cause a warning.
Numbers that fit no unit may be marks (`0` or `9999999999` for never). Marks are ignored if the table also has times, or
has at most `MARKS` different marks.
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
"""Maximum number of different marks in a table that holds no time."""

_VALUES = 1000
"""Maximum number of values that are read in each unit's range of an index, and in each range between two units."""

_PAGES = 200
"""Number of pages that are read in a heap without an index."""

_HEAPS = 8
"""Maximum number of partitions that are read: one half the oldest partitions, one half the newest."""

_LAST_INT4 = 2**31 - 1
"""A number that counts as a mark unless the unit is seconds. In seconds the number is the time 2038-01-19."""


@dataclass(slots=True)
class _Fits:
    """Counts of values by the unit that fits them.

    Attributes:
        units: unit → number of values that fit it.
        words: number of values that are text and no number (SQLite).
        early: number of values that fit no unit and lie before 2000 in the policy's unit.
        other: number of different values that fit no unit.
    """

    units: dict[Unit, int] = field(default_factory=dict)
    words: int = 0
    early: int = 0
    other: int = 0


def judge_unit(
    connection: Connection, axis: TimestampColumn, info: TableInfo, written: str
) -> tuple[str, ...] | GuardRefusal:
    """Check the numbers of a table against the unit of its axis. A column without numbers is not checked.

    Args:
        connection: a connection in a transaction.
        written: the table's name in the policy.

    Returns:
        warnings about values that are ignored, or the refusal of the table.
    """
    if axis.epoch_unit is None:
        return ()
    return _judge(_look(connection, axis, info), axis, axis.epoch_unit, info.name, f"{written}.{axis.column}")


def check_unit(connection: Connection, axis: TimestampColumn, info: TableInfo) -> GuardRefusal | None:
    """Refuse a table in which no number is a time in the axis's unit, but some numbers are times in another unit.

    The check is for jobs that only read, possibly from a view.

    Args:
        connection: a connection in a transaction.
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
    """Count a sample of the values by unit. In SQLite all values are counted."""
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
    """Make PostgreSQL prefer an index: a part of an index's range is few pages, even if stale statistics differ."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")
    yield
    connection.exec_driver_sql("SET LOCAL enable_seqscan TO DEFAULT")


def _fit(axis: TimestampColumn, *, on_postgresql: bool) -> str:
    """Returns SQL that classifies a value `v`."""
    cases = [] if on_postgresql else ["WHEN typeof(v) NOT IN ('integer', 'real') THEN 'words'"]
    cases.append("WHEN v >= -1 AND v <= 1 THEN 'mark'")
    if axis.epoch_unit != "s":
        cases.append(f"WHEN v = {_LAST_INT4} THEN 'mark'")
    cases += [f"WHEN v >= {first} AND v < {last} THEN '{unit}'" for unit in UNITS for first, last in [years_of(unit)]]
    assert axis.epoch_unit is not None  # there is nothing to sort otherwise
    cases.append(f"WHEN v < {years_of(axis.epoch_unit)[0]} THEN 'early'")
    return f"CASE {' '.join(cases)} ELSE 'late' END"


def _samples(axis: TimestampColumn, heap: HeapTable) -> Iterator[str]:
    """Yields queries for values `v` of one heap: from every range of the index, or else from a sample of pages."""
    column = axis.epoch_sql
    values = f"SELECT {column} AS v FROM ONLY {heap.name.sql}"
    if not heap.indexed:
        # The sample depends on the present number of blocks, not on statistics. REPEATABLE makes a dry run and the
        # next run decide equally.
        if heap.blocks > _PAGES:
            values += f" TABLESAMPLE SYSTEM ({100 * _PAGES / heap.blocks:.9f}) REPEATABLE (0)"
        yield f"{values} WHERE {column} IS NOT NULL"
        return
    ends = [end for unit in UNITS for end in years_of(unit)]
    yield f"({values} WHERE {column} < {ends[0]} LIMIT {_VALUES})"
    for first, last in pairwise(ends):
        yield f"({values} WHERE {column} >= {first} AND {column} < {last} LIMIT {_VALUES})"
    yield f"({values} WHERE {column} >= {ends[-1]} LIMIT {_VALUES})"
