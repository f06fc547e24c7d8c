"""Uploads rows to S3: splits them by day, records `pending` objects in the ledger, writes and verifies the objects."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.exc import DBAPIError

from nightshift.archive.ledger import ArchiveLedger, LedgerEntry
from nightshift.database.catalog import TableInfo, TableName
from nightshift.errors import ArchiveMismatch, KeyTaken, NightshiftError, StoreError
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.rows.columns import fingerprint_rows
from nightshift.rows.parquet import ArchiveDay, ParquetEncoder, ParquetFile
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.store import ObjectStore, ObjectWriter

if TYPE_CHECKING:
    import pyarrow as pa

UPLOAD_THREADS = 4
"""Number of concurrent uploads. They hide the latency of S3 if a chunk spans many days."""

_HIVE_UNSAFE = frozenset("\"#%'*/:=?\\{[]^.\x7f")
"""Characters that Hive escapes in partition values, and the dot, which separates schema and table in keys."""


class ArchiveSource(Protocol):
    """A table whose rows are archived."""

    @property
    def info(self) -> TableInfo: ...

    @property
    def timezone(self) -> str:
        """Returns the time zone of the days."""

    @property
    def axis(self) -> TimestampColumn | None:
        """Returns the timestamp that splits rows into days; None: the rows have no timestamp."""

    def split_by_day(self, rows: pa.Table) -> Iterable[ArchiveDay]:
        """Returns the rows, split by the day under which they are archived."""


class ArchiveUploader:
    """Writes the objects of one run."""

    def __init__(
        self, store: ObjectStore, ledger: ArchiveLedger, prefix: str, run_id: str, listener: Listener, deadline: float
    ) -> None:
        """Args:
        deadline: `time.monotonic()` value after which no orphan is deleted.
        """
        self._deadline = deadline
        self._ledger = ledger
        self._prefix = prefix.strip("/")
        self._run_id = run_id
        self._listener = listener
        self._encoders: dict[TableName, ParquetEncoder] = {}
        self._writer = ObjectWriter(store, UPLOAD_THREADS)

    def close(self) -> None:
        """Wait for the running uploads."""
        self._writer.close()

    def upload_rows(self, target: ArchiveSource, rows: pa.Table) -> list[LedgerEntry]:
        """Write and verify the objects that hold `rows`. Rows in the database are not changed.

        Raises:
            StoreError, ArchiveMismatch: S3 refused an object, or holds other bytes. The written objects are deleted.
            NightshiftError: the rows could not be encoded.
        """
        days = list(target.split_by_day(rows))
        keys = [self._key(target.info.name, day) for day in days]
        try:
            entries = self._write_all(target, days, keys)
        except BaseException:
            self.abort_upload(keys)
            raise
        written = sum(entry.rows for entry in entries)
        if written != rows.num_rows:
            self.abort_upload(keys)
            raise ArchiveMismatch(
                "row counts differ, and nothing was deleted",
                detail=f"{target.info.name.label}: {rows.num_rows} rows read, {written} in Parquet",
            )
        self._tell(ProgressStep.PROVEN, target, written, sum(e.bytes for e in entries), keys)
        return entries

    def abort_upload(self, keys: Sequence[str]) -> None:
        """Delete objects whose rows stay in the database. A later run deletes the objects that this call cannot."""
        if time.monotonic() > self._deadline:
            return
        with suppress(DBAPIError, NightshiftError):
            self.delete_orphaned_objects(keys)

    def delete_orphaned_objects(self, keys: Sequence[str] | None = None) -> int:
        """Delete orphans: this run's orphans with these `keys`, or, if `keys` is None, all orphans of earlier runs.

        Returns:
            the number of objects that S3 confirms as deleted.
        """
        orphans = self._ledger.claim_orphans(keys)
        gone = list(self._writer.store.delete_objects(orphans))
        self._ledger.mark_orphans_deleted(gone)
        return len(gone)

    def _write_all(self, target: ArchiveSource, days: Sequence[ArchiveDay], keys: Sequence[str]) -> list[LedgerEntry]:
        """Encode the days one by one in the calling thread, while other threads upload the encoded days.

        The `pending` entries are committed while the first day is encoded. No object is sent to S3 before the commit.
        """
        encoder = self._encoder(target)
        intent = self._writer.submit(partial(self._intend, target, days, keys))
        futures: list[Future[LedgerEntry]] = []
        try:
            for day, key in zip(days, keys, strict=True):
                file = encoder.encode_rows(day.rows)
                intent.result()
                futures.append(self._writer.submit(partial(self._store_day, target, day, key, file)))
            return [future.result() for future in futures]
        finally:
            # After a failure no thread may still be writing when the objects are deleted.
            for future in futures:
                future.cancel()
            wait(futures)
            wait([intent])

    def _intend(self, target: ArchiveSource, days: Sequence[ArchiveDay], keys: Sequence[str]) -> None:
        self._ledger.record_pending(target.info.name, {k: d.day.isoformat() for k, d in zip(keys, days, strict=True)})
        self._tell(ProgressStep.INTENT, target, sum(day.rows.num_rows for day in days), 0, keys)

    def _encoder(self, target: ArchiveSource) -> ParquetEncoder:
        """Returns the table's encoder, which all workers of the table share."""
        name = target.info.name
        if name not in self._encoders:
            metadata = {
                "nightshift.table": name.label,
                "nightshift.timezone": target.timezone,
                "nightshift.schema_fingerprint": fingerprint_rows(target.info.columns),
                "nightshift.run_id": self._run_id,
            }
            if target.axis is not None:
                metadata["nightshift.timestamp"] = target.axis.column
            self._encoders[name] = ParquetEncoder(target.axis, metadata)
        return self._encoders[name]

    def _store_day(self, target: ArchiveSource, day: ArchiveDay, key: str, file: ParquetFile) -> LedgerEntry:
        try:
            proven = self._writer.write(
                key,
                file.body,
                uploaded=lambda stored: self._tell(ProgressStep.UPLOADED, target, file.rows, stored.size, [key]),
            )
        except KeyTaken as exc:
            self._ledger.mark_foreign(key)
            raise StoreError(
                "an object of somebody else lies under our key",
                detail=exc.detail,
                hint="it was left alone; nothing but nightshift should write under ARCHIVE_PREFIX",
            ) from exc
        return LedgerEntry(
            key=key,
            rows=file.rows,
            bytes=proven.size,
            sha256=proven.sha256,
            version_id=proven.version_id,
            first=_iso(target, day.first),
            last=_iso(target, day.last),
            fingerprint=fingerprint_rows(target.info.columns),
        )

    def _key(self, table: TableName, day: ArchiveDay) -> str:
        parts = [self._prefix] if self._prefix else []
        label = ".".join(_hive(part) for part in (table.schema, table.name) if part)
        return "/".join([*parts, f"table={label}", f"dt={day.day.isoformat()}", f"{uuid.uuid4().hex}.parquet"])

    def _tell(self, step: ProgressStep, target: ArchiveSource, rows: int, size: int, keys: Sequence[str]) -> None:
        self._listener(ProgressEvent(step=step, table=target.info.name.label, rows=rows, bytes=size, keys=tuple(keys)))


def _hive(value: str) -> str:
    """Escape a partition value as Hive does (`FileUtils.escapePathName`)."""
    return "".join(f"%{ord(c):02X}" if c in _HIVE_UNSAFE or ord(c) < 32 else c for c in value)


def _iso(target: ArchiveSource, point: int | None) -> str | None:
    moment = None if target.axis is None or point is None else target.axis.to_datetime(point)
    return None if moment is None else moment.isoformat()
