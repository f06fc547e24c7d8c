"""Parses and checks the event of a restore."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

DEFAULT_HOLD = "7d"
"""Default hold. Restored rows are older than their retention: without a hold the next cleanup archives them again."""

LAST_YEAR = 2200
"""Last year in which a hold may end. A later year is probably a typing error."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DURATION = re.compile(r"(\d{1,4})([hd])")


def _day(value: object) -> object:
    """Accept a day in the format of `dt=` only. Pydantic would cut a datetime and interpret a number."""
    if value is None or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise ValueError("should be a day like 2025-08-01")


Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=1100)]


class RestoreRequest(BaseModel):
    """The event of one restore.

    Attributes:
        table: the archived table. The database need not have it any more.
        since, until: first and last archived day, both included; None: no limit.
        objects: restore only these objects, given as keys, `s3://` addresses or file names. Empty: all objects.
        into: the table to fill; None: `<table>_restored`.
        into_original: fill the table that the rows came from.
        hold: how long no run deletes the rows: `7d`, `12h`, `0`, a day, or an ISO 8601 time.
        rename: name of the archived column → name of the table's column.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Name
    since: Day | None = None
    until: Day | None = None
    objects: tuple[Key, ...] = ()
    into: Name | None = None
    into_original: bool = Field(default=False, strict=True)
    hold: str | None = None
    rename: dict[Name, Name] = {}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.into is not None and self.into_original:
            raise ValueError("into and into_original cannot both be given")
        if self.hold is not None and not self.into_original:
            raise ValueError("hold is for into_original only: no cleanup looks at another table's rows")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since ({self.since}) lies after until ({self.until})")
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("rename gives two columns one name")
        if self.hold is not None:
            _read_hold(self.hold)
        return self

    def hold_until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """Returns the end of the hold, aware; None: no hold.

        Args:
            now: if `hold` is a duration, the hold starts at `now`.
            zone: if `hold` is a day, the hold ends where the day begins in this time zone.
        """
        if not self.into_original:
            return None
        given = _read_hold(self.hold or DEFAULT_HOLD)
        if isinstance(given, timedelta):
            return now + given if given else None
        return given if given.tzinfo else given.replace(tzinfo=zone)


def _read_hold(text: str) -> timedelta | datetime:
    """Returns the duration or the time that `text` states. A day stands for its beginning.

    Raises:
        ValueError: `text` is neither a duration nor a usable time.
    """
    if text == "0":
        return timedelta()
    if match := _DURATION.fullmatch(text):
        number = int(match.group(1))
        return timedelta(days=number) if match.group(2) == "d" else timedelta(hours=number)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("hold should be like 7d, 12h, 0, 2025-12-01 or 2025-12-01T09:00:00+09:00") from None
    if moment.tzinfo is None and not _DAY.fullmatch(text):
        raise ValueError("hold has a time without a zone; write it like 2025-12-01T09:00:00+09:00")
    if moment.year > LAST_YEAR:
        raise ValueError(f"hold lies after the year {LAST_YEAR}")
    return moment
