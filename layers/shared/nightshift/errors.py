"""Exceptions of nightshift, each with a message, the observed detail and a hint.

Every error that leaves a job is a `NightshiftError`. `runtime.run_job` logs the error once, reports the error on Slack,
and raises the error again, so that Lambda's retries, queues and alarms work. No part of an error may contain a secret
or the contents of a row. `detail` has names of tables, keys and counts, never values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


def join_names(names: Sequence[str], most: int) -> str:
    """Returns the first `most` names as text for a sentence, and the number of the other names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class NightshiftError(Exception):
    """Base class of all errors that nightshift raises on purpose.

    Args:
        message: the problem, in one sentence.
        detail: the observed facts, on one or several lines.
        hint: the remedy for the reader.
    """

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.result: object | None = None
        """The result of the failed job's work before the error, a `JobResult`; None: unknown."""

    def about(self, table: str) -> Self:
        """Adds the name of the table to the detail, unless the error has the name already. Returns the error."""
        if table not in f"{self.message} {self.detail}":
            self.detail = f"{table}: {self.detail}" if self.detail else table
        return self

    def __str__(self) -> str:
        parts = [self.message]
        if self.detail:
            parts.append(self.detail)
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)


class InvalidSettings(NightshiftError):
    """Environment variables or policy entries are invalid; `detail` lists all of them."""


class InvalidEvent(NightshiftError):
    """The event of the invocation is invalid; nothing was changed."""


class SecretUnavailable(NightshiftError):
    """A secret could not be read from Secrets Manager or SSM."""


class DatabaseUnavailable(NightshiftError):
    """The database could not be reached, or refused a connection or a statement."""

    def about(self, table: str) -> Self:  # noqa: ARG002 - no table is to blame
        """Returns the error unchanged, because the cause is not a table; see `NightshiftError.about`."""
        return self


class OwnTablesRefused(NightshiftError):
    """Another role owns, writes, or runs code in nightshift's own tables; nothing was changed."""


class LockLost(NightshiftError):
    """This run has lost its lock, so another run of the same job may be in progress. Committed work stays."""


class StoreError(NightshiftError):
    """S3 refused a request, or did not answer in time."""


class ObjectAbsent(StoreError):
    """The object does not exist in S3."""


class ColdStorage(StoreError):
    """The object is in a storage class that requires a restore by S3 before a read."""


class ArchiveMismatch(NightshiftError):
    """The content of an object in S3 differs from the content that was sent; the rows stayed in the database."""


class KeyTaken(ArchiveMismatch):
    """A key for a new object already has an object of another program, which was not changed."""


class TableChanged(NightshiftError):
    """A table's columns, keys, triggers or rules changed during the archiving; the transaction was rolled back."""


class RowsReturn(NightshiftError):
    """A trigger inserts deleted rows again; the transaction was rolled back."""


class RowsVanish(NightshiftError):
    """A trigger deletes rows that are not archived; the transaction was rolled back."""


class CommitUnknown(NightshiftError):
    """The connection was lost during COMMIT, and the ledger could not be read to learn the outcome."""


class BusError(NightshiftError):
    """EventBridge refused an event, or did not answer in time."""


class EmbedderError(NightshiftError):
    """The embedding model cannot be used: no access, no such model, or no answer in time."""


class NotifyError(NightshiftError):
    """A message could not be sent to Slack. This error never makes a successful run fail."""


class RunAborted(NightshiftError):
    """Another run has marked this run as failed, and may delete this run's objects."""
