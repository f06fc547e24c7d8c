"""Exceptions of nightshift, each with a message, the observed detail and a hint.

Every error that leaves a job is a `NightshiftError`. It is logged once, at the edge (`runtime.run_job`),
shown on Slack, and re-raised so that Lambda's retries, queues and alarms see it. No part of an error may
carry a secret or the contents of a row: `detail` names things (tables, keys, counts), never values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


def join_names(names: Sequence[str], most: int) -> str:
    """Names for a sentence; of many the first `most`, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class NightshiftError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one sentence, what is wrong.
        detail: what was seen; may be several lines.
        hint: what the reader can do about it.
    """

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.result: object | None = None
        """The job's result when it failed (`results.JobResult`), where it is known."""

    def about(self, table: str) -> Self:
        """Say which table this is about, where nothing in it does."""
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
    """One or more environment variables or policy entries are wrong; `detail` lists every one."""


class InvalidEvent(NightshiftError):
    """The event that invoked the function cannot be understood; nothing was touched."""


class SecretUnavailable(NightshiftError):
    """A secret could not be read from Secrets Manager or SSM."""


class DatabaseUnavailable(NightshiftError):
    """The database could not be reached, or refused us."""

    def about(self, table: str) -> Self:  # noqa: ARG002 - no table is to blame
        """See `NightshiftError.about`."""
        return self


class OwnTablesRefused(NightshiftError):
    """Somebody else owns, writes, or runs code in nightshift's own tables; nothing was touched."""


class LockLost(NightshiftError):
    """Another run may be at work: the lock that keeps two apart is not ours any more. Committed work stays."""


class StoreError(NightshiftError):
    """S3 refused a request, or did not answer in time."""


class ObjectAbsent(StoreError):
    """S3 says that it has no such object."""


class ColdStorage(StoreError):
    """The object lies in a storage class that must be thawed before it can be read."""


class ArchiveMismatch(NightshiftError):
    """The archive holds other content than was sent; the rows stayed in the database."""


class KeyTaken(ArchiveMismatch):
    """Another object lies under a key that was to be new; it was left alone."""


class TableChanged(NightshiftError):
    """A table's columns, keys, triggers or rules changed while it was archived; the chunk was undone."""


class RowsReturn(NightshiftError):
    """A trigger puts deleted rows back; the chunk was undone."""


class RowsVanish(NightshiftError):
    """A trigger deletes rows that are not archived; the chunk was undone."""


class CommitUnknown(NightshiftError):
    """The connection was lost during COMMIT and the ledger could not be asked for the outcome."""


class BusError(NightshiftError):
    """EventBridge did not take an event, or did not answer in time."""


class EmbedderError(NightshiftError):
    """The embedding model cannot be used at all: no access, no such model, no answer in time."""


class NotifyError(NightshiftError):
    """Slack could not be told. Never fails a run that otherwise succeeded."""


class RunAborted(NightshiftError):
    """The run was stopped from outside (SIGTERM, Ctrl-C) between two rows."""
