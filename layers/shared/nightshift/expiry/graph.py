"""The dependency graph of an expiring table: its tables, the references between them, and the order of deletion.

An edge leads from a referenced table (parent) to a referencing table (child). An edge is a foreign key, or a reference
that the policy states. Tables that reference each other in a circle form one group. Groups are sorted, parents first,
and rows are deleted in the reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from nightshift.database.catalog import ColumnComparison, TableInfo, TableName
from nightshift.database.references import join_condition
from nightshift.expiry.file_columns import FileColumns


@dataclass(frozen=True, slots=True)
class ReferenceEdge:
    """A reference: `child.columns` hold the values of `parent.referenced`.

    Attributes:
        name: name of the foreign key; None for a reference that only the policy states.
        indexed: an index finds a parent's children; True if no look-up was made.
        partition: the parent's partition that the key references; None if the key references the whole table.
        cascades: the database deletes the child's rows by ON DELETE CASCADE.
        comparisons, actions: see `catalog.ForeignKey`; for a stated reference, as a foreign key would compare.
    """

    parent: TableName
    referenced: tuple[str, ...]
    child: TableName
    columns: tuple[str, ...]
    name: str | None = None
    indexed: bool = True
    partition: TableName | None = None
    cascades: bool = False
    comparisons: tuple[ColumnComparison, ...] = ()
    actions: tuple[ColumnComparison, ...] = ()

    def match_condition(self, parent: str, child: str, *, acting: bool = False) -> str:
        """Returns the SQL condition under which a row `child` references a row `parent`.

        If `acting` is true, the condition is the one by which the database acts when it deletes `parent`.
        """
        comparisons = self.actions if acting else self.comparisons
        return join_condition(comparisons, parent, self.referenced, child, self.columns)


@dataclass(frozen=True, slots=True)
class CascadeTable:
    """A table of the cascade.

    Attributes:
        key: columns that identify a row: the primary key, or the rowid in SQLite; empty if there is no key.
        same: how the key's columns are compared.
        primary: the columns of the primary key in SQLite, where `key` is the rowid.
        files: the columns that name files in S3.
    """

    info: TableInfo
    key: tuple[str, ...]
    files: tuple[FileColumns, ...] = ()
    same: tuple[ColumnComparison, ...] = ()
    primary: tuple[str, ...] = ()

    def is_same(self, row: str, other: str) -> str:
        """Returns the SQL condition under which `row` and `other` are the same row."""
        return join_condition(self.same or (ColumnComparison(),) * len(self.key), row, self.key, other, self.key)

    @property
    def name(self) -> TableName:
        return self.info.name


@dataclass(frozen=True)
class CascadeGraph:
    """An expiring table and all tables that depend on it.

    Attributes:
        nodes: all tables, including the root.
        edges: all references between the tables, each once.
        loose: references with ON DELETE SET NULL or SET DEFAULT. No row depends on another row by a loose reference,
            but the database changes the child's rows, which may be in the cascade as well.
    """

    root: TableName
    nodes: dict[TableName, CascadeTable]
    edges: tuple[ReferenceEdge, ...]
    loose: tuple[ReferenceEdge, ...] = ()

    @property
    def unindexed_edges(self) -> list[str]:
        """Returns a warning for each reference without an index on the child's columns."""
        return [
            f"no index on {edge.child.label} ({', '.join(edge.columns)}):"
            f" every deletion from {edge.parent.label} reads it whole"
            for edge in self.edges
            if not edge.indexed
        ]

    def parent_edges(self, table: TableName) -> list[ReferenceEdge]:
        """Returns the references by which rows of `table` depend on other rows."""
        return [edge for edge in self.edges if edge.child == table]

    def child_edges(self, table: TableName) -> list[ReferenceEdge]:
        """Returns the references by which other rows depend on rows of `table`."""
        return [edge for edge in self.edges if edge.parent == table]

    @property
    def dissolved_edges(self) -> tuple[ReferenceEdge, ...]:
        """Returns the references by which the database changes rows of the cascade's tables."""
        return tuple(edge for edge in self.loose if edge.child in self.nodes)

    def carrying_conditions(self, held: Mapping[TableName, str], row: str) -> tuple[str, ...]:
        """Returns SQL conditions that are true for a root's row on which a held row depends, directly or indirectly.

        Args:
            held: for each table, the SQL condition of held rows, on the table's column names.
            row: the alias of the root's row.

        Returns:
            one condition for each reference to the root. The conditions pass through each table of a circle once.
        """
        return tuple(self._carrying(held, row, (self.root,)))

    def _carrying(self, held: Mapping[TableName, str], parent: str, path: tuple[TableName, ...]) -> Iterator[str]:
        row = f"h{len(path)}"
        for edge in self.child_edges(path[-1]):
            if edge.child in path:
                continue
            conditions = [held[edge.child]] if edge.child in held else []
            conditions += self._carrying(held, row, (*path, edge.child))
            if conditions:
                condition = f"{edge.match_condition(parent, row)} AND ({' OR '.join(conditions)})"
                yield f"EXISTS (SELECT 1 FROM {edge.child.sql} {row} WHERE {condition})"

    @cached_property
    def database_cascaded(self) -> frozenset[TableName]:
        """Returns the tables whose rows ON DELETE CASCADE deletes, so nightshift needs no statement for them. These
        tables name no files and no loose reference changes their rows; all tables that depend on them are included.
        """
        names = {
            name
            for name, node in self.nodes.items()
            if name != self.root
            and not node.files
            and all(edge.cascades and not edge.actions for edge in self.parent_edges(name))
            and all(edge.child != name for edge in self.loose)
            and not any(edge.parent == name and edge.actions for edge in self.loose)
        }
        while more := {name for name in names if any(edge.child not in names for edge in self.child_edges(name))}:
            names -= more
        return frozenset(names)

    @cached_property
    def deletion_groups(self) -> tuple[tuple[TableName, ...], ...]:
        """Returns the tables in groups, parents before children; the tables of a circle form one group."""
        reach = {table: self._reached_from(table) for table in self.nodes}
        group_of = {
            table: tuple(t for t in self.nodes if t == table or (t in reach[table] and table in reach[t]))
            for table in self.nodes
        }
        sorter: TopologicalSorter[tuple[TableName, ...]] = TopologicalSorter(dict.fromkeys(group_of.values(), ()))
        for parent, child in self._leads():
            if group_of[parent] != group_of[child]:
                sorter.add(group_of[child], group_of[parent])
        return tuple(sorter.static_order())

    def _reached_from(self, table: TableName) -> set[TableName]:
        """Returns all tables whose rows must be deleted before those of `table`; includes `table` only in a circle."""
        reached: set[TableName] = set()
        waiting = [table]
        while waiting:
            at = waiting.pop()
            for parent, child in self._leads():
                if parent == at and child not in reached:
                    reached.add(child)
                    waiting.append(child)
        return reached

    def _leads(self) -> list[tuple[TableName, TableName]]:
        """Returns parent and child of every reference that affects the order of deletion."""
        loose = (edge for edge in self.loose if edge.child in self.nodes and edge.child != edge.parent)
        return [(edge.parent, edge.child) for edge in (*self.edges, *loose)]
