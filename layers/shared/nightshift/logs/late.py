"""Saves events that reached CloudWatch too late for the previous backup, e.g. from agents that were disconnected.

The range of that backup is read once more. An event that was ingested before its read cannot be late. Of the others,
those are saved whose ids are not in its objects. An event that arrives still later, more than a day after its range, is
in no backup: only the log group has it.
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
"""Memory of an event besides its message."""
CLOCKS_APART_MS = 300_000
"""Maximum by which CloudWatch's clock may be behind ours, and an event's appearance behind its ingestion."""


@dataclass(frozen=True, slots=True)
class EarlierLogs:
    """Log events in the previous backup.

    Attributes:
        start_ms: where its range began; milliseconds since 1970, as all times here.
        read_ms: no sooner did it read.
        saved_ids: returns the ids of a group's events that it holds, of those that were ingested since a time.
    """

    start_ms: int
    read_ms: int
    saved_ids: Callable[[str, int], frozenset[str]]


@dataclass(frozen=True, slots=True)
class LateSaved:
    """Result of saving one group's late events.

    Attributes:
        parts: objects with them.
        missing: why they were not all looked for, a sentence; empty where they were.
        warning: why some may be in two backups, a sentence; empty where none is.
    """

    parts: tuple[SavedPart, ...] = ()
    missing: str = ""
    warning: str = ""


def save_late_events(
    cloudwatch: CloudWatchLogs, sink: LogUploader, group: str, earlier: EarlierLogs, *, end_ms: int, deadline: float
) -> LateSaved:
    """Save the events of a range that the backup before could not see.

    Args:
        end_ms: where the range of this backup begins.
        deadline: `time.monotonic()` value at which to stop.

    Raises:
        StoreError, ArchiveMismatch: S3 did not take an object.
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
    """Put events into a file that is being gathered."""
    if events:
        columns = [[getattr(event, name) for event in events] for name in LogEvent.__slots__]
        gathering.add_record(columns, sum(len(event.message) + EVENT_BYTES for event in events))


class _Late:
    """Packs late events into objects."""

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
        """Gathers the events that are not saved yet."""
        fresh = [e for e in events if e.ingestion_time is None or e.ingestion_time >= self._since]
        if fresh and self._saved is None:
            self._saved = self._ids()
        add_events(self._gathering, [event for event in fresh if event.event_id not in (self._saved or ())])
        if self._gathering.size >= self._sink.part_bytes:
            self.write()

    def write(self) -> None:
        """Writes the gathered events."""
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
