"""Selects the objects of a request: by table, by days, or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from nightshift.archive.inventory import (
    ARCHIVED,
    RESTORED,
    ArchivedObject,
    known_tables,
    list_archived_objects,
    resolve_table,
)
from nightshift.restore.request import RestoreRequest
from nightshift.results.common import GuardRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSelection:
    """The objects of one request.

    Attributes:
        label: the table's label in the ledger.
        chosen: objects to restore, oldest first.
        returned: objects that are not chosen, because their rows are in the original table again.
    """

    label: str
    chosen: Sequence[ArchivedObject]
    returned: Sequence[ArchivedObject]


def select_objects(connection: Connection, bucket: str, request: RestoreRequest) -> ObjectSelection | GuardRefusal:
    """Returns the objects that the request names, or a refusal if the ledger knows no such table or object."""
    labels = known_tables(connection, bucket)
    label = resolve_table(request.table, labels)
    if label is None:
        known = ", ".join(labels[:20]) or "none yet"
        return GuardRefusal(
            guard="unknown_table",
            message=f"nothing of a table {request.table} is archived in {bucket}",
            hint=f"archived tables: {known}; write schema.table where a name stands in several schemas",
        )
    found = list_archived_objects(
        connection, bucket, table=label, since=request.since, until=request.until, states=(ARCHIVED, RESTORED)
    )
    if request.objects:
        wanted = {name: [archived for archived in found if _is_called(archived, name)] for name in request.objects}
        if strangers := [name for name, hits in wanted.items() if not hits]:
            return GuardRefusal(
                guard="unknown_object",
                message=f"no object of {label} in the archive is called {', '.join(strangers[:5])}",
                hint="`nightshift archives` lists what is archived; what the ledger does not know is none of ours",
            )
        keys = {archived.key for hits in wanted.values() for archived in hits}
        found = [archived for archived in found if archived.key in keys]
    # An object that was restored into its original is no part of the archive. A request that names the object can
    # still restore its rows into another table.
    wanted_states = (ARCHIVED, RESTORED) if request.objects and not request.into_original else (ARCHIVED,)
    chosen = [archived for archived in found if archived.state in wanted_states]
    returned = [archived for archived in found if archived.state not in wanted_states]
    return ObjectSelection(label=label, chosen=chosen, returned=returned)


def _is_called(archived: ArchivedObject, name: str) -> bool:
    return name in (archived.key, archived.uri, archived.key.rpartition("/")[2])
