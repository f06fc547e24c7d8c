"""Defines the contents of a transaction's key tables and the SQL that creates them; `statements` explains their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from nightshift.archive.holds import UNWATCHED, Holds, HoldWatch
from nightshift.database.catalog import TableName, quote_identifier
from nightshift.expiry.due import DueCondition
from nightshift.expiry.graph import CascadeGraph, ReferenceEdge


@dataclass(frozen=True)
class KeyTables:
    """The key tables of one cascade, in the dialect of the cascade's database.

    Attributes:
        left: tables whose rows the database deletes by ON DELETE CASCADE.
        dissolved: loose references (see `CascadeGraph.loose`) of rows that must be archived before they change.
        schema: schema of nightshift's own tables, see `Database.schema`.
        held: the holds on tables that depend on the root.
        watch: detects holds that are added during the run.
    """

    cascade: CascadeGraph
    due: DueCondition
    postgresql: bool
    left: frozenset[TableName] = frozenset()
    dissolved: tuple[ReferenceEdge, ...] = ()
    schema: str | None = None
    held: Mapping[TableName, Holds] = field(default_factory=dict)
    watch: HoldWatch = UNWATCHED

    def is_inner(self, table: TableName) -> bool:
        """Returns whether `table` is an inner table: the root, or a table whose rows' keys other statements need."""
        return table == self.cascade.root or bool(self._needed(table))

    def _needed(self, table: TableName) -> list[ReferenceEdge]:
        """Returns the references for which the keys of `table` must be known."""
        deleted = [edge for edge in self.cascade.child_edges(table) if edge.child not in self.left]
        dissolved = [edge for edge in self.dissolved if edge.parent == table]
        return [*deleted, *self._acting(table), *dissolved]

    def key_columns(self, table: TableName) -> tuple[str, ...]:
        """Returns the columns of an inner table that the key table holds, for the deletion and for finding children.

        In SQLite a copied column would compare differently from the original, so children are found through the table.
        """
        edges = self._needed(table) if self.postgresql else []
        referenced = [column for edge in edges for column in edge.referenced]
        return tuple(dict.fromkeys([*self.cascade.nodes[table].key, *referenced]))

    def key_table(self, table: TableName) -> str:
        number = list(self.cascade.nodes).index(table)
        return f"{'pg_temp' if self.postgresql else 'temp'}.nightshift_keys_{number}"

    def create_tables(self, table: TableName) -> list[str]:
        """Returns SQL that creates an empty key table. PostgreSQL drops the table when the transaction ends; in SQLite
        the next `create_tables` drops it."""
        name = self.key_table(table).partition(".")[2]
        chosen = f"SELECT {self._copied(table)} FROM {table.sql} c WHERE false"
        if not self.postgresql:
            return [f"DROP TABLE IF EXISTS temp.{name}", f"CREATE TEMPORARY TABLE {name} AS {chosen}"]
        made = [f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {chosen}"]
        group = next(group for group in self.cascade.deletion_groups if table in group)
        if any(edge.parent in group for edge in self.cascade.parent_edges(table)):
            # Each round follows the rows that the last round found, and skips rows that are known.
            key = ", ".join(map(quote_identifier, self.cascade.nodes[table].key))
            made += [f"CREATE INDEX ON pg_temp.{name} ({columns})" for columns in (self._step, key)]
        return made

    def _copied(self, table: TableName, step: int = 0) -> str:
        """Returns the SQL list of the values that a key table holds of a row `c`."""
        # With an alias: SQLite names a copied "rowid" after the column that is an alias of the rowid, and "rowid" would
        # then mean the key table's own rowid.
        columns = [f"c.{name} AS {name}" for name in map(quote_identifier, self.key_columns(table))]
        at = [f"{self.due.axis.epoch_sql} AS {self._at}"] if table == self.cascade.root else []
        return ", ".join([*columns, f"{step} AS {self._step}", *at])

    @cached_property
    def _at(self) -> str:
        """Returns the name of the key tables' column for the time at which a row expires."""
        return self._free("nightshift_at")

    @cached_property
    def _step(self) -> str:
        """Returns the name of the key tables' column for the round in which a row was found."""
        return self._free("nightshift_step")

    def _free(self, name: str) -> str:
        """Returns `name`, with underscores appended until no copied column has the name."""
        taken = {column.lower() for table in self.cascade.nodes for column in self.key_columns(table)}
        while name in taken:
            name += "_"
        return name

    def _acting(self, table: TableName) -> list[ReferenceEdge]:
        """Returns the references whose `actions` find other rows, at the deletion of a row, than `comparisons` do."""
        edges = (*self.cascade.edges, *self.cascade.loose) if self.cascade.nodes[table].key else ()
        return [edge for edge in edges if edge.parent == table and edge.actions]
