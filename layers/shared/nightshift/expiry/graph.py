"""The dependency graph of an expiring table: its tables, the references between them, and the order of deletion.

An edge leads from a referenced table (parent) to a referencing one (child): a foreign key, or a reference that the
policy states. Tables that reference each other in a circle form one *group*; groups have an order, parents first, and
rows are deleted in the opposite one.
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
        name: of the foreign key; None where only the policy knows of it.
        indexed: an index leads from a parent to its children; True where nobody looked.
        partition: of the parent, whose rows alone are referenced; another one may have the same values.
        cascades: the database deletes the child's rows by itself, by ON DELETE CASCADE.
        comparisons, actions: see `catalog.ForeignKey`; of a reference that the policy states: as a foreign key would.
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
        """SQL condition that a row `child` references a row `parent`; `acting`: as when a referenced row goes."""
        comparisons = self.actions if acting else self.comparisons
        return join_condition(comparisons, parent, self.referenced, child, self.columns)


@dataclass(frozen=True, slots=True)
class CascadeTable:
    """One table of the cascade.

    Attributes:
        key: the columns that tell its rows apart; empty where it has none. SQLite: the row identifier.
        same: how these are compared.
        primary: the columns of the primary key, where they are others.
        files: its columns that name files in S3.
    """

    info: TableInfo
    key: tuple[str, ...]
    files: tuple[FileColumns, ...] = ()
    same: tuple[ColumnComparison, ...] = ()
    primary: tuple[str, ...] = ()

    def is_same(self, row: str, other: str) -> str:
        """SQL condition that `row` and `other` are the same row."""
        return join_condition(self.same or (ColumnComparison(),) * len(self.key), row, self.key, other, self.key)

    @property
    def name(self) -> TableName:
        return self.info.name


@dataclass(frozen=True)
class CascadeGraph:
    """An expiring table and all tables that depend on it.

    Attributes:
        nodes: every table, the root among them.
        edges: every reference between them, none twice.
        loose: each reference that the database dissolves, by ON DELETE SET NULL or SET DEFAULT: no row depends on it,
            but it changes rows of the child, which may have to go as well.
    """

    root: TableName
    nodes: dict[TableName, CascadeTable]
    edges: tuple[ReferenceEdge, ...]
    loose: tuple[ReferenceEdge, ...] = ()

    @property
    def unindexed_edges(self) -> list[str]:
        """A warning for each reference that no index serves."""
        return [
            f"no index on {edge.child.label} ({', '.join(edge.columns)}):"
            f" every deletion from {edge.parent.label} reads it whole"
            for edge in self.edges
            if not edge.indexed
        ]

    def parent_edges(self, table: TableName) -> list[ReferenceEdge]:
        """The references by which rows of `table` depend on others."""
        return [edge for edge in self.edges if edge.child == table]

    def child_edges(self, table: TableName) -> list[ReferenceEdge]:
        """The references by which others depend on rows of `table`."""
        return [edge for edge in self.edges if edge.parent == table]

    @property
    def dissolved_edges(self) -> tuple[ReferenceEdge, ...]:
        """The references by which the database changes rows of these tables."""
        return tuple(edge for edge in self.loose if edge.child in self.nodes)

    def carrying_conditions(self, held: Mapping[TableName, str], row: str) -> tuple[str, ...]:
        """SQL conditions of rows of the root on which rows depend, directly or not, that meet a condition.

        Args:
            held: by table; on the table's own column names.
            row: the root's alias.

        Returns:
            one for each reference to the root. Of tables in a circle each is passed through once.
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
        """Tables whose rows ON DELETE CASCADE removes, so that no statement of ours is needed. They name no
        files, and no other change of theirs is expected; the same holds for all tables that depend on them.
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
        """The tables, parents before children; those of one circle together."""
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
        """Every table that must go before `table`, directly or not; itself only where a circle leads back."""
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
        """Parent and child of every reference that affects the order."""
        loose = (edge for edge in self.loose if edge.child in self.nodes and edge.child != edge.parent)
        return [(edge.parent, edge.child) for edge in (*self.edges, *loose)]
