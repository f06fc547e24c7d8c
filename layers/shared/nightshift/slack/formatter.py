"""Numbers, sizes and times in the reader's language and time zone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo

from nightshift.results.common import MessageAttachment
from nightshift.slack.phrases.catalog import MessageCatalog


@dataclass(frozen=True, slots=True)
class MessageFormatter:
    """One reader: their phrases, and the zone of their clock."""

    phrases: MessageCatalog
    zone: tzinfo

    def job_name(self, name: str) -> str:
        return self.phrases.jobs.get(name, name)

    def guard_name(self, name: str) -> str:
        return self.phrases.guards.get(name) or self.phrases.other_guard.format(guard=name)

    def damage_name(self, name: str) -> str:
        return self.phrases.damages.get(name, name)

    def format_moment(self, when: datetime) -> str:
        """`2025-10-15 09:00:00 KST`; a naive time belongs to no zone and is shown as it is."""
        when = self._local(when)
        return f"{when.replace(tzinfo=None).isoformat(sep=' ', timespec='seconds')} {when.tzname() or ''}".rstrip()

    def format_minute(self, when: datetime) -> str:
        """`2025-10-17 09:00`, the look of reports whose readers never asked which zone."""
        return self._local(when).replace(tzinfo=None).isoformat(sep=" ", timespec="minutes")

    def format_clock(self, when: datetime) -> str:
        """`09:00 KST`, for reports within the hour."""
        when = self._local(when)
        return f"{when:%H:%M} {when.tzname() or ''}".rstrip()

    def _local(self, when: datetime) -> datetime:
        if when.tzinfo is not None:
            with suppress(OverflowError):  # within a day of year 1 or 9999, the reader's zone has no such time
                return when.astimezone(self.zone)
        return when

    def format_rows(self, count: int) -> str:
        return self.phrases.rows.form_of(count)

    def format_rate(self, rows_per_second: float) -> str:
        return self.phrases.rate.format(rows=self.format_rows(round(rows_per_second)))

    def format_share(self, share: float) -> str:
        return self.phrases.share_of_table.format(share=f"{share:.1%}")

    def format_duration(self, seconds: float) -> str:
        """Tenths of a second below ten, whole seconds below an hour, minutes below two days, then hours."""
        whole = round(seconds)
        if seconds < 9.95:
            return self.phrases.seconds.format(seconds=f"{seconds:.1f}")
        if whole < 60:
            return self.phrases.seconds.format(seconds=whole)
        if whole < 3600:
            return self.phrases.minutes.format(minutes=whole // 60, seconds=whole % 60)
        if whole < 48 * 3600:
            return self.phrases.hours.format(hours=whole // 3600, minutes=whole % 3600 // 60)
        return self.phrases.days.format(days=f"{whole // 86_400:,}", hours=whole % 86_400 // 3600)


def excerpt_text(phrases: MessageCatalog, attachment: MessageAttachment) -> str | None:
    """That a file holds the first rows only; None where it holds them all."""
    if attachment.rows >= attachment.total_rows:
        return None
    return phrases.excerpt.format(rows=f"{attachment.rows:,}", total=f"{attachment.total_rows:,}")
