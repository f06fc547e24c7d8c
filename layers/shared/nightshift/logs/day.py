"""Saves the day's logs of a deployment, from all sources in its settings, in one call.

A day begins at the end of the previous backup's logs: at midnight, unless there were nights without a backup, or nights
whose time was over before their logs were saved. Events that arrived too late for the previous backup are saved, too
(see `late`). So an event that is not in one backup is in the next.
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
        parts: every object.
        missing: logs that were not saved, a sentence each: for the manifest.
        warnings: what the operator should know, a sentence each.
        later: from where the next day's run has to begin with what is not saved whole, `before` of its call.
    """

    parts: tuple[SavedPart, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    groups: tuple[GroupProgress, ...] = ()
    later: tuple[GroupProgress, ...] = ()


def check_settings(settings: Settings) -> None:
    """Look at the settings for logs before anything is done.

    Raises:
        InvalidSettings: BACKUP_LOG_RETENTION_DAYS is nothing that CloudWatch takes.
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
    """Save the logs of the calendar day before `as_of`, in TIMEZONE, and of days before it that no backup has.

    Args:
        settings: BACKUP_LOG_GROUPS and BACKUP_LOG_DIRECTORY; where neither is set, nothing is done.
        deadline: `time.monotonic()` value at which to stop.
        previous: `as_of` of the backup before; None: there is none.
        earlier: what that backup holds of the groups; None: its late events are not looked for.
        before: what the backup before has as `later`.

    Raises:
        InvalidSettings: see `check_settings`.
        StoreError, ArchiveMismatch: S3 did not take an object.
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
    # Of groups that are not saved whole the next backup saves what is left first.
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
    """Returns the time from which a group or a directory is saved; milliseconds since 1970."""
    begun = before[name].last_ms if name in before else None
    return window.start_ms if begun is None else min(begun, window.start_ms)


def _shown(at_ms: int | None) -> str:
    return datetime.fromtimestamp((at_ms or 0) / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def apply_log_retention(
    settings: Settings, saved: DayLogs, *, deadline: float, cloudwatch: CloudWatchLogs | None = None
) -> tuple[str, ...]:
    """Give the groups whose day was saved whole the retention that is set. To be called once the manifest is written.

    A short retention takes away events at once: before the backup exists, they might be in none.

    Returns:
        a warning for each group whose retention could not be set.
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
