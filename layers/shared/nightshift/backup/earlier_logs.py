"""Reads the log events of the previous backup: the next one saves events that arrived too late for it."""

from __future__ import annotations

from nightshift.backup.manifest import BackupManifest, BackupPath
from nightshift.logs.late import EarlierLogs
from nightshift.logs.log_uploader import folder_name
from nightshift.logs.window import day_before
from nightshift.rows.log_records import event_ids
from nightshift.store import ObjectStore

_MS = 1000


def earlier_logs(store: ObjectStore, prefix: str, previous: BackupManifest, timezone: str) -> EarlierLogs:
    """Returns the log events that a backup holds; its objects are read when an event's id is asked for.

    Args:
        prefix: BACKUP_PREFIX.
        timezone: IANA name, of the days.
    """
    place = BackupPath(prefix, previous.name)
    read = min((group.snapshot_time for group in previous.groups), default=previous.as_of)

    def saved_ids(group: str, since_ms: int) -> frozenset[str]:
        folders = {f"/{folder_name(group)}/", f"/{folder_name(f'{group}/late')}/"}
        parts = [part for part in previous.logs if any(folder in part.key for folder in folders)]
        return frozenset().union(*(event_ids(store.get_object(place.object_key(part)), since_ms) for part in parts))

    return EarlierLogs(day_before(previous.as_of, timezone).start_ms, int(read.timestamp() * _MS), saved_ids)
