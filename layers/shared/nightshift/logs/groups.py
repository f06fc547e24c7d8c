"""Saves the day's events of CloudWatch log groups, every one once, in parts of bounded size.

Events are returned by time, page by page. A token of the next page that CloudWatch does not know any more (it lives for
24 hours) is no loss: the group is read on from the last saved event's time, and events of the same millisecond that
have been saved are recognised by their ids. The next backup goes on the same way with a group for which the time did
not suffice. If events are ever out of order, the group starts again.

An event of the day before that reaches CloudWatch after the run belongs to the next backup: see `late`.
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
        last_ms: time of the youngest event that was saved.
        ids: of all events of that millisecond that were saved.
        ordered: events came by time so far.
        done: the whole window is saved.
    """

    group: str
    parts: tuple[SavedPart, ...] = ()
    last_ms: int | None = None
    ids: tuple[str, ...] = ()
    ordered: bool = True
    done: bool = False

    def later(self, start_ms: int) -> GroupProgress:
        """Returns the progress for another day's run: the parts are in a backup by then.

        Args:
            start_ms: where this run began; it is where the next one has to, if events did not come by time.
        """
        if self.ordered and self.last_ms is not None:
            return GroupProgress(group=self.group, last_ms=self.last_ms, ids=self.ids)
        return GroupProgress(group=self.group, last_ms=start_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsSaved:
    """Result of saving all groups.

    Attributes:
        groups: how far each is saved.
        left: groups that ran out of time; go on with their progress.
        missing: what could not be saved, a sentence each.
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
    """Save groups one after the other; one that cannot be read does not stop the others.

    Args:
        groups: names.
        deadline: `time.monotonic()` value at which to stop.
        before: what the backup before has as `GroupProgress.later`.

    Raises:
        StoreError, ArchiveMismatch: S3 did not take a part.
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
    """Saves one group, starting from its progress.

    Yields:
        how far it is, after every part and at the end; the last one is `done`, unless the time was over.

    Raises:
        LogsUnavailable: CloudWatch refused; what was yielded before is saved.
        StoreError, ArchiveMismatch: S3 did not take a part.
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
    """Take the events that are not saved yet; the progress with the last millisecond that was seen."""
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
