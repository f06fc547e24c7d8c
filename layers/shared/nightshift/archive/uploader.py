"""Takes rows to S3: cut by day, intended in the ledger, written, proven. Deletes nothing; see `archiver`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import ChunkEvent, Listener, Step
from nightshift.archive.ledger import Entry, Ledger
from nightshift.database.catalog import TableInfo, TableName
from nightshift.errors import ArchiveMismatch, NightshiftError, StoreError
from nightshift.rows.axis import Axis
from nightshift.rows.columns import fingerprint
from nightshift.rows.parquet import Day, Encoder, ParquetFile
from nightshift.store import Store, StoredObject

if TYPE_CHECKING:
    import pyarrow as pa

UPLOAD_THREADS = 4
"""Objects on their way to S3 at once: hides its latency where a chunk spans many days."""

_HIVE_UNSAFE = frozenset("\"#%'*/:=?\\{[]^.\x7f")
"""Characters that Hive escapes in partition values, and the dot, which separates schema from table here."""


class Origin(Protocol):
    """A table whose rows go to the archive."""

    @property
    def info(self) -> TableInfo: ...

    @property
    def timezone(self) -> str:
        """Of the days."""

    @property
    def axis(self) -> Axis | None:
        """The timestamp that cuts rows into days; None where the rows have no such column."""

    def days(self, rows: pa.Table) -> Iterable[Day]:
        """The rows, by the day under which they are archived."""


class Uploader:
    """Writes the objects of one run."""

    def __init__(
        self, store: Store, ledger: Ledger, prefix: str, run_id: str, listener: Listener, deadline: float
    ) -> None:
        """Args:
        deadline: `time.monotonic()` value after which nothing is tidied any more.
        """
        self._deadline = deadline
        self._store = store
        self._ledger = ledger
        self._prefix = prefix.strip("/")
        self._run_id = run_id
        self._listener = listener
        self._encoders: dict[TableName, Encoder] = {}
        self._pool = ThreadPoolExecutor(UPLOAD_THREADS, thread_name_prefix="upload")

    def close(self) -> None:
        """Wait for the uploads under way."""
        self._pool.shutdown(cancel_futures=True)

    def upload(self, target: Origin, rows: pa.Table) -> list[Entry]:
        """Write and prove the objects that hold `rows`.

        Raises:
            StoreError, ArchiveMismatch: S3 did not take them, or holds something else; what was written is removed.
            NightshiftError: the rows could not be encoded.
        """
        days = list(target.days(rows))
        keys = [self._key(target.info.name, day) for day in days]
        try:
            entries = self._write_all(target, days, keys)
        except BaseException:
            self.discard(keys)
            raise
        written = sum(entry.rows for entry in entries)
        if written != rows.num_rows:
            self.discard(keys)
            raise ArchiveMismatch(
                "row counts differ, and nothing was deleted",
                detail=f"{target.info.name.label}: {rows.num_rows} rows read, {written} in Parquet",
            )
        self._tell(Step.PROVEN, target, written, sum(e.bytes for e in entries), keys)
        return entries

    def discard(self, keys: Sequence[str]) -> None:
        """Remove objects whose rows stay in the database. What cannot be removed now, a later run sweeps."""
        if time.monotonic() > self._deadline:
            return
        with suppress(DBAPIError, NightshiftError):
            self.sweep(keys)

    def sweep(self, keys: Sequence[str] | None = None) -> int:
        """Remove orphans: of this run by `keys`, or all that earlier runs left.

        Returns:
            how many objects S3 says are gone.
        """
        orphans = self._ledger.claim_orphans(keys)
        gone = list(self._store.delete(orphans))
        self._ledger.swept(gone)
        return len(gone)

    def _write_all(self, target: Origin, days: Sequence[Day], keys: Sequence[str]) -> list[Entry]:
        """Encode one day after the other in the worker's own thread, while the pool takes the finished ones to S3.

        The intent is committed while the first day is encoded; nothing goes to S3 before it is on record.
        """
        encoder = self._encoder(target)
        intent = self._pool.submit(self._intend, target, days, keys)
        futures: list[Future[Entry]] = []
        try:
            for day, key in zip(days, keys, strict=True):
                file = encoder.encode(day.rows)
                intent.result()
                futures.append(self._pool.submit(self._store_day, target, day, key, file))
            return [future.result() for future in futures]
        finally:
            # After a failure nobody may still be writing when the objects are swept.
            for future in futures:
                future.cancel()
            wait(futures)
            wait([intent])

    def _intend(self, target: Origin, days: Sequence[Day], keys: Sequence[str]) -> None:
        self._ledger.intend(target.info.name, {k: d.day.isoformat() for k, d in zip(keys, days, strict=True)})
        self._tell(Step.INTENT, target, sum(day.rows.num_rows for day in days), 0, keys)

    def _encoder(self, target: Origin) -> Encoder:
        """The table's encoder; workers of one table share it."""
        name = target.info.name
        if name not in self._encoders:
            metadata = {
                "nightshift.table": name.label,
                "nightshift.timezone": target.timezone,
                "nightshift.schema_fingerprint": fingerprint(target.info.columns),
                "nightshift.run_id": self._run_id,
            }
            if target.axis is not None:
                metadata["nightshift.timestamp"] = target.axis.column
            self._encoders[name] = Encoder(target.axis, metadata)
        return self._encoders[name]

    def _store_day(self, target: Origin, day: Day, key: str, file: ParquetFile) -> Entry:
        stored = self._store.put(key, file.body)
        self._tell(Step.UPLOADED, target, file.rows, stored.size, [key])
        proven = self._prove(stored, file.body)
        return Entry(
            key=key,
            rows=file.rows,
            bytes=proven.size,
            sha256=proven.sha256,
            version_id=proven.version_id,
            first=_iso(target, day.first),
            last=_iso(target, day.last),
            fingerprint=fingerprint(target.info.columns),
        )

    def _prove(self, stored: StoredObject, body: bytes) -> StoredObject:
        try:
            return self._store.prove(stored, body)
        except ArchiveMismatch as exc:
            if not stored.existed:
                raise
            self._ledger.mark_foreign(stored.key)
            raise StoreError(
                "an object of somebody else lies under our key",
                detail=exc.detail,
                hint="it was left alone; nothing but nightshift should write under ARCHIVE_PREFIX",
            ) from exc

    def _key(self, table: TableName, day: Day) -> str:
        parts = [self._prefix] if self._prefix else []
        label = ".".join(_hive(part) for part in (table.schema, table.name) if part)
        return "/".join([*parts, f"table={label}", f"dt={day.day.isoformat()}", f"{uuid.uuid4().hex}.parquet"])

    def _tell(self, step: Step, target: Origin, rows: int, size: int, keys: Sequence[str]) -> None:
        self._listener(ChunkEvent(step=step, table=target.info.name.label, rows=rows, bytes=size, keys=tuple(keys)))


def _hive(value: str) -> str:
    """Escape a partition value as Hive does (`FileUtils.escapePathName`)."""
    return "".join(f"%{ord(c):02X}" if c in _HIVE_UNSAFE or ord(c) < 32 else c for c in value)


def _iso(target: Origin, point: int | None) -> str | None:
    moment = None if target.axis is None or point is None else target.axis.moment(point)
    return None if moment is None else moment.isoformat()
