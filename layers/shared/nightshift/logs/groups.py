"""Saves the day's events of CloudWatch log groups, each event once, in parts of bounded size.

CloudWatch Logs returns events ordered by time, page by page. A token of the next page is valid for 24 hours. If
CloudWatch Logs refuses a token, the group is read again from the time of the last saved event. Events of the same
millisecond that are saved already are recognised by their ids. If the time does not suffice for a group, the next
backup continues in the same way. If events are out of order, the group is read again from the start.

If an event of the day before reaches CloudWatch after the run, the next backup saves the event: see `late`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nightshift.logs.cloudwatch import CloudWatchLogs, LogEvent, LogsOutOfTime, LogsUnavailable, TokenRefused
from nightshift.logs.late import add_events
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.logs.window import LogWindow
from nightshift.rows.log_records import EVENTS, ParquetBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupProgress:
    """Progress of saving one group.

    Attributes:
        last_ms: time of the latest saved event, in milliseconds since 1970.
        ids: ids of all saved events of the millisecond `last_ms`.
        ordered: all events so far were ordered by time.
        done: the whole window is saved.
    """

    group: str
    parts: tuple[SavedPart, ...] = ()
    last_ms: int | None = None
    ids: tuple[str, ...] = ()
    ordered: bool = True
    done: bool = False

    def later(self, start_ms: int) -> GroupProgress:
        """Returns the progress for the next backup, without the parts, which belong to this backup.

        Args:
            start_ms: time at which this run began to read. If events were out of order, the next run begins there.
        """
        if self.ordered and self.last_ms is not None:
            return GroupProgress(group=self.group, last_ms=self.last_ms, ids=self.ids)
        return GroupProgress(group=self.group, last_ms=start_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsSaved:
    """Result of saving all groups.

    Attributes:
        groups: progress of each group.
        left: names of the groups that ran out of time. Their progress says where to continue.
        missing: one sentence for each group that could not be read.
    """

    groups: tuple[GroupProgress, ...] = ()
    left: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[SavedPart, ...]:
        return tuple(part for group in self.groups for part in group.parts)


def save_groups(
    cloudwatch: CloudWatchLogs,
    sink: LogUploader,
    groups: Iterable[str],
    window: LogWindow,
    *,
    deadline: float,
    before: Mapping[str, GroupProgress] | None = None,
) -> GroupsSaved:
    """Save log groups one after the other. A group that cannot be read does not stop the other groups.

    Args:
        deadline: `time.monotonic()` value at which to stop.
        before: the results of `GroupProgress.later` in the previous backup, by group.

    Raises:
        StoreError, ArchiveMismatch: S3 did not accept a part.
    """
    saved: list[GroupProgress] = []
    left: list[str] = []
    missing: list[str] = []
    for group in groups:
        progress = (before or {}).get(group, GroupProgress(group=group))
        try:
            for step in save_group(cloudwatch, sink, window, progress, deadline=deadline):
                progress = step
        except LogsUnavailable as exc:
            much = "saved in part" if progress.parts else "not saved"
            missing.append(f"log group {group} is {much}: {exc.sentence}")
        else:
            if not progress.done:
                left.append(group)
        saved.append(progress)
    return GroupsSaved(groups=tuple(saved), left=tuple(left), missing=tuple(missing))


def save_group(
    cloudwatch: CloudWatchLogs, sink: LogUploader, window: LogWindow, begun: GroupProgress, *, deadline: float
) -> Iterator[GroupProgress]:
    """Save one group, continuing from the progress `begun`.

    Yields:
        the progress after every part and at the end. The last progress is `done`, unless the deadline passed.

    Raises:
        LogsUnavailable: CloudWatch Logs refused. The parts in the progress yielded before are saved.
        StoreError, ArchiveMismatch: S3 did not accept a part.
    """
    progress = begun
    try:
        for progress in _pages(cloudwatch, sink, window, begun, deadline):
            yield progress
    except TokenRefused:
        yield from _pages(cloudwatch, sink, window, progress if progress.ordered else begun, deadline)


def _pages(
    cloudwatch: CloudWatchLogs, sink: LogUploader, window: LogWindow, progress: GroupProgress, deadline: float
) -> Iterator[GroupProgress]:
    metadata = {"nightshift.log_group": progress.group, "nightshift.window": f"{window.start} / {window.end}"}
    gathering = ParquetBuffer(EVENTS, metadata)
    start, token = window.start_ms if progress.last_ms is None else progress.last_ms, None
    if start >= window.end_ms:
        progress = replace(progress, done=True)  # a day that the zone left out
    while not progress.done:
        if time.monotonic() > deadline:
            break
        try:
            page = cloudwatch.fetch_page(progress.group, start, window.end_ms, token, deadline=deadline)
        except LogsOutOfTime:
            break
        token = page.token
        progress = replace(_gather(page.events, gathering, progress), done=token is None)
        if gathering.size >= sink.part_bytes and not progress.done:
            progress = _written(sink, gathering, progress)
            yield progress
    if gathering.rows:
        progress = _written(sink, gathering, progress)
    yield progress


def _gather(events: Iterable[LogEvent], gathering: ParquetBuffer, progress: GroupProgress) -> GroupProgress:
    """Collect the events that are not saved yet, and return the progress with the latest event's time and ids."""
    last, ids, ordered = progress.last_ms, set(progress.ids), progress.ordered
    fresh: list[LogEvent] = []
    for event in events:
        if last is not None and event.timestamp == last and event.event_id in ids:
            continue
        if last is None or event.timestamp > last:
            last, ids = event.timestamp, set()
        if event.timestamp < last:
            ordered = False
        else:
            ids.add(event.event_id)
        fresh.append(event)
    add_events(gathering, fresh)
    return replace(progress, last_ms=last, ids=tuple(sorted(ids)), ordered=ordered)


def _written(sink: LogUploader, gathering: ParquetBuffer, progress: GroupProgress) -> GroupProgress:
    part = sink.upload_part(progress.group, len(progress.parts) + 1, gathering.encode_file())
    return replace(progress, parts=(*progress.parts, part))
