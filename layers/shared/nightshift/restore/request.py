"""Parses and checks the keys of a restore's event."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

DEFAULT_HOLD = "7d"
"""Restored rows are older than their retention: without a hold the next cleanup would take them the same night."""

LAST_YEAR = 2200
"""A hold that ends later is a slip of the finger."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DURATION = re.compile(r"(\d{1,4})([hd])")


def _day(value: object) -> object:
    """A day as it stands in `dt=`; a moment or a number would be cut or guessed."""
    if value is None or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise ValueError("should be a day like 2025-08-01")


Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=1100)]


class RestoreRequest(BaseModel):
    """One restore.

    Attributes:
        table: as the archive knows it; it need not exist any more.
        since, until: first and last archived day, both included; None: from the first, to the last.
        objects: only these: keys, `s3://` addresses or file names.
        into: the table to fill; None: `<table>_restored`.
        into_original: fill the table that the rows came from.
        hold: how long no run deletes the rows: `7d`, `12h`, `0`, a day, or an ISO moment.
        rename: archived column → the name that it has now.
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
        """Returns the end of the hold, aware; None where there is none.

        Args:
            now: start of a duration.
            zone: in which a day without a time begins.
        """
        if not self.into_original:
            return None
        given = _read_hold(self.hold or DEFAULT_HOLD)
        if isinstance(given, timedelta):
            return now + given if given else None
        return given if given.tzinfo else given.replace(tzinfo=zone)


def _read_hold(text: str) -> timedelta | datetime:
    """A duration or a moment; a day means its beginning.

    Raises:
        ValueError: it is neither.
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
