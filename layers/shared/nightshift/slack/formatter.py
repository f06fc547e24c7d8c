"""Formats phrases, numbers and times in the reader's language and time zone."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, tzinfo

from nightshift.results.common import MessageAttachment
from nightshift.slack.phrases.catalog import MessageCatalog
from nightshift.slack.phrases.forms import Language


class MessageFormatter(MessageCatalog):
    """All phrases in one language, with methods that format numbers, and times of one time zone."""

    def __init__(self, language: Language, zone: tzinfo) -> None:
        super().__init__(language)
        self.zone = zone

    def job_name(self, name: str) -> str:
        return self.jobs.get(name, name)

    def format_moment(self, when: datetime) -> str:
        """Returns a time such as `2025-10-15 09:00:00 KST`. A naive time is shown unchanged, without a zone."""
        when = self._local(when)
        return f"{when.replace(tzinfo=None).isoformat(sep=' ', timespec='seconds')} {when.tzname() or ''}".rstrip()

    def format_minute(self, when: datetime) -> str:
        """Returns a time such as `2025-10-17 09:00`, in the reader's zone but without its name."""
        return self._local(when).replace(tzinfo=None).isoformat(sep=" ", timespec="minutes")

    def format_clock(self, when: datetime) -> str:
        """Returns a time of day such as `09:00 KST`, for reports that are sent every hour."""
        when = self._local(when)
        return f"{when:%H:%M} {when.tzname() or ''}".rstrip()

    def _local(self, when: datetime) -> datetime:
        if when.tzinfo is not None:
            with suppress(OverflowError):  # the time in the reader's zone would be before year 1 or after year 9999
                return when.astimezone(self.zone)
        return when

    def format_rows(self, count: int) -> str:
        return self.rows.form_of(count)

    def format_rate(self, rows_per_second: float) -> str:
        return self.rate.format(rows=self.format_rows(round(rows_per_second)))

    def format_duration(self, seconds: float) -> str:
        """Returns a duration.

        The unit depends on the length: tenths of a second below ten seconds, whole seconds below an hour, minutes below
        two days, otherwise hours.
        """
        whole = round(seconds)
        if seconds < 9.95:
            return self.seconds.format(seconds=f"{seconds:.1f}")
        if whole < 60:
            return self.seconds.format(seconds=whole)
        if whole < 3600:
            return self.minutes.format(minutes=whole // 60, seconds=whole % 60)
        if whole < 48 * 3600:
            return self.hours.format(hours=whole // 3600, minutes=whole % 3600 // 60)
        return self.days.format(days=f"{whole // 86_400:,}", hours=whole % 86_400 // 3600)


def excerpt_text(words: MessageCatalog, attachment: MessageAttachment) -> str | None:
    """Returns a note that a file holds only the first rows; None if the file holds all rows."""
    if attachment.rows >= attachment.total_rows:
        return None
    return words.excerpt.format(rows=f"{attachment.rows:,}", total=f"{attachment.total_rows:,}")
