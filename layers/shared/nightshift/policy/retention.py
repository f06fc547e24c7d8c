"""Defines the policies of `cleanup`: one `[[retention]]` entry per table.

    [[retention]]
    table = "app.conversation_log"   # schema.table; quote odd names as in SQL: '"My Schema"."Table.x"'
    timestamp = "created_at"         # timestamptz, timestamp, date, or a number with `epoch`
    keep_days = 30
    timezone = "Asia/Seoul"          # default: TIMEZONE
    epoch = "ms"                     # unit of a numeric column: "s", "ms", "us" or "ns"
    max_share = 0.5                  # a run without `force` refuses to delete more than this share of the table

The cutoff is the beginning of a day in the policy's zone. With `keep_days = 30`, a run on 15 October, at any hour,
archives the rows of 14 September and older. Thus the archive always receives whole days, and all runs of a day have the
same cutoff.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from nightshift.errors import InvalidSettings
from nightshift.settings import EpochUnit, TimeZone

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


class PolicyEntry(BaseModel):
    """An entry of the policy file, about one table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: Name


class RetentionPolicy(PolicyEntry):
    """Policy for the retention of one table's rows. The module's docstring describes the fields."""

    timestamp: Name = "created_at"
    keep_days: int = Field(ge=1, le=36_500)
    timezone: TimeZone
    epoch: EpochUnit | None = None
    max_share: float | None = Field(None, gt=0, le=1)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def cutoff(self, as_of: datetime) -> datetime:
        """Returns the cutoff, an aware time in the policy's zone. Older rows are due.

        Raises:
            InvalidSettings: the cutoff is before year 2.
        """
        try:
            day = as_of.astimezone(self.zone).date() - timedelta(days=self.keep_days)
        except OverflowError:
            day = date.min
        if day.year < 2:
            raise InvalidSettings(
                "the cutoff lies before the calendar begins", detail=f"{self.table}: keep_days = {self.keep_days}"
            )
        return datetime.combine(day, time.min, tzinfo=self.zone)
