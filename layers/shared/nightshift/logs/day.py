"""The day's logs of a deployment: whatever its settings name, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from nightshift.logs.cloudwatch import CloudWatch, check_retention
from nightshift.logs.files import FilesSaved, save_directory
from nightshift.logs.groups import GroupProgress, GroupsSaved, retain_groups, save_groups
from nightshift.logs.sink import SavedPart, Sink
from nightshift.logs.window import day_before
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLogs:
    """What was saved.

    Attributes:
        parts: every object.
        events: events of groups and lines of files.
        missing: what was not saved, a sentence each: for the manifest.
        left: groups that ran out of time: a later invocation may go on with `groups`.
    """

    parts: tuple[SavedPart, ...] = ()
    events: int = 0
    missing: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    groups: tuple[GroupProgress, ...] = ()


def check_settings(settings: Settings) -> None:
    """Look at the settings for logs before anything is done.

    Raises:
        InvalidSettings: BACKUP_LOG_RETENTION_DAYS is nothing that CloudWatch takes.
    """
    if settings.backup_log_retention_days is not None:
        check_retention(settings.backup_log_retention_days)


def save_day(
    settings: Settings,
    sink: Sink,
    *,
    as_of: datetime,
    deadline: float,
    before: Mapping[str, GroupProgress] | None = None,
    record: Callable[[GroupProgress], None] = lambda _: None,
    cloudwatch: CloudWatch | None = None,
) -> DayLogs:
    """Save the logs of the calendar day before `as_of`, in TIMEZONE.

    Args:
        settings: BACKUP_LOG_GROUPS and BACKUP_LOG_DIRECTORY; where neither is set, nothing is done.
        deadline: `time.monotonic()` value at which to stop.
        before: how far an earlier invocation got with the groups.
        record: is told how far each group is, after every object.

    Raises:
        InvalidSettings: see `check_settings`.
        StoreError, ArchiveMismatch: S3 did not take an object.
    """
    check_settings(settings)
    window = day_before(as_of, settings.timezone)
    groups, files = GroupsSaved(), FilesSaved()
    if settings.backup_log_groups:
        groups = save_groups(
            cloudwatch or CloudWatch(),
            sink,
            settings.backup_log_groups,
            window,
            deadline=deadline,
            before=before,
            record=record,
        )
    if settings.backup_log_directory:
        files = save_directory(sink, settings.backup_log_directory, since_ms=window.start_ms, deadline=deadline)
    out_of_time = tuple(f"log group {group} is not saved whole: the time was over" for group in groups.left)
    return DayLogs(
        parts=(*groups.parts, *files.parts),
        events=groups.events + files.lines,
        missing=(*groups.missing, *out_of_time, *files.missing),
        left=groups.left,
        groups=groups.groups,
    )


def retain(
    settings: Settings, saved: DayLogs, *, deadline: float, cloudwatch: CloudWatch | None = None
) -> tuple[str, ...]:
    """Give the groups whose day was saved whole the retention that is set. To be called once the manifest is written.

    A short retention takes away events at once: before the backup exists, they might be in none.

    Returns:
        a warning for each group whose retention could not be set.
    """
    days = settings.backup_log_retention_days
    if days is None:
        return ()
    groups = [group.group for group in saved.groups if group.done]
    return retain_groups(cloudwatch or CloudWatch(), groups, days, deadline=deadline)[1] if groups else ()
