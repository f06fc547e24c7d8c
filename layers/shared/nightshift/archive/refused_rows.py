"""Finds due rows that the database refuses to delete, by trial deletions, so that a run reports and leaves these rows.

A trigger or a constraint may refuse a single row, and one refused row rolls back its whole chunk. The server therefore
tries to delete the rows of a refused chunk in halves, each half in a subtransaction, down to single rows. All trial
deletions are rolled back. The chunk is then archived without the refused rows. Deferred constraints and triggers are
checked at once.

Rejected: halves as chunks (each chunk writes objects, and a row that is refused at COMMIT costs twenty uploads).
"""

from __future__ import annotations

import json
from typing import Any

from nightshift.archive.run_state import MOST_NAMED, LeftOut
from nightshift.database.catalog import HeapTable, quote_identifier, quote_literal
from nightshift.database.search_path import HANDED_OVER, TAKEN_BACK
from nightshift.database.sqlstates import first_line
from nightshift.rows.row_connection import RowConnection, TransactionLimits

MOST_SECONDS = 30.0
"""Time limit for trying the rows of one chunk."""

_TRY = """
DECLARE
  due tid[]; refused tid[] := '{{}}'; said text[] := '{{}}';
  lows int[] := ARRAY[1]; highs int[]; last int; lo int; hi int;
  until timestamptz := clock_timestamp() + interval '{seconds} seconds';
BEGIN
  EXECUTE {choose} INTO due;
  highs := ARRAY[cardinality(due)];
  WHILE cardinality(lows) > 0 AND cardinality(refused) < {most} AND clock_timestamp() < until LOOP
    last := cardinality(lows); lo := lows[last]; hi := highs[last];
    lows := lows[1:last - 1]; highs := highs[1:last - 1];
    CONTINUE WHEN lo > hi;
    BEGIN
      EXECUTE {delete} USING due[lo:hi];
      SET CONSTRAINTS ALL IMMEDIATE;
      PERFORM {taken_back};
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        RAISE;
      WHEN OTHERS THEN
        IF SQLSTATE ~ '^(08|53|57|58|XX)' THEN
          RAISE;
        ELSIF lo = hi THEN
          refused := refused || due[lo];
          said := said || CASE WHEN cardinality(said) < {named} THEN ARRAY[SQLERRM] END;
        ELSE
          lows := lows || ARRAY[(lo + hi) / 2 + 1, lo]; highs := highs || ARRAY[hi, (lo + hi) / 2];
        END IF;
    END;
  END LOOP;
  PERFORM set_config('nightshift.refused', json_build_object(
    'rows', cardinality(refused), 'places', format('%s', refused), 'named', format('%s', refused[1:{named}]),
    'said', said, 'end', format('%s', due[lows[cardinality(lows)]]))::text, true);
END
"""
"""PL/pgSQL block that tries the rows in the order of their `ctid`. All rows from `end` on were not tried."""

_KEY = """
SELECT CAST(a.attname AS text) AS name FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY u(num, n)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
WHERE i.indrelid = {heap}::regclass AND i.indisprimary ORDER BY u.n
"""


def find_refused(
    connection: RowConnection,
    heap: HeapTable,
    condition: str,
    bounds: TransactionLimits,
    most: int,
    *,
    skip_locked: bool,
) -> LeftOut:
    """Try to delete the rows that meet a condition, roll back, and return the refused rows (PostgreSQL).

    Args:
        most: maximum number of refused rows to find.
        skip_locked: skip rows that another transaction has locked.

    Raises:
        NightshiftError: the trial failed because of a lock, a time-out, or missing PL/pgSQL.
    """
    only = f"ONLY {heap.name.sql}"
    choose = (
        f"SELECT ARRAY(SELECT ctid FROM {only} WHERE {condition}{' FOR UPDATE SKIP LOCKED' if skip_locked else ''})"
    )
    choose = f"SELECT ARRAY(SELECT c FROM unnest(({choose})) c ORDER BY c)"
    body = _TRY.format(
        seconds=min(MOST_SECONDS, bounds.seconds / 4),
        choose=quote_literal(choose),
        delete=quote_literal(f"DELETE FROM {only} WHERE ctid = ANY ($1) AND {HANDED_OVER}"),
        taken_back=TAKEN_BACK.removeprefix("SELECT "),
        most=most,
        named=MOST_NAMED,
    )
    with connection.transaction(bounds):
        connection.run_statement(f"DO {quote_literal(body)}")
        (setting,) = _texts(connection, "SELECT current_setting('nightshift.refused')", bounds)
        refused = json.loads(setting)
        names = _names(connection, heap, refused["named"], bounds)
    named = [f"{name}: {first_line(words)}" for name, words in zip(names, refused["said"], strict=True)]
    but = f" AND ctid <> ALL ({quote_literal(refused['places'])}::tid[])" if refused["rows"] else ""
    but += f" AND ctid < {quote_literal(refused['end'])}" if refused["end"] else ""
    return LeftOut(refused["rows"], but, tuple(named), cut=bool(refused["end"]))


def _names(connection: RowConnection, heap: HeapTable, places: str, bounds: TransactionLimits) -> list[str]:
    """Returns the names of the rows with these `ctid`s, in order: the primary key, or else the `ctid`."""
    key = _texts(connection, _KEY.format(heap=quote_literal(heap.name.sql)), bounds)
    shown = f"({', '.join(key)}) = (" if key else "ctid "
    values = ", ".join(f"format('%s', t.{quote_identifier(column)})" for column in key) or "format('%s', p.place)"
    pattern = ", ".join(["%s"] * max(1, len(key))) + (")" if key else "")
    return _texts(
        connection,
        f"SELECT left({quote_literal(shown)} || format({quote_literal(pattern)}, {values}), 200) AS name"
        f" FROM unnest({quote_literal(places)}::tid[]) WITH ORDINALITY AS p(place, n)"
        f" LEFT JOIN ONLY {heap.name.sql} t ON t.ctid = p.place ORDER BY p.n",
        bounds,
    )


def _texts(connection: RowConnection, statement: str, bounds: TransactionLimits) -> list[str]:
    table: Any = connection.read_table(statement, bounds)
    return [str(value) for value in table.column(0).to_pylist()] if table.num_rows else []
