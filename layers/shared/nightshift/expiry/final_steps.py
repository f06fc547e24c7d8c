"""Adds expired rows to a batch whose dependent rows would otherwise lose references before they are archived.

By ON DELETE SET NULL or SET DEFAULT the database changes rows that reference a deleted row. A changed row may itself
depend on an expired row that the batch has not taken; a later batch would then archive the changed row without its
reference. Therefore the expired row is deleted in the same batch or in an earlier batch: if there are too many such
rows, the batch takes only the rows that must be deleted first. If a chain of references through several tables takes
longer than a batch has time for, the rows stay, and a warning names them.
"""

from __future__ import annotations

import time

from nightshift.database.catalog import TableName, quote_identifier
from nightshift.expiry.batch import BatchOptions, ExpiryBatch, collect_dependent_keys
from nightshift.expiry.graph import ReferenceEdge
from nightshift.expiry.session import DeletionSession, LockContention
from nightshift.expiry.statements import ExpiryStatements

LEAST = 50
"""Number of expired rows to which every batch may grow, even a batch of one row."""

ROUNDS = 4
"""Number of times that a batch grows before it takes only the rows that must be deleted first."""

TURNS = 8
"""Number of times that a batch takes other rows instead. Then it grows, because its rows form a circle."""

_TAKEN = "pg_temp.nightshift_taken"


def close_table(
    session: DeletionSession, statements: ExpiryStatements, batch: ExpiryBatch, scope: BatchOptions
) -> None:
    """Take further expired rows until no due row loses a reference, and collect the keys of their dependent rows.

    Raises `LockContention` if there are too many rows for the time, or if another session has locked a row.
    """
    until = time.monotonic() + scope.seconds
    for statement in _create(statements):
        session.run(statement)
    rounds = turns = 0
    while missing := _missing(session, statements):
        if time.monotonic() > until:
            raise LockContention(
                "too much for the time", detail="expired rows that reference each other take longer than a batch"
            )
        rounds += 1
        is_many = batch.taken + missing > max(2 * scope.limit, LEAST) or rounds > ROUNDS
        if is_many and turns < TURNS:
            rounds, turns, batch.is_other = 0, turns + 1, True
            batch.taken = _take(session, statements, _last(statements, scope.limit))
        else:
            batch.taken = _take(session, statements, _with_these(statements))
        collect_dependent_keys(session, statements)


def _create(statements: ExpiryStatements) -> list[str]:
    """Returns SQL that creates the tables of rows on which changed rows depend, and the table of rows to take next."""
    made = [
        f"CREATE TEMPORARY TABLE {_above(statements, name).partition('.')[2]} ON COMMIT DROP AS"
        f" SELECT {_key(statements, name, 'c')}, CAST(0 AS bigint) AS nightshift_order FROM {name.sql} c WHERE false"
        for name in filter(statements.is_inner, statements.cascade.nodes)
    ]
    root = statements.cascade.root
    key = f"SELECT {_key(statements, root, 'c')} FROM {root.sql} c WHERE false"
    return [*made, f"CREATE TEMPORARY TABLE {_TAKEN.partition('.')[2]} ON COMMIT DROP AS {key}"]


def _missing(session: DeletionSession, statements: ExpiryStatements) -> int:
    """Returns the number of further expired rows to delete; the root's `nightshift_above_` table holds their keys."""
    cascade = statements.cascade
    for name in filter(statements.is_inner, cascade.nodes):
        session.run(f"TRUNCATE {_above(statements, name)}")
    for edge in statements.dissolved:
        for seed in _seeds(statements, edge):
            session.run(seed)
    for group in reversed(cascade.deletion_groups):
        for edge in (edge for table in group if statements.is_inner(table) for edge in cascade.parent_edges(table)):
            while session.run(_climb(statements, edge)) and edge.parent == edge.child:
                pass
    return session.number(f"SELECT count(*) FROM ({_candidates(statements)}) c")


