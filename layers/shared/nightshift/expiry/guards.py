"""Checks a cascade before any of its rows is deleted. Each guard refuses the whole policy."""

from __future__ import annotations

from sqlalchemy import Connection

from nightshift.archive.table_guards import (
    CHILDREN_CURE,
    UTF8_CURE,
    already_restored_refusal,
    check_replicable,
    hiding_cure,
)
from nightshift.database import dialect, references
from nightshift.database.catalog import ForeignKey, TableColumn, TableInfo, TableName
from nightshift.expiry.graph import CascadeGraph, CascadeTable, ReferenceEdge
from nightshift.guards import GuardRefused, column_names, known_column
from nightshift.policy.expiry import ExpiryPolicy
from nightshift.rows.reserved_names import EXACT


def check_guards(connection: Connection, policy: ExpiryPolicy, cascade: CascadeGraph) -> None:
    """Run every guard on every table of the cascade; raises `GuardRefused`."""
    if not dialect.may_make_temporary(connection):
        what = "nightshift's role may not make temporary tables"
        raise GuardRefused("privilege", what, "GRANT TEMPORARY ON DATABASE … TO nightshift's role")
    for node in cascade.nodes.values():
        _nothing_hidden(node)
        if not all(heap.may_delete for heap in node.info.heaps) or not dialect.may_lock(connection, node.name):
            raise no_privilege(node.name)
        if connection.dialect.name == "postgresql" and (
            refusal := check_replicable(connection, node.info.heaps, node.name.label)
        ):
            raise GuardRefused.from_refusal(refusal)
        _can_be_told_apart(cascade, node)
        if policy.archive:
            _archivable(connection, node)
    if policy.archive:
        _no_circle(cascade)
        for edge in cascade.loose:
            _can_be_closed(connection, cascade, edge)


def policy_column(info: TableInfo, written: str) -> TableColumn:
    """Returns the column with this name; raises `GuardRefused` if the table has no such column."""
    return known_column(info, written, f"its columns: {column_names(info)}")


def check_lasting(edge: ReferenceEdge, key: ForeignKey) -> None:
    """Raise `GuardRefused` for a temporal key, by which a row may depend on several rows that cover its period."""
    if key.temporal:
        raise GuardRefused(
            "temporal_key",
            f"{edge.child.label} references {edge.parent.label} by a temporal key ({key.name}):"
            " a row may hang on an expired row and a living one at once",
            f"take {edge.parent.label} out of the policies, or drop PERIOD from the foreign key",
        )


def _nothing_hidden(node: CascadeTable) -> None:
    """Check that no rule, trigger, row-level security or inheritance hides rows or keeps them from a DELETE."""
    if node.info.hiding or node.info.has_children:
        what = ", ".join(node.info.hiding) or "a table that inherits from it"
        raise GuardRefused(
            "hidden_rows",
            f"{node.name.label}: {what} can keep rows from a DELETE",
            hiding_cure(node.info.hiding) if node.info.hiding else CHILDREN_CURE,
        )


def no_privilege(table: TableName) -> GuardRefused:
    """Returns the error for a table on which nightshift's role lacks a privilege that the deletion needs."""
    return GuardRefused(
        "privilege",
        f"nightshift's role may not read, lock and delete in {table.label}",
        f"GRANT SELECT, UPDATE, DELETE ON {table.sql}, and USAGE on its schema, TO nightshift's role",
    )


def _can_be_told_apart(cascade: CascadeGraph, node: CascadeTable) -> None:
    """Check that the root, and every table on which other tables depend, has a key."""
    if (node.name == cascade.root or cascade.child_edges(node.name)) and not node.key:
        raise GuardRefused(
            "no_key",
            f"{node.name.label} has no primary key, and rows hang on it",
            "give it one: without it, its expired rows could not be told from others",
        )


def _archivable(connection: Connection, node: CascadeTable) -> None:
    """Check that the table's rows can be archived, and are not archived twice after a restore."""
    info, label = node.info, node.name.label
    if connection.dialect.name != "postgresql":
        what = "rows of a cascade can be archived from PostgreSQL only"
        raise GuardRefused("archive", what, "take archive = true out of the policy")
    if not info.text_encoding_ok:
        what = "the database's encoding is SQL_ASCII: its text may not be valid UTF-8"
        raise GuardRefused("encoding", what, UTF8_CURE)
    if info.column(EXACT) is not None:
        what = f"{label} has a column {EXACT}, a name that nightshift uses"
        raise GuardRefused("reserved_name", what, "rename the column")
    if refusal := already_restored_refusal(connection, node.name, label):
        raise GuardRefused.from_refusal(refusal)


def _can_be_closed(connection: Connection, cascade: CascadeGraph, edge: ReferenceEdge) -> None:
    """Check that a loose reference changes no row of the cascade before the row's archiving, see `final_steps`."""
    if edge in cascade.dissolved_edges and not cascade.nodes[edge.parent].key:
        raise GuardRefused(
            "no_key",
            f"{edge.parent.label} has no primary key, and rows of {edge.child.label} lose their reference when it goes",
            "give it one: without it, what is archived could have lost it already",
        )
    for table in references.referencing_tables(connection, edge.child, edge.columns):
        if table in cascade.nodes:
            raise GuardRefused(
                "archive",
                f"{table.label} follows changes of {edge.child.label} by ON UPDATE, and these follow a deletion from"
                f" {edge.parent.label} ({edge.name}): its rows could be archived otherwise than they were",
                "take `archive = true` out of the policy, or make one of the two keys NO ACTION",
            )


def _no_circle(cascade: CascadeGraph) -> None:
    """Check that no tables reference each other in a circle, so that one statement per table can return its rows."""
    circle = next((group for group in cascade.deletion_groups if len(group) > 1), ())
    loose = [edge.name for edge in cascade.dissolved_edges if edge.parent in circle and edge.child in circle]
    if circle:
        names = ", ".join(name.label for name in circle)
        raise GuardRefused(
            "archive",
            f"{names} reference each other in a circle: their rows cannot be archived one table after the other",
            f"take `archive = true` out of the policy, or drop {loose[0]}: it would be dissolved before it is archived"
            if loose
            else "take `archive = true` out of the policy, or drop one of the foreign keys",
        )
