"""Builds the SQL that selects expired rows, collects the keys of dependent rows and deletes both.

Keys stay in the server. Before any row is deleted, temporary tables (*key tables*) receive the keys of the taken
expired rows and of all rows on which other rows depend, level by level, and these rows are locked. Until the
transaction ends, no session can then change a locked row, or add a row whose foreign key references a locked row. If
only the policy states a reference, another session may add a row during the transaction; the row then has no parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightshift.database.catalog import TableName, quote_identifier, quote_literal
from nightshift.database.values import output_of
from nightshift.expiry.file_columns import FileColumns, named_files_sql
from nightshift.expiry.graph import CascadeTable, ReferenceEdge
from nightshift.expiry.key_tables import KeyTables

Key = tuple[str, ...]
"""The values of a row's key, as text."""


@dataclass(frozen=True, slots=True)
class DeleteStatement:
    """Deletion of the rows `d` of one table for which `condition` is true.

    Attributes:
        join: the same condition, as a table `k` and a condition on `k` and `d`. With a join, PostgreSQL reads the rows
            in the order of the keys, which resembles the order on disk, or in the table's order. With IN, PostgreSQL
            would hash the keys and read the pages in random order.
    """

    node: CascadeTable
    condition: str
    join: tuple[str, str] | None = None

    @property
    def delete_sql(self) -> str:
        """Returns the DELETE statement; a RETURNING clause with columns of `d` may follow."""
        if self.join is None:
            return f"DELETE FROM {self.node.name.sql} AS d WHERE {self.condition}"
        return f"DELETE FROM {self.node.name.sql} AS d USING {self.join[0]} k WHERE {self.join[1]}"

    @property
    def count_sql(self) -> str:
        return f"SELECT count(*) FROM {self.node.name.sql} AS d WHERE {self.condition}"