def _seeds(statements: ExpiryStatements, edge: ReferenceEdge) -> list[str]:
    """Returns SQL that stores the parents of rows that lose a reference by `edge` and are not in this batch."""
    root = statements.cascade.root
    stays = "".join(f" AND NOT ({deletion.condition})" for deletion in statements.delete_statements(edge.child))
    if edge.child != root:
        hit = f"{statements.gone_sql(edge)} JOIN {edge.child.sql} d ON {edge.match_condition('k', 'd')}{stays}"
        return [
            _put(statements, up, f"{hit} JOIN {_parents(up)} p ON {up.match_condition('p', 'd')}")
            for up in statements.cascade.parent_edges(edge.child)
        ]
    due = f"(SELECT * FROM {root.sql} c WHERE {statements.due.due_sql}) d"
    if edge.parent != root or edge.partition:
        hit = f"{statements.gone_sql(edge)} JOIN {due} ON {edge.match_condition('k', 'd')}{stays}"
        return [f"INSERT INTO {_above(statements, root)} SELECT DISTINCT {_key(statements, root, 'd')}, 0 FROM {hit}"]
    # The query follows a chain of any length; the chain's last row gets the highest number.
    kept = ", ".join(map(quote_identifier, statements.key_columns(root)))
    columns = ", ".join(f"d.{quote_identifier(column)}" for column in statements.key_columns(root))
    return [
        f"INSERT INTO {_above(statements, root)} WITH RECURSIVE r AS (SELECT {kept} FROM {statements.key_table(root)}"
        f" UNION SELECT {columns} FROM r JOIN {due} ON {edge.match_condition('r', 'd')})"
        f" SELECT {_key(statements, root, 'r')}, row_number() OVER () FROM r"
    ]


def _climb(statements: ExpiryStatements, edge: ReferenceEdge) -> str:
    """Returns SQL that stores the rows on which the stored rows of `edge.child` depend by `edge`."""
    same = statements.cascade.nodes[edge.child].is_same("a", "d")
    known = f"{_above(statements, edge.child)} a JOIN {edge.child.sql} d ON {same}"
    return _put(statements, edge, f"{known} JOIN {_parents(edge)} p ON {edge.match_condition('p', 'd')}")


def _put(statements: ExpiryStatements, edge: ReferenceEdge, source: str) -> str:
    above, same = _above(statements, edge.parent), statements.cascade.nodes[edge.parent].is_same("b", "p")
    return (
        f"INSERT INTO {above} SELECT DISTINCT {_key(statements, edge.parent, 'p')}, 0 FROM {source}"
        f" WHERE NOT EXISTS (SELECT 1 FROM {above} b WHERE {same})"
    )


def _candidates(statements: ExpiryStatements) -> str:
    """Returns SQL for the stored expired rows that are not taken yet, each with its order in the chain."""
    root = statements.cascade.root
    above = f"{_above(statements, root)} a"
    due = f"SELECT * FROM {root.sql} c WHERE {statements.due.due_sql}"
    return (
        f"SELECT {_key(statements, root, 'c')}, max(a.nightshift_order) AS nightshift_order FROM {above}"
        f" JOIN ({due}) c ON {statements.cascade.nodes[root].is_same('a', 'c')}"
        f" WHERE NOT ({statements.known_keys_sql(root, 'c')}) GROUP BY {_key(statements, root, 'c')}"
    )


def _last(statements: ExpiryStatements, limit: int) -> str:
    """Returns SQL for the last rows of the chains, which must be deleted before the rows that the batch has taken."""
    key = _key(statements, statements.cascade.root, "c")
    return f"SELECT {key} FROM ({_candidates(statements)}) c ORDER BY nightshift_order DESC LIMIT {limit}"


def _with_these(statements: ExpiryStatements) -> str:
    root = statements.cascade.root
    key = _key(statements, root, "c")
    taken = f"SELECT {key} FROM {statements.key_table(root)} c"
    return f"{taken} UNION ALL SELECT {key} FROM ({_candidates(statements)}) c"


def _take(session: DeletionSession, statements: ExpiryStatements, keys: str) -> int:
    """Replace the taken rows by the rows with these keys, lock them, and return their number."""
    session.run(f"TRUNCATE {_TAKEN}")
    session.run(f"INSERT INTO {_TAKEN} {keys}")
    for name in filter(statements.is_inner, statements.cascade.nodes):
        session.run(f"TRUNCATE {statements.key_table(name)}")
    return session.run(statements.take_these(_TAKEN))


def _above(statements: ExpiryStatements, table: TableName) -> str:
    return statements.key_table(table).replace("nightshift_keys_", "nightshift_above_")


def _key(statements: ExpiryStatements, table: TableName, row: str) -> str:
    return ", ".join(f"{row}.{quote_identifier(column)}" for column in statements.cascade.nodes[table].key)


def _parents(edge: ReferenceEdge) -> str:
    return (edge.partition or edge.parent).sql
