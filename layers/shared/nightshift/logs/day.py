"""Saves the day's logs of a deployment, from all sources in its settings, in one call.

A day begins where the previous backup's logs end. The end is a midnight, unless a night had no backup, or a backup ran
out of time before all logs were saved. Events that arrived too late for the previous backup are saved as well (see
`late`). An event that is missing from one backup is therefore in the next backup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nightshift.errors import InvalidSettings
from nightshift.logs.cloudwatch import RETENTION_DAYS, CloudWatchLogs, LogsUnavailable
from nightshift.logs.files import FileExportResult, save_directory
from nightshift.logs.groups import GroupProgress, GroupsSaved, save_groups
from nightshift.logs.late import EarlierLogs, save_late_events
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.logs.window import LogWindow, day_before
from nightshift.settings import Settings

_DIRECTORY = "files:"
"""Prefix that distinguishes a directory from a log group, whose name has no colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLogs:
    """Result of saving a day's logs.

    Attributes:
        parts: all objects that were written.
        missing: one sentence for each log that was not saved. The manifest lists the sentences.
        warnings: one sentence for each fact that the operator should know.
        later: the incompletely saved logs, with the times at which the next run begins: `before` of its call.
    """

    parts: tuple[SavedPart, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    groups: tuple[GroupProgress, ...] = ()
    later: tuple[GroupProgress, ...] = ()


def check_settings(settings: Settings) -> None:
    """Check the settings for logs before the run does anything.

    Raises:
        InvalidSettings: CloudWatch Logs does not accept the value of BACKUP_LOG_RETENTION_DAYS.
    """
    if settings.backup_log_retention_days not in (None, *RETENTION_DAYS):
        raise InvalidSettings(
            "settings are not usable",
            detail=f"BACKUP_LOG_RETENTION_DAYS: should be one of {', '.join(map(str, RETENTION_DAYS))}",
            hint="CloudWatch Logs takes no other; nothing was read or written",
        )


def save_day(
    settings: Settings,
    sink: LogUploader,
    *,
    as_of: datetime,
    deadline: float,
    previous: datetime | None = None,
    earlier: EarlierLogs | None = None,
    before: Mapping[str, GroupProgress] | None = None,
    cloudwatch: CloudWatchLogs | None = None,
) -> DayLogs:
    """Save the logs of the calendar day before `as_of`, in TIMEZONE, and of earlier days that no backup has.

    Args:
        settings: BACKUP_LOG_GROUPS and BACKUP_LOG_DIRECTORY. If neither is set, nothing is saved.
        deadline: `time.monotonic()` value at which to stop.
        previous: `as_of` of the previous backup; None: no previous backup exists.
        earlier: log events in the previous backup; None: late events are not searched.
        before: the previous backup's `later`, by log group or directory.

    Raises:
        InvalidSettings: see `check_settings`.
        StoreError, ArchiveMismatch: S3 did not accept an object.
    """
    check_settings(settings)
    window = day_before(as_of, settings.timezone)
    if previous is not None:
        window = replace(window, start=min(window.start, day_before(previous, settings.timezone).end))
    before = before or {}
    groups, files, asked = GroupsSaved(), FileExportResult(), cloudwatch or CloudWatchLogs()
    if names := settings.backup_log_groups:
        groups = save_groups(asked, sink, names, window, deadline=deadline, before=before)
    starts = {progress.group: _start(before, progress.group, window) for progress in groups.groups}
    # If a group is not saved completely, the next backup saves the rest before it searches late events.
    late = [
        save_late_events(asked, sink, progress.group, earlier, end_ms=starts[progress.group], deadline=deadline)
        for progress in groups.groups
        if earlier is not None and progress.done
    ]
    later = [progress.later(starts[progress.group]) for progress in groups.groups if not progress.done]
    if settings.backup_log_directory:
        name = f"{_DIRECTORY}{settings.backup_log_directory}"
        since_ms = _start(before, name, window)
        files = save_directory(sink, settings.backup_log_directory, since_ms=since_ms, deadline=deadline)
        later += [GroupProgress(group=name, last_ms=since_ms)] if files.late else []
    out_of_time = tuple(
        f"log group {progress.group} from {_shown(progress.last_ms)} on: the time was over,"
        " the next backup goes on there"
        for progress in later
        if progress.group in groups.left
    )
    return DayLogs(
        parts=(*groups.parts, *(part for saved in late for part in saved.parts), *files.parts),
        missing=(*groups.missing, *out_of_time, *(saved.missing for saved in late if saved.missing), *files.missing),
        warnings=tuple(saved.warning for saved in late if saved.warning),
        groups=groups.groups,
        later=tuple(later),
    )


def _start(before: Mapping[str, GroupProgress], name: str, window: LogWindow) -> int:
    """Returns the time from which a group or a directory is saved, in milliseconds since 1970."""
    begun = before[name].last_ms if name in before else None
    return window.start_ms if begun is None else min(begun, window.start_ms)


def _shown(at_ms: int | None) -> str:
    return datetime.fromtimestamp((at_ms or 0) / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def apply_log_retention(
    settings: Settings, saved: DayLogs, *, deadline: float, cloudwatch: CloudWatchLogs | None = None
) -> tuple[str, ...]:
    """Set BACKUP_LOG_RETENTION_DAYS on the groups whose day was saved completely. Call it after writing the manifest.

    A short retention deletes events at once. Before the backup exists, no backup might have these events. The function
    returns one warning for each group whose retention could not be set.
    """
    days = settings.backup_log_retention_days
    if days is None:
        return ()
    asked, warnings = cloudwatch or CloudWatchLogs(), []
    for group in (progress.group for progress in saved.groups if progress.done):
        try:
            asked.set_retention(group, days, deadline=deadline)
        except LogsUnavailable as exc:
            warnings.append(f"log group {group}: its retention was not set: {exc.sentence}")
    return tuple(warnings)