@dataclass(frozen=True)
class ExpiryStatements(KeyTables):
    """Builds the SQL for one cascade, in the dialect of the cascade's database."""

    def select_expired_sql(
        self,
        limit: int | None,
        left_out: Sequence[Key] = (),
        floor: int | None = None,
        *,
        spare: bool = False,
        lock: bool = True,
    ) -> str:
        """Returns SQL that puts the oldest expired rows' keys into the root's key table, and skips locked rows.

        Args:
            limit: largest number of rows; None for all rows, without locks, for a dry run.
            left_out: keys of rows that are not tried again.
            floor: only rows that expired at this point on the axis or later.
            spare: leave out rows on which unexpired rows of the same table depend directly.
            lock: lock the rows until the transaction ends.
        """
        root, axis = self.cascade.root, self.due.axis
        chosen = f"SELECT {self._copied(root)} FROM {root.sql} c WHERE {self.due.due_sql}{self._but(left_out)}"
        if spare:
            chosen += self.spared_sql
        if floor is not None:
            chosen += f" AND {axis.epoch_sql} >= {axis.literal_sql(floor)}"
        if limit is not None:
            chosen += f" ORDER BY {axis.epoch_sql} LIMIT {limit}"
            chosen += " FOR UPDATE SKIP LOCKED" if lock and self.postgresql else ""
        return f"INSERT INTO {self.key_table(root)} {chosen}"

    def take_these(self, keys: str) -> str:
        """Returns SQL that locks the rows whose keys a table holds and puts them into the root's key table."""
        root = self.cascade.root
        wanted = f"EXISTS (SELECT 1 FROM {keys} t WHERE {self.cascade.nodes[root].is_same('t', 'c')})"
        chosen = f"SELECT {self._copied(root)} FROM {root.sql} c WHERE {self.due.due_sql} AND {wanted} FOR UPDATE"
        return f"INSERT INTO {self.key_table(root)} {chosen}"

    @property
    def spared_sql(self) -> str:
        """Returns SQL, beginning with AND, under which no unexpired row of the root depends directly on its row `c`;
        empty if no row of the root can depend on another row of the root."""
        root = self.cascade.root
        return "".join(
            f" AND NOT EXISTS (SELECT 1 FROM {root.sql} l"
            f" WHERE {edge.match_condition('c', 'l')} AND ({self.due.sql_on('l')}) IS NOT TRUE)"
            for edge in self.cascade.parent_edges(root)
            if edge.parent == root and edge.partition is None
        )

    def latest_sql(self) -> str:
        """Returns SQL for the time at which the last taken row expired, as text: a point, or the value in SQLite."""
        latest = f"SELECT max({self._at}) FROM {self.key_table(self.cascade.root)}"
        return f"SELECT CAST({self.due.axis.point_sql(latest)} AS text)" if self.postgresql else latest

    def count_unexpired_sql(self) -> str | None:
        """Returns SQL that counts unexpired or held rows of the root that depend on a row of the batch; None if no
        reference leads back to the root."""
        root = self.cascade.root
        if not self.cascade.parent_edges(root):
            return None
        known = self.known_keys_sql(root, "c")
        return f"SELECT count(*) FROM {root.sql} c WHERE {known} AND ({self.due.due_sql}) IS NOT TRUE"

    def strays_sql(self) -> list[str]:
        """Returns SQL that counts rows which the database would delete, change or reject although they depend on rows
        that stay. There is one statement per foreign key whose `actions` differ from its `comparisons`."""
        return [
            f"SELECT count(*) FROM {edge.child.sql} d WHERE EXISTS (SELECT 1 FROM {self.gone_sql(edge)}"
            f" WHERE {edge.match_condition('k', 'd', acting=True)})"
            f" AND NOT EXISTS (SELECT 1 FROM {self.gone_sql(edge)} WHERE {edge.match_condition('k', 'd')})"
            + "".join(f" AND NOT ({deletion.condition})" for deletion in self.delete_statements(edge.child))
            for table in self.cascade.nodes
            for edge in self._acting(table)
        ]

    def kept_back(self) -> list[str]:
        """Returns SQL that counts held rows which the batch would delete, one statement per table and deletion."""
        return [
            f"{deletion.count_sql} AND ({held.condition})"
            for table, held in self.held.items()
            for deletion in self.delete_statements(table)
        ]

    def taken_keys_sql(self) -> str:
        """Returns SQL for the keys of the taken rows, as text."""
        key = self.cascade.nodes[self.cascade.root].key
        return f"SELECT {', '.join(map(self._as_text, key))} FROM {self.key_table(self.cascade.root)}"

    @property
    def named_by(self) -> tuple[str, ...]:
        """Returns the columns that identify a row of the root in messages."""
        node = self.cascade.nodes[self.cascade.root]
        return node.primary or node.key

    def row_names_sql(self) -> str:
        """Returns SQL for the names of the taken rows in messages, as text."""
        root = self.cascade.root
        columns = ", ".join(map(self._as_text, self.named_by))
        return f"SELECT {columns} FROM {root.sql} d WHERE {self.known_keys_sql(root, 'd')}"

    def collect_keys_sql(self, edge: ReferenceEdge, after: int | None = None, *, lock: bool = True) -> str:
        """Returns SQL that puts the keys of rows that depend by `edge` on known rows into the child's key table, once.

        Args:
            after: within a circle, the round whose rows are followed; None for all known rows.
            lock: lock the rows until the transaction ends.
        """
        child = edge.child
        rows = f"SELECT {self._copied(child, 0 if after is None else after + 1)} FROM {child.sql} c"
        rows += f" WHERE {self._hangs(edge, 'c', after)}"
        if len(self.cascade.parent_edges(child)) > 1 or child == self.cascade.root:
            rows += f" AND NOT ({self.known_keys_sql(child, 'c')})"
        rows += " FOR UPDATE OF c" if lock and self.postgresql else ""
        return f"INSERT INTO {self.key_table(child)} {rows}"

    def delete_statements(self, table: TableName) -> list[DeleteStatement]:
        """Returns the deletions of a table: by the table's own keys if they are known, else one for each reference.

        The list is empty for a table in `left` and for a table outside the cascade.
        """
        if table in self.left or table not in self.cascade.nodes:
            return []
        node = self.cascade.nodes[table]
        if self.is_inner(table):
            join = (self.key_table(table), node.is_same("k", "d")) if self.postgresql else None
            return [DeleteStatement(node, self.known_keys_sql(table, "d"), join)]
        return [
            DeleteStatement(
                node,
                self._hangs(edge, "d"),
                (self.key_table(edge.parent), edge.match_condition("k", "d")) if self._is_copied(edge) else None,
            )
            for edge in self.cascade.parent_edges(table)
        ]

    def deleted_condition(self, table: TableName) -> str:
        """Returns the SQL condition of the rows `d` of a table that the batch deletes; empty for a table in `left`."""
        return " OR ".join(f"({deletion.condition})" for deletion in self.delete_statements(table))

    def left_counts(self) -> str | None:
        """Returns SQL for the number of rows, as text, that this session has deleted from each table of `left`: in this
        transaction, and in earlier ones that the statistics do not include yet. Returns None if `left` is empty."""
        counts = [
            " + ".join(f"pg_stat_get_xact_tuples_deleted({quote_literal(heap.name.sql)}::regclass)" for heap in heaps)
            for heaps in (self.cascade.nodes[table].info.heaps for table in self.left)
        ]
        return f"SELECT {', '.join(f'CAST({count} AS text)' for count in counts)}" if counts else None

    def files_sql(self, node: CascadeTable, files: FileColumns) -> str:
        """Returns `named_files_sql` for the rows of a table that the batch deletes."""
        rows = f"SELECT d.* FROM {node.name.sql} AS d WHERE {self.deleted_condition(node.name) or '1 = 0'}"
        return named_files_sql(files, f"({rows}) gone", postgresql=self.postgresql)

    def known_keys_sql(self, table: TableName, row: str) -> str:
        """Returns the SQL condition under which the key table of an inner table holds a row."""
        node, known = self.cascade.nodes[table], self.key_table(table)
        if self.postgresql:
            return f"EXISTS (SELECT 1 FROM {known} k WHERE {node.is_same('k', row)})"
        (key,) = map(quote_identifier, node.key)
        return f"{row}.{key} IN (SELECT {key} FROM {known})"

    def _hangs(self, edge: ReferenceEdge, row: str, after: int | None = None) -> str:
        """Returns the SQL condition under which a row of the child depends by `edge` on a known row."""
        step = "" if after is None else f" AND {'k' if self._is_copied(edge) else 'n'}.{self._step} = {after}"
        if self.postgresql:
            return f"EXISTS (SELECT 1 FROM {self.gone_sql(edge)} WHERE {edge.match_condition('k', row)}{step})"
        # CROSS JOIN fixes the order, from the side that no index serves: SQLite has no statistics about the keys.
        (key,) = map(quote_identifier, self.cascade.nodes[edge.child].key)
        n, k, same = f"{self.key_table(edge.parent)} n", f"{edge.parent.sql} k", self.cascade.nodes[edge.parent].is_same
        source = (
            f"{n} CROSS JOIN {k} ON {same('k', 'n')} CROSS JOIN {edge.child.sql} h ON {edge.match_condition('k', 'h')}"
        )
        if edge.actions:
            match = edge.match_condition("k", "h")
            source = f"{edge.child.sql} h CROSS JOIN {k} ON {match} CROSS JOIN {n} ON {same('k', 'n')}"
        return f"{row}.{key} IN (SELECT h.{key} FROM {source} WHERE 1{step})"

    def _is_copied(self, edge: ReferenceEdge) -> bool:
        """Returns whether the parent's key table holds the columns that the child references."""
        return self.postgresql and edge.partition is None

    def gone_sql(self, edge: ReferenceEdge) -> str:
        """Returns SQL for the known rows `k` of a parent, with the referenced columns."""
        known = self.key_table(edge.parent)
        if self._is_copied(edge):
            return f"{known} k"
        table = edge.partition or edge.parent
        return f"{known} n JOIN {table.sql} k ON {self.cascade.nodes[edge.parent].is_same('n', 'k')}"

    def _but(self, left_out: Sequence[Key]) -> str:
        if not left_out:
            return ""
        columns = ", ".join(map(self._as_text, self.cascade.nodes[self.cascade.root].key))
        keys = ", ".join(f"({', '.join(map(quote_literal, key))})" for key in left_out)
        keys = keys if self.postgresql else f"VALUES {keys}"
        return f" AND ({columns}) NOT IN ({keys})"

    def _as_text(self, column: str) -> str:
        name = quote_identifier(column)
        return output_of(name) if self.postgresql else f"CAST({name} AS text)"
