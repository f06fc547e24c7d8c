"""The SQL of one transaction: which expired rows it takes, what hangs on them, and how all of it goes.

Keys stay in the server: those of the taken rows, and of every row that others hang on, are put into temporary tables
(*key tables*), level by level and locked, before anything is deleted. From then on nobody can hang a new row on a taken
one, or change one of these rows, until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightshift.database.catalog import TableName, quote_identifier, quote_literal
from nightshift.expiry.due import Due
from nightshift.expiry.graph import Cascade, Edge, FileColumns, Node

Key = tuple[str, ...]
"""The values of a row's key, as text."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows of one table that are to go: those for which `condition` holds."""

    node: Node
    condition: str

    @property
    def sql(self) -> str:
        return f"DELETE FROM {self.node.name.sql} WHERE {self.condition}"


@dataclass(frozen=True)
class Statements:
    """Writes the SQL for one cascade, in the dialect of its database."""

    cascade: Cascade
    due: Due
    postgresql: bool

    def key_table(self, table: TableName) -> str:
        number = list(self.cascade.nodes).index(table)
        return f"{'pg_temp' if self.postgresql else 'temp'}.nightshift_keys_{number}"

    def create(self, table: TableName) -> list[str]:
        """An empty key table, gone again when the transaction ends (PostgreSQL) or when it is made anew (SQLite)."""
        columns = ", ".join(map(quote_identifier, self.cascade.kept(table)))
        name = self.key_table(table).partition(".")[2]
        chosen = f"SELECT {columns}, 0 AS nightshift_step FROM {table.sql} WHERE false"
        if self.postgresql:
            return [f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {chosen}"]
        return [f"DROP TABLE IF EXISTS temp.{name}", f"CREATE TEMPORARY TABLE {name} AS {chosen}"]

    def take(self, limit: int | None, left_out: Sequence[Key] = ()) -> str:
        """Put the oldest expired rows' keys into the root's key table; rows that somebody has locked are passed over.

        Args:
            limit: so many at the most; None: all, unlocked, for a dry run.
            left_out: rows that are not to be tried again.
        """
        root = self.cascade.root
        columns = ", ".join(map(quote_identifier, self.cascade.kept(root)))
        chosen = f"SELECT {columns}, 0 FROM {root.sql} WHERE {self.due.sql}{self._but(left_out)}"
        if limit is not None:
            chosen += f" ORDER BY {self.due.axis.sql} LIMIT {limit}"
            chosen += " FOR UPDATE SKIP LOCKED" if self.postgresql else ""
        return f"INSERT INTO {self.key_table(root)} {chosen}"

    def taken(self) -> str:
        """The keys of the taken rows, as text."""
        key = self.cascade.nodes[self.cascade.root].key
        return f"SELECT {', '.join(map(_as_text, key))} FROM {self.key_table(self.cascade.root)}"

    def collect(self, edge: Edge, after: int | None = None, *, lock: bool = True) -> str:
        """Put the keys of an inner table's rows that hang on known ones by `edge` into its key table, once each.

        Args:
            after: within a circle, the round whose finds are followed now; None: all rows known so far.
            lock: nobody may change these rows until the transaction ends.
        """
        child = edge.child
        columns = ", ".join(f"c.{quote_identifier(column)}" for column in self.cascade.kept(child))
        found = f"SELECT {columns}, {0 if after is None else after + 1} FROM {child.sql} c"
        found += f" WHERE {self._hangs(edge, 'c.', after)}"
        if len(self.cascade.into(child)) > 1 or child == self.cascade.root:
            pairs = (quote_identifier(column) for column in self.cascade.nodes[child].key)
            same = " AND ".join(f"k.{column} = c.{column}" for column in pairs)
            found += f" AND NOT EXISTS (SELECT 1 FROM {self.key_table(child)} k WHERE {same})"
        found += " FOR UPDATE OF c" if lock and self.postgresql else ""
        return f"INSERT INTO {self.key_table(child)} {found}"

    def analyze(self, table: TableName) -> str:
        """Tell the planner how many keys there are: it would guess, and read large tables whole."""
        return f"ANALYZE {self.key_table(table)}"

    def deletions(self, table: TableName) -> list[Deletion]:
        """What to delete of a table: by its own keys where they are known, else by each of its references."""
        node = self.cascade.nodes[table]
        if self.cascade.is_inner(table):
            key = ", ".join(map(quote_identifier, node.key))
            return [Deletion(node, f"({key}) IN (SELECT {key} FROM {self.key_table(table)})")]
        return [Deletion(node, self._hangs(edge)) for edge in self.cascade.into(table)]

    def enqueue(self, files: FileColumns, source: str, run_id: str, next_try: str) -> str:
        """Put the files that rows of `source` name into the outbox."""
        key = quote_identifier(files.key)
        bucket = quote_identifier(files.bucket_column) if files.bucket_column else quote_literal(files.bucket or "")
        named = f"{key} <> ''" + (f" AND {bucket} <> ''" if files.bucket_column else "")
        return (
            "INSERT INTO nightshift_file_deletion (bucket, object_key, run_id, next_try)"
            f" SELECT {bucket}, {key}, {quote_literal(run_id)}, {quote_literal(next_try)}"
            f" FROM {source} WHERE {named}"
        )

    def _hangs(self, edge: Edge, prefix: str = "", after: int | None = None) -> str:
        mine = ", ".join(prefix + quote_identifier(column) for column in edge.columns)
        theirs = ", ".join(map(quote_identifier, edge.referenced))
        at = "" if after is None else f" WHERE nightshift_step = {after}"
        return f"({mine}) IN (SELECT {theirs} FROM {self.key_table(edge.parent)}{at})"

    def _but(self, left_out: Sequence[Key]) -> str:
        if not left_out:
            return ""
        columns = ", ".join(map(_as_text, self.cascade.nodes[self.cascade.root].key))
        keys = ", ".join(f"({', '.join(map(quote_literal, key))})" for key in left_out)
        keys = keys if self.postgresql else f"VALUES {keys}"
        return f" AND ({columns}) NOT IN ({keys})"


def _as_text(column: str) -> str:
    return f"CAST({quote_identifier(column)} AS text)"
