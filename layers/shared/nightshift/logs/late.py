"""Saves events that reached CloudWatch too late for the previous backup, e.g. from agents that were disconnected.

The range of the previous backup is read once more. An event that CloudWatch ingested before the previous backup read
the range is not late. Of the other events, those are saved whose ids are not in the previous backup's objects. An event
that arrives more than a day after its range is in no backup: only the log group has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nightshift.errors import NightshiftError
from nightshift.logs.cloudwatch import CloudWatchLogs, LogEvent, LogsUnavailable
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.rows.log_records import EVENTS, ParquetBuffer

EVENT_BYTES = 150
"""Bytes of memory that an event occupies in addition to its message."""
CLOCKS_APART_MS = 300_000
"""Maximum lag of CloudWatch's clock behind the local clock, and of an event's visibility behind its ingestion."""


@dataclass(frozen=True, slots=True)
class EarlierLogs:
    """Log events in the previous backup.

    Attributes:
        start_ms: start of the previous backup's range, in milliseconds since 1970.
        read_ms: time before which the previous backup read no event, in milliseconds since 1970.
        saved_ids: takes a group and a time. Returns the ids of the saved events that were ingested since that time.
    """

    start_ms: int
    read_ms: int
    saved_ids: Callable[[str, int], frozenset[str]]


@dataclass(frozen=True, slots=True)
class LateSaved:
    """Result of saving one group's late events.

    Attributes:
        parts: objects with the late events.
        missing: a sentence that says why the search for late events is incomplete; empty if it is complete.
        warning: a sentence that says why some events may be in two backups; empty if none is.
    """

    parts: tuple[SavedPart, ...] = ()
    missing: str = ""
    warning: str = ""


def save_late_events(
    cloudwatch: CloudWatchLogs, sink: LogUploader, group: str, earlier: EarlierLogs, *, end_ms: int, deadline: float
) -> LateSaved:
    """Save the events of the previous backup's range that arrived after the previous backup read the range.

    Args:
        end_ms: start of this backup's range, in milliseconds since 1970.
        deadline: `time.monotonic()` value at which to stop.

    Raises:
        StoreError, ArchiveMismatch: S3 did not accept an object.
    """
    late = _Late(sink, group, earlier)
    token, why = None, ""
    try:
        while earlier.start_ms < end_ms:
            if time.monotonic() > deadline:
                why = "the time was over"
                break
            page = cloudwatch.fetch_page(group, earlier.start_ms, end_ms, token, deadline=deadline)
            late.take(page.events)
            token = page.token
            if token is None:
                break
    except LogsUnavailable as exc:
        why = exc.sentence
    late.write()
    missing = f"log group {group}: late events of the backup before were not all looked for: {why}" if why else ""
    return LateSaved(tuple(late.parts), missing, late.warning)


def add_events(gathering: ParquetBuffer, events: Sequence[LogEvent]) -> None:
    """Add events to the buffer of a Parquet file."""
    if events:
        columns = [[getattr(event, name) for event in events] for name in LogEvent.__slots__]
        gathering.add_record(columns, sum(len(event.message) + EVENT_BYTES for event in events))


class _Late:
    def __init__(self, sink: LogUploader, group: str, earlier: EarlierLogs) -> None:
        self.parts: list[SavedPart] = []
        self.warning = ""
        self._sink = sink
        self._group = group
        self._earlier = earlier
        self._since = earlier.read_ms - CLOCKS_APART_MS
        self._saved: frozenset[str] | None = None
        self._gathering = ParquetBuffer(EVENTS, {"nightshift.log_group": group, "nightshift.window": "late"})

    def take(self, events: tuple[LogEvent, ...]) -> None:
        """Collect the events that the previous backup does not have."""
        fresh = [e for e in events if e.ingestion_time is None or e.ingestion_time >= self._since]
        if fresh and self._saved is None:
            self._saved = self._ids()
        add_events(self._gathering, [event for event in fresh if event.event_id not in (self._saved or ())])
        if self._gathering.size >= self._sink.part_bytes:
            self.write()

    def write(self) -> None:
        """Upload the collected events as one object."""
        if self._gathering.rows:
            self.parts.append(
                self._sink.upload_part(f"{self._group}/late", len(self.parts) + 1, self._gathering.encode_file())
            )

    def _ids(self) -> frozenset[str]:
        try:
            return self._earlier.saved_ids(self._group, self._since)
        except NightshiftError as exc:
            self.warning = (
                f"log group {self._group}: events that arrived late may be in two backups: the one before could not be"
                f" read: {exc.message}"
            )
            return frozenset()
