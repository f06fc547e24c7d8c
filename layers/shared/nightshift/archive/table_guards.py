"""Guards that need no more than the table: for every job that deletes rows."""

from __future__ import annotations

from sqlalchemy import Connection

from nightshift.archive.inventory import returned_beside
from nightshift.database.catalog import Column, TableInfo, TableName
from nightshift.database.identity import family
from nightshift.results import Refusal
from nightshift.rows.axis import Kind

INTEGERS = {"int2", "int4", "int8", "integer"}


def axis_kind(column: Column, epoch: str | None) -> Kind | None:
    """How a column can serve as the timestamp; None where it cannot."""
    match column.base_type:
        case "timestamptz" | "timestamp" | "date" as kind if epoch is None:
            return kind
        case "text" if epoch is None:
            return "text"
        case base if base in INTEGERS and epoch is not None:
            return "epoch_s" if epoch == "s" else "epoch_ms"
    return None


def known_table(written: str, info: TableInfo | None) -> Refusal | None:
    """The table exists and is one."""
    if info is None:
        return refusal("unknown_table", f"there is no table {written}", "correct `table` in the policy, or the schema")
    if info.name.name.startswith("nightshift_"):
        return refusal("unknown_table", f"{written} is one of nightshift's own tables", "take it out of the policies")
    if info.kind not in ("table", "partitioned"):
        hint = "name the table behind it" if "view" in info.kind else "only tables with row identifiers can be archived"
        return refusal("unknown_table", f"{written} is a {info.kind}", hint)
    return None


def returned(connection: Connection, name: TableName, written: str) -> Refusal | None:
    """Whether rows of archived objects are in the table again."""
    count = returned_beside(connection, name.label, family(connection, name))
    if not count:
        return None
    return refusal(
        "returned",
        f"rows of {count} archived objects are in {written} again, and would be archived twice",
        f"nightshift restore {name.label} --into-original: the objects leave the archive, the rows stay as they are",
    )


def refusal(guard: str, message: str, hint: str) -> Refusal:
    """A guard's no."""
    return Refusal(guard=guard, message=message, hint=hint)
