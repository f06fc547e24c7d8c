"""Defines the exception of a guard that refuses a policy, and the guards on columns and rights that all jobs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from nightshift.errors import InvalidSettings
from nightshift.results.common import GuardRefusal

if TYPE_CHECKING:
    from nightshift.database.catalog import TableColumn, TableInfo


class GuardRefused(Exception):
    """A guard refused; `refusal` is the refusal as results report it."""

    def __init__(self, guard: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.refusal = GuardRefusal(guard=guard, message=message, hint=hint)

    @classmethod
    def from_refusal(cls, refusal: GuardRefusal) -> Self:
        """Returns the exception for a refusal that another package's guard has written."""
        return cls(refusal.guard, refusal.message, refusal.hint)

    def as_error(self) -> InvalidSettings:
        """Returns the refusal as an error, for callers that cannot go on without the policy."""
        return InvalidSettings(self.refusal.message, hint=self.refusal.hint)


def column_names(info: TableInfo) -> str:
    """Returns the names of a table's first 20 columns, for a hint."""
    return ", ".join(column.name for column in info.columns[:20])


def known_column(info: TableInfo, written: str, hint: str) -> TableColumn:
    """Returns the column with this name; raises `GuardRefused` if the table has no such column."""
    column = info.column(written)
    if column is None:
        raise GuardRefused("unknown_column", f"{info.name.label} has no column {written}", hint)
    return column


def check_readable(info: TableInfo, name: str, hidden: str) -> None:
    """Raises `GuardRefused` where nightshift's role may not read a table, or row-level security hides rows from it.

    Args:
        name: of the table, for people.
        hidden: what the role would not see.
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
