"""Commits the ledger entries and the deletion in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import Listener, ProgressEvent, ProgressStep
from nightshift.archive.ledger import ArchiveLedger, LedgerEntry
from nightshift.archive.uploader import ArchiveUploader
from nightshift.errors import ArchiveMismatch, CommitUnknown, NightshiftError
from nightshift.rows.row_connection import ConnectionLost, RowConnection


@dataclass(frozen=True, slots=True)
class LedgerCommit:
    """Records objects on the connection that deleted their rows, and commits."""

    uploader: ArchiveUploader
    ledger: ArchiveLedger
    listener: Listener
    postgresql: bool

    def __call__(self, connection: RowConnection, table: str, entries: Sequence[LedgerEntry]) -> None:
        """Record and commit.

        Args:
            table: for the progress events.

        Raises:
            ArchiveMismatch: the ledger has not all of them as intended: another run swept them.
            CommitUnknown: COMMIT was not answered, and the ledger cannot be asked. Nothing is removed from S3.
            ConnectionLost: COMMIT was not answered, and the ledger says that it did not go through.
        """
        keys = [entry.key for entry in entries]
        try:
            record = self.ledger.mark_archived_sql(entries, postgresql=self.postgresql) if entries else ""
            turned = connection.execute(record) if entries else 0
            if turned != len(entries):
                raise ArchiveMismatch(
                    "another run swept objects of this one",
                    detail=f"{len(entries) - turned} of {len(entries)} ledger rows were no longer pending",
                    hint="the rows are still in the database; make sure that one deployment only works on it",
                )
        except BaseException:
            self.uploader.abort_upload(keys)
            raise
        self.listener(ProgressEvent(step=ProgressStep.COMMITTING, table=table, keys=tuple(keys)))
        try:
            connection.commit()
        except ConnectionLost as exc:
            self._settle(keys, exc)
        except NightshiftError:
            self.uploader.abort_upload(keys)
            raise

    def _settle(self, keys: Sequence[str], cause: ConnectionLost) -> None:
        """Find out the outcome of a COMMIT."""
        try:
            committed = self.ledger.is_committed(keys)
        except (DBAPIError, NightshiftError) as exc:
            raise CommitUnknown(
                "the connection was lost during COMMIT",
                detail=f"{len(keys)} objects; the ledger could not be asked ({type(exc).__name__})",
                hint="nothing is lost either way: the next run finds out, and goes on from there",
            ) from cause
        if not committed:
            self.uploader.abort_upload(keys)
            raise cause
