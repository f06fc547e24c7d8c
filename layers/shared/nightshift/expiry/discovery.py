"""Builds the dependency graph of an expiring table from foreign keys and from the policy's `dependents`.

Foreign keys are followed regardless of their ON DELETE action, unless it is SET NULL or SET DEFAULT: then the
referencing rows are meant to stay, and the database sees to that itself. A cascade that cannot be deleted as a whole,
or was not expected, is refused before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.table_guards import check_table_known
from nightshift.database import dialect, sqlite
from nightshift.database.catalog import OnDelete, TableInfo, TableName, quote_identifier
from nightshift.database.connect import server_message
from nightshift.expiry.graph import CascadeGraph, CascadeTable, FileColumns, FileReference, ReferenceEdge
from nightshift.expiry.guards import check_guards, check_lasting, no_privilege
from nightshift.expiry.places import file_columns, is_text
from nightshift.guards import GuardRefused
from nightshift.policy.expiry import DependentPolicy, ExpiryPolicy
from nightshift.settings import Settings


class CascadeDiscovery:
    """Discovery of a cascade, from an expiring table down."""

    def __init__(
        self, connection: Connection, policy: ExpiryPolicy, settings: Settings, named: Sequence[FileReference] = ()
    ) -> None:
        """Args:
        named: places in which rows name files by any policy: they do so whichever policy deletes them.
        """
        self._named = named
        self._connection = connection
        self._policy = policy
        self._settings = settings
        self._postgresql = connection.dialect.name == "postgresql"
        self._infos: dict[TableName, TableInfo] = {}
        self._reached: dict[TableName, None] = {}
        self._edges: dict[ReferenceEdge, None] = {}
        self._loose: dict[ReferenceEdge, None] = {}

    def discover_cascade(self) -> CascadeGraph:
        """The whole of it.

        Raises:
            GuardRefused: something cannot be deleted, or is not as the policy says.
        """
        root = self._described(self._policy.table, timestamp=self._policy.expires_at)
        stated = [(self._described(d.table).name, d) for d in self._policy.dependents]
        self._follow(root.name, stated)
        self._all_led_somewhere(stated)
        self._as_expected(root.name)
        nodes = {name: self._node(name) for name in self._reached}
        self._files_found(nodes)
        cascade = CascadeGraph(root.name, nodes, tuple(self._edges), tuple(self._loose))
        check_guards(self._connection, self._policy, cascade)
        return cascade

    def _follow(self, root: TableName, stated: Sequence[tuple[TableName, DependentPolicy]]) -> None:
        """Every table that can be reached, each looked at once."""
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
            # SQLite's names come as they are; PostgreSQL's are labels.
            label = key.table if self._postgresql else TableName("", key.table).label
            loose = key.on_delete in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT)
            child = TableName.of(label) if loose else self._described(label).name
            edge = ReferenceEdge(
                parent,
                key.referenced,
                child,
                key.columns,
                key.name,
                loose or dialect.is_indexed(self._connection, child, key.columns),
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
            comparisons = dialect.reference_comparisons(self._connection, parent, referenced, child, columns)
            indexed = dialect.is_indexed(self._connection, child, columns)
            edge = ReferenceEdge(parent, referenced, child, columns, indexed=indexed, comparisons=comparisons)
            self._unambiguous(edge)
            self._comparable(edge)
            yield edge

    def _unambiguous(self, edge: ReferenceEdge) -> None:
        """Checks that the referenced columns are unique: else dependents of a living row would be deleted, too."""
        is_key = edge.referenced == self._key(edge.parent)
        if not is_key and not dialect.is_unique(self._connection, edge.parent, edge.referenced):
            raise GuardRefused(
                "wrong_reference",
                f"{edge.parent.label} ({', '.join(edge.referenced)}) is not unique: several rows may have the same",
                "reference its primary key in [[expiry.dependents]], or make the columns UNIQUE",
            )

    def _comparable(self, edge: ReferenceEdge) -> None:
        """The database can compare both sides of a reference that it does not know of."""
        mine, theirs = (", ".join(map(quote_identifier, names)) for names in (edge.columns, edge.referenced))
        try:
            with self._connection.begin_nested():
                self._connection.exec_driver_sql(
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
        """The table of that name; looked up once."""
        known = next((info for info in self._infos.values() if info.name.label == written), None)
        if known is not None:
            return known
        info = dialect.describe_table(self._connection, written, timestamp)
        if refusal := check_table_known(written, info):
            raise GuardRefused.from_refusal(refusal)
        assert info is not None  # known_table has refused otherwise
        if not info.may_read:
            raise no_privilege(info.name)
        return self._infos.setdefault(info.name, info)

    def _columns(self, table: TableName, names: Sequence[str]) -> tuple[str, ...]:
        info = self._described(table.label)
        found = []
        for name in names:
            column = info.column(name)
            if column is None:
                known = ", ".join(c.name for c in info.columns[:20])
                raise GuardRefused("unknown_column", f"{table.label} has no column {name}", f"its columns: {known}")
            found.append(column.name)
        return tuple(found)

    def _text_column(self, table: TableName, written: str) -> str:
        (name,) = self._columns(table, [written])
        column = self._infos[table].column(name)
        if column is None or not is_text(column, postgresql=self._postgresql):
            raise GuardRefused(
                "wrong_type",
                f"{table.label}.{name} is {column.type_name if column else 'unknown'}: it cannot name a file",
                "name a column that holds text, one file each, in [[expiry.files]]",
            )
        return name

    def _node(self, table: TableName) -> CascadeTable:
        info, key = self._infos[table], self._key(table)
        if self._postgresql:
            same = dialect.reference_comparisons(self._connection, table, key, table, key)
            return CascadeTable(info, key, self._files(table), same)
        # Other columns may be equal by one collation and not by another, or null.
        rowid = sqlite.row_identifier(info.columns)
        return CascadeTable(info, (rowid,) if rowid else (), self._files(table), primary=key)

    def _key(self, table: TableName) -> tuple[str, ...]:
        return dialect.primary_key(self._connection, table)

    def _files(self, table: TableName) -> tuple[FileColumns, ...]:
        found = []
        for entry in self._policy.files:
            if self._described(entry.table).name != table:
                continue
            key = self._text_column(table, entry.key)
            column = self._text_column(table, entry.bucket_column) if entry.bucket_column else None
            files = file_columns(entry, key, column, self._settings)
            if not files.reading.reach.buckets:
                raise GuardRefused(
                    "no_bucket",
                    f"nobody says in which bucket the files of {table.label} are",
                    "name `bucket` or `buckets` in [[expiry.files]], or set EXPIRE_FILES_BUCKET",
                )
            found.append(files)
        found += [place.files for place in self._named if place.table == table]
        return tuple(dict.fromkeys(found))

    def _files_found(self, nodes: dict[TableName, CascadeTable]) -> None:
        for entry in self._policy.files:
            name = self._described(entry.table).name
            if name not in nodes:
                raise GuardRefused(
                    "unknown_table",
                    f"{name.label} does not hang on {self._policy.table}: its files would never be deleted",
                    "name in [[expiry.files]] the table itself, or one that references it",
                )

    def _all_led_somewhere(self, stated: Sequence[tuple[TableName, DependentPolicy]]) -> None:
        reached = {edge.child for edge in self._edges}
        for child, dependent in stated:
            if child not in reached:
                raise GuardRefused(
                    "unknown_table",
                    f"{child.label} hangs on {dependent.references}, which does not hang on {self._policy.table}",
                    "correct `references` in [[expiry.dependents]]: it is the expiring table, or one that hangs on it",
                )

    def _as_expected(self, root: TableName) -> None:
        """Checks that the cascade reaches exactly the tables that the policy lists, if it lists any."""
        if self._policy.cascade is None:
            return
        listed = {self._described(name).name for name in self._policy.cascade} - {root}
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
