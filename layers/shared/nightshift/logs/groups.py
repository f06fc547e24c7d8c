"""Saves the day's events of CloudWatch log groups, every one once, in parts of bounded size. It can stop and resume.

Events are returned by time. After each part the caller is told the progress: the token of the next page, and, because
tokens live for 24 hours only, the last event's time with the ids of all events of that millisecond. A later invocation
continues with the token, or from that time: events of the same millisecond that have been saved are recognised by their
ids. If events are ever out of order, a lost token means that the group starts again.

An event of the day before that reaches CloudWatch after the run belongs to the next backup: see `late`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from nightshift.logs.cloudwatch import CloudWatchLogs, LogEvent, LogsOutOfTime, LogsUnavailable, TokenRefused
from nightshift.logs.late import EVENT_BYTES
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.logs.window import LogWindow
from nightshift.rows.log_records import EVENTS, ParquetBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupProgress:
    """Progress of saving one group.

    Attributes:
        token: CloudWatch's, of the first page that is not in `parts`.
        start_ms: of the range that the token was given for.
        last_ms: time of the youngest event that was saved.
        ids: of all events of that millisecond that were saved.
        ordered: events came by time so far.
        done: the whole window is saved.
    """

    group: str
    parts: tuple[SavedPart, ...] = ()
    token: str | None = None
    start_ms: int | None = None
    last_ms: int | None = None
    ids: tuple[str, ...] = ()
    ordered: bool = True
    done: bool = False

    @property
    def events(self) -> int:
        return sum(part.rows for part in self.parts)

    def later(self, start_ms: int) -> GroupProgress:
        """Returns the progress for another day's run: the parts are in a backup by then, and the token has expired.

        Args:
            start_ms: where this run began; it is where the next one has to, if events did not come by time.
        """
        if self.ordered and self.last_ms is not None:
            return GroupProgress(group=self.group, last_ms=self.last_ms, ids=self.ids)
        return GroupProgress(group=self.group, last_ms=start_ms)

    def to_json(self) -> str:
        """To be kept until the next invocation."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> GroupProgress:
        """As `to_json` wrote it."""
        facts = json.loads(text)
        parts = tuple(SavedPart(**part) for part in facts.pop("parts"))
        return cls(**{**facts, "ids": tuple(facts["ids"])}, parts=parts)


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

    @property
    def events(self) -> int:
        return sum(group.events for group in self.groups)


Record = Callable[[GroupProgress], None]
"""Callback after every part; a later invocation need not save again the progress that it has stored."""


def save_groups(
    cloudwatch: CloudWatchLogs,
    sink: LogUploader,
    groups: Iterable[str],
    window: LogWindow,
    *,
    deadline: float,
    before: Mapping[str, GroupProgress] | None = None,
    record: Record = lambda _: None,
) -> GroupsSaved:
    """Save groups one after the other; one that cannot be read does not stop the others.

    Args:
        groups: names.
        deadline: `time.monotonic()` value at which to stop.
        before: what an earlier invocation got done.

    Raises:
        StoreError, ArchiveMismatch: S3 did not take a part.
    """
    saved: list[GroupProgress] = []
    left: list[str] = []
    missing: list[str] = []
    for group in groups:
        progress = [(before or {}).get(group, GroupProgress(group=group))]
        try:
            for step in save_group(cloudwatch, sink, window, progress[0], deadline=deadline):
                progress.append(step)
                record(step)
        except LogsUnavailable as exc:
            much = "saved in part" if progress[-1].parts else "not saved"
            missing.append(f"log group {group} is {much}: {exc.sentence}")
        else:
            if not progress[-1].done:
                left.append(group)
        saved.append(progress[-1])
    return GroupsSaved(groups=tuple(saved), left=tuple(left), missing=tuple(missing))


def save_group(
    cloudwatch: CloudWatchLogs, sink: LogUploader, window: LogWindow, progress: GroupProgress, *, deadline: float
) -> Iterator[GroupProgress]:
    """Saves one group, starting from its progress.

    Yields:
        how far it is, after every part and at the end; the last one is `done`, unless the time was over.

    Raises:
        LogsUnavailable: CloudWatch refused; what was yielded before is saved.
        StoreError, ArchiveMismatch: S3 did not take a part.
    """
    begun = progress.last_ms if progress.token is None and not progress.parts else None
    try:
        for reached in _pages(cloudwatch, sink, window, progress, deadline):
            progress = reached
            yield progress
    except TokenRefused:
        again = (
            replace(progress, token=None) if progress.ordered else GroupProgress(group=progress.group, last_ms=begun)
        )
        yield from _pages(cloudwatch, sink, window, again, deadline)


def _pages(
    cloudwatch: CloudWatchLogs, sink: LogUploader, window: LogWindow, progress: GroupProgress, deadline: float
) -> Iterator[GroupProgress]:
    metadata = {"nightshift.log_group": progress.group, "nightshift.window": f"{window.start} / {window.end}"}
    gathering = ParquetBuffer(EVENTS, metadata)
    start = progress.start_ms if progress.token else progress.last_ms
    start = window.start_ms if start is None else start
    if start >= window.end_ms:
        progress = replace(progress, done=True)  # a day that the zone left out
    while not progress.done:
        if time.monotonic() > deadline:
            break
        try:
            page = cloudwatch.fetch_page(progress.group, start, window.end_ms, progress.token, deadline=deadline)
        except LogsOutOfTime:
            break
        if page.token is not None and page.token == progress.token and not page.events:
            raise LogsUnavailable("CloudWatch Logs: the same page again and again", detail=progress.group)
        progress = _gather(page.events, gathering, progress)
        progress = replace(progress, token=page.token, start_ms=start, done=page.token is None)
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
    if fresh:
        columns = [[getattr(event, name) for event in fresh] for name in LogEvent.__slots__]
        gathering.add_record(columns, sum(len(event.message) + EVENT_BYTES for event in fresh))
    return replace(progress, last_ms=last, ids=tuple(sorted(ids)), ordered=ordered)


def _written(sink: LogUploader, gathering: ParquetBuffer, progress: GroupProgress) -> GroupProgress:
    part = sink.upload_part(progress.group, len(progress.parts) + 1, gathering.encode_file())
    return replace(progress, parts=(*progress.parts, part))


def retain_groups(
    cloudwatch: CloudWatchLogs, groups: Iterable[str], days: int, *, deadline: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Set the retention of groups where it differs. Only once what it may take away is in a backup that exists.

    Returns:
        the groups where it had to be set, and a warning for each where it could not be.
    """
    retained: list[str] = []
    warnings: list[str] = []
    for group in groups:
        try:
            if cloudwatch.set_retention(group, days, deadline=deadline):
                retained.append(group)
        except LogsUnavailable as exc:
            warnings.append(f"log group {group}: its retention was not set: {exc.sentence}")
    return tuple(retained), tuple(warnings)
