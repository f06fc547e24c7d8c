"""Defines the exception of a guard, and the guards on columns and privileges that several jobs share.

A guard is a check that refuses a policy before data is at risk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from nightshift.errors import InvalidSettings
from nightshift.results.common import GuardRefusal

if TYPE_CHECKING:
    from nightshift.database.catalog import TableColumn, TableInfo


class GuardRefused(Exception):
    """A guard refused a policy. `refusal` is the refusal in the form that the job's result has."""

    def __init__(self, guard: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.refusal = GuardRefusal(guard=guard, message=message, hint=hint)

    @classmethod
    def from_refusal(cls, refusal: GuardRefusal) -> Self:
        """Returns the exception for a refusal by a guard of another package."""
        return cls(refusal.guard, refusal.message, refusal.hint)

    def as_error(self) -> InvalidSettings:
        """Returns the refusal as an error, for callers that cannot continue without the policy."""
        return InvalidSettings(self.refusal.message, hint=self.refusal.hint)


def column_names(info: TableInfo) -> str:
    """Returns the names of a table's first 20 columns, for a hint."""
    return ", ".join(column.name for column in info.columns[:20])


def known_column(info: TableInfo, written: str, hint: str) -> TableColumn:
    """Returns the column with a name. Raises `GuardRefused` if the table has no such column."""
    column = info.column(written)
    if column is None:
        raise GuardRefused("unknown_column", f"{info.name.label} has no column {written}", hint)
    return column


def check_readable(info: TableInfo, name: str, hidden: str) -> None:
    """Checks that nightshift's role can read all rows of a table.

    Args:
        hidden: noun for the rows that row-level security would hide, for the message.

    Raises:
        GuardRefused: the role has no privilege to read the table, or row-level security hides rows from the role.
    """
    if not info.may_read:
        raise GuardRefused(
            "privilege",
            f"nightshift's role may not read {name}",
            f"GRANT SELECT ON {info.name.sql}, and USAGE on its schema, TO nightshift's role",
        )
    if "row-level security" in info.hiding:
        raise GuardRefused(
            "hidden_rows",
            f"{name}: row-level security hides {hidden}",
            "ALTER ROLE … BYPASSRLS for nightshift's role, or let it be a member of the table's owner",
        )
