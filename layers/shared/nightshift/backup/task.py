"""The task of a backup and its outcome; the day's logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nightshift.backup.checkpoint import BackupCheckpoint, SavedTable
from nightshift.backup.manifest import BackupManifest, BackupPath
from nightshift.database.connect import Database
from nightshift.logs.day import DayLogs, save_day
from nightshift.logs.groups import GroupProgress
from nightshift.logs.late import EarlierLogs
from nightshift.logs.log_uploader import LogUploader, folder_name
from nightshift.logs.window import day_before
from nightshift.progress_events import Listener
from nightshift.rows.log_records import event_ids
from nightshift.settings import Settings
from nightshift.store import ObjectStore, ObjectWriter


@dataclass(frozen=True, slots=True)
class BackupContext:
    """Source and destination of one backup.

    Attributes:
        as_of: scheduled time of the backup; of one that is continued, its own.
        database: with nightshift's own tables.
        source: where rows are read: the same, or a standby of it.
        previous: the backup before, whose logs end where these begin.
    """

    place: BackupPath
    as_of: datetime
    run_id: str
    settings: Settings
    database: Database
    source: Database
    store: ObjectStore
    listener: Listener
    now: Callable[[], datetime]
    unfinished: BackupCheckpoint | None = None
    previous: BackupManifest | None = None

    def save_logs(self, writer: ObjectWriter, deadline: float) -> DayLogs:
        """Saves the day's logs, and whatever the backup before has left of its own."""
        previous = self.previous
        left = previous.logs_left if previous else ()
        return save_day(
            self.settings,
            LogUploader(writer, self.place.folder, f"{self.run_id}/logs"),
            as_of=self.as_of,
            deadline=deadline,
            previous=previous.as_of if previous else None,
            earlier=self._earlier_logs(previous) if previous else None,
            before={logs.group: GroupProgress(group=logs.group, last_ms=logs.from_ms, ids=logs.ids) for logs in left},
        )

    def _earlier_logs(self, previous: BackupManifest) -> EarlierLogs:
        """The log events of the previous backup: this one saves events that arrived too late for it.

        Its objects are read when an event's id is asked for.
        """
        place = BackupPath(self.place.prefix, previous.name)
        read = min((group.snapshot_time for group in previous.groups), default=previous.as_of)

        def saved_ids(group: str, since_ms: int) -> frozenset[str]:
            folders = {f"/{folder_name(group)}/", f"/{folder_name(f'{group}/late')}/"}
            keys = [place.object_key(part) for part in previous.logs if any(name in part.key for name in folders)]
            return frozenset().union(*(event_ids(self.store.get_object(key), since_ms) for key in keys))

        start_ms = day_before(previous.as_of, self.settings.timezone).start_ms
        return EarlierLogs(start_ms, int(read.timestamp() * 1000), saved_ids)


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """Outcome of one backup run.

    Attributes:
        manifest: the backup's manifest; None: tables are left for the next run.
        kept: tables that are saved in S3.
        left: labels of the tables that the next run must save.
        tables: number of saved tables.
    """

    manifest: BackupManifest | None
    kept: tuple[SavedTable, ...]
    left: tuple[str, ...]
    tables: int
    warnings: tuple[str, ...] = ()
