"""Builds the dependency graph of an expiring table from foreign keys and from the policy's `dependents`.

The graph contains foreign keys with any ON DELETE action except SET NULL and SET DEFAULT: with these two actions, the
referencing rows stay and the database changes them. A cascade that cannot be deleted as a whole, or that the policy
does not expect, is refused before any row is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.table_guards import check_table_known
from nightshift.database import dialect, sqlite
from nightshift.database.catalog import OnDelete, TableInfo, TableName, quote_identifier
from nightshift.database.connect import server_message
from nightshift.expiry.file_columns import FileColumns, FileReference, file_columns, is_text
from nightshift.expiry.graph import CascadeGraph, CascadeTable, ReferenceEdge
from nightshift.expiry.guards import check_guards, check_lasting, no_privilege, policy_column
from nightshift.guards import GuardRefused
from nightshift.policy.expiry import DependentPolicy, ExpiryPolicy
from nightshift.settings import Settings


@dataclass(slots=True)
class CascadeDiscovery:
    """Discovery of a cascade, from the expiring table to its dependent tables.

    Attributes:
        named: places in which rows name files, by any policy; they apply whichever policy deletes the rows.
    """

    connection: Connection
    policy: ExpiryPolicy
    settings: Settings
    named: Sequence[FileReference] = ()
    _infos: dict[TableName, TableInfo] = field(init=False, default_factory=dict)
    _by_spelling: dict[str, TableInfo] = field(init=False, default_factory=dict)
    _reached: dict[TableName, None] = field(init=False, default_factory=dict)
    _edges: dict[ReferenceEdge, None] = field(init=False, default_factory=dict)
    _loose: dict[ReferenceEdge, None] = field(init=False, default_factory=dict)

    @property
    def _postgresql(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    def discover_cascade(self) -> CascadeGraph:
        """Returns the graph; raises `GuardRefused` if rows cannot be deleted, or the policy does not fit the tables."""
        root = self._described(self.policy.table, timestamp=self.policy.expires_at)
        stated = [(self._described(d.table).name, d) for d in self.policy.dependents]
        self._follow(root.name, stated)
        self._check_reached(stated)
        self._check_expected(root.name)
        nodes = {name: self._node(name) for name in self._reached}
        cascade = CascadeGraph(root.name, nodes, tuple(self._edges), tuple(self._loose))
        check_guards(self.connection, self.policy, cascade)
        return cascade

    def _follow(self, root: TableName, stated: Sequence[tuple[TableName, DependentPolicy]]) -> None:
        waiting = [root]
        while waiting:
            parent = waiting.pop(0)
            if parent in self._reached:
                continue
            self._reached[parent] = None
            for edge in [*self._by_foreign_key(parent), *self._by_policy(root, parent, stated)]:
                self._edges[edge] = None
                waiting.append(edge.child)

    def _by_foreign_key(self, parent: TableName) -> Iterable[ReferenceEdge]:
        for key in self._infos[parent].referenced_by:
            # In SQLite `key.table` is a plain name; in PostgreSQL it is a label.
            label = key.table if self._postgresql else TableName("", key.table).label
            loose = key.on_delete in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT)
            child = TableName.of(label) if loose else self._described(label).name
            edge = ReferenceEdge(
                parent,
                key.referenced,
                child,
                key.columns,
                key.name,
                loose or dialect.is_indexed(self.connection, child, key.columns),
                key.partition,
                key.on_delete is OnDelete.CASCADE and key.acts,
                key.comparisons,
                key.actions if key.acts else (),
            )
            if loose:
                self._loose[edge] = None
            else:
                check_lasting(edge, key)
                yield edge

    def _by_policy(
        self, root: TableName, parent: TableName, stated: Sequence[tuple[TableName, DependentPolicy]]
    ) -> Iterable[ReferenceEdge]:
        for child, dependent in stated:
            if (self._described(dependent.references).name if dependent.references else root) != parent:
                continue
            columns = self._columns(child, dependent.columns)
            referenced = self._columns(parent, dependent.referenced) if dependent.referenced else self._key(parent)
            if len(columns) != len(referenced):
                raise GuardRefused(
                    "unknown_column",
                    f"{child.label}: {len(columns)} columns cannot reference {len(referenced)} of {parent.label}",
                    "name as many `referenced` columns as `columns`",
                )
            comparisons = dialect.reference_comparisons(self.connection, parent, referenced, child, columns)
            indexed = dialect.is_indexed(self.connection, child, columns)
            edge = ReferenceEdge(parent, referenced, child, columns, indexed=indexed, comparisons=comparisons)
            self._check_unique(edge)
            self._check_comparable(edge)
            yield edge

    def _check_unique(self, edge: ReferenceEdge) -> None:
        """Check that the referenced columns are unique; otherwise dependents of unexpired rows would be deleted."""
        is_key = edge.referenced == self._key(edge.parent)
        if not is_key and not dialect.is_unique(self.connection, edge.parent, edge.referenced):
            raise GuardRefused(
                "wrong_reference",
                f"{edge.parent.label} ({', '.join(edge.referenced)}) is not unique: several rows may have the same",
                "reference its primary key in [[expiry.dependents]], or make the columns UNIQUE",
            )

    def _check_comparable(self, edge: ReferenceEdge) -> None:
        """Check that the database can compare the columns of a reference that only the policy states."""
        mine, theirs = (", ".join(map(quote_identifier, names)) for names in (edge.columns, edge.referenced))
        try:
            with self.connection.begin_nested():
                self.connection.exec_driver_sql(
                    f"SELECT 1 FROM {edge.child.sql} c JOIN {edge.parent.sql} p"
                    f" ON {edge.match_condition('p', 'c')} LIMIT 0"
                )
        except DBAPIError as exc:
            raise GuardRefused(
                "wrong_reference",
                f"{edge.child.label} ({mine}) cannot be compared with {edge.parent.label} ({theirs}):"
                f" {server_message(exc)}",
                "name columns of types that can be compared in [[expiry.dependents]], or change the type of one",
            ) from exc

    def _described(self, written: str, timestamp: str = "") -> TableInfo:
        """Returns the description of a table; each spelling of its name is looked up once."""
        if known := self._by_spelling.get(written):
            return known
        info = dialect.describe_table(self.connection, written, timestamp)
        if refusal := check_table_known(written, info):
            raise GuardRefused.from_refusal(refusal)
        assert info is not None  # known_table has refused otherwise
        if not info.may_read:
            raise no_privilege(info.name)
        info = self._infos.setdefault(info.name, info)
        self._by_spelling[written] = self._by_spelling[info.name.label] = info
        return info

    def _columns(self, table: TableName, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(policy_column(self._infos[table], name).name for name in names)

    def _text_column(self, table: TableName, written: str) -> str:
        column = policy_column(self._infos[table], written)
        if not is_text(column, postgresql=self._postgresql):
            raise GuardRefused(
                "wrong_type",
                f"{table.label}.{column.name} is {column.type_name}: it cannot name a file",
                "name a column that holds text, one file each, in [[expiry.files]]",
            )
        return column.name

    def _node(self, table: TableName) -> CascadeTable:
        info, key = self._infos[table], self._key(table)
        if self._postgresql:
            same = dialect.reference_comparisons(self.connection, table, key, table, key)
            return CascadeTable(info, key, self._files(table), same)
        # SQLite rows are identified by their rowid: key columns may be null, or compare differently by collation.
        rowid = sqlite.row_identifier(info.columns)
        return CascadeTable(info, (rowid,) if rowid else (), self._files(table), primary=key)

    def _key(self, table: TableName) -> tuple[str, ...]:
        return dialect.primary_key(self.connection, table)

    def _files(self, table: TableName) -> tuple[FileColumns, ...]:
        columns = []
        for entry in self.policy.files:
            if self._described(entry.table).name != table:
                continue
            key = self._text_column(table, entry.key)
            column = self._text_column(table, entry.bucket_column) if entry.bucket_column else None
            files = file_columns(entry, key, column, self.settings)
            if not files.reading.reach.buckets:
                raise GuardRefused(
                    "no_bucket",
                    f"nobody says in which bucket the files of {table.label} are",
                    "name `bucket` or `buckets` in [[expiry.files]], or set EXPIRE_FILES_BUCKET",
                )
            columns.append(files)
        columns += [place.files for place in self.named if place.table == table]
        return tuple(dict.fromkeys(columns))

    def _check_reached(self, stated: Sequence[tuple[TableName, DependentPolicy]]) -> None:
        """Check that every stated dependent and every table with files depends on the expiring table."""
        children = {edge.child for edge in self._edges}
        for child, dependent in stated:
            if child not in children:
                raise GuardRefused(
                    "unknown_table",
                    f"{child.label} hangs on {dependent.references}, which does not hang on {self.policy.table}",
                    "correct `references` in [[expiry.dependents]]: it is the expiring table, or one that hangs on it",
                )
        for entry in self.policy.files:
            name = self._described(entry.table).name
            if name not in self._reached:
                raise GuardRefused(
                    "unknown_table",
                    f"{name.label} does not hang on {self.policy.table}: its files would never be deleted",
                    "name in [[expiry.files]] the table itself, or one that references it",
                )

    def _check_expected(self, root: TableName) -> None:
        """Check that the cascade reaches exactly the tables that the policy's `cascade` lists, if it is set."""
        if self.policy.cascade is None:
            return
        listed = {self._described(name).name for name in self.policy.cascade} - {root}
        reached = {edge.child for edge in self._edges} - {root}
        if more := sorted(name.label for name in reached - listed):
            raise GuardRefused(
                "unexpected_cascade",
                f"rows of {', '.join(more)} would be deleted with {root.label}, and `cascade` does not list them",
                "add them to `cascade`, or make their foreign keys ON DELETE SET NULL",
            )
        if fewer := sorted(name.label for name in listed - reached):
            raise GuardRefused(
                "unexpected_cascade",
                f"`cascade` lists {', '.join(fewer)}, but no reference leads there from {root.label}",
                "state it in [[expiry.dependents]], or take it off the list",
            )
