"""What is due: one `[[retention]]` entry a table, from a TOML file or the defaults.

    [[retention]]
    table = "app.conversation_log"   # schema.table; quote odd names as in SQL: '"My Schema"."Table.x"'
    timestamp = "created_at"         # timestamptz, timestamp, date, or an integer with `epoch`
    keep_days = 30
    timezone = "Asia/Seoul"          # default: TIMEZONE
    epoch = "ms"                     # for integer columns: "s" or "ms"
    max_share = 0.5                  # refuse to take more than this share of the table without `force`

The cutoff is the beginning of a day in the policy's zone: with `keep_days = 30` a run on 15 October, whatever the
hour, takes the rows of 14 September and older. So each day is archived whole, and every run of one day agrees on the
cutoff.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nightshift.errors import InvalidSettings
from nightshift.settings import Settings, TimeZone

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


class Policy(BaseModel):
    """One table's retention; see the module's text for the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: Name
    timestamp: Name = "created_at"
    keep_days: int = Field(ge=1, le=36_500)
    timezone: TimeZone
    epoch: Literal["s", "ms"] | None = None
    max_share: float | None = Field(None, gt=0, le=1)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def cutoff(self, as_of: datetime) -> datetime:
        """The first moment that is kept, aware, in the policy's zone.

        Raises:
            InvalidSettings: the calendar does not reach that far back.
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


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of one deployment, in the order in which they are worked off."""

    retention: tuple[Policy, ...]


def default_policies(settings: Settings) -> Policies:
    """Without a policy file: `conversation_log` by `created_at`, `LOG_RETENTION_DAYS`."""
    given = {"table": "conversation_log", "keep_days": settings.log_retention_days, "timezone": settings.timezone}
    return Policies((Policy.model_validate(given),))


def parse_policies(text: str, settings: Settings, *, source: str) -> Policies:
    """Read a policy file.

    Args:
        text: TOML.
        settings: gives the defaults for `keep_days` and `timezone`.
        source: where the text came from, for errors.

    Raises:
        InvalidSettings: lists every entry that is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSettings("the policy file is not TOML", detail=f"{source}: {exc}") from None
    unknown = sorted(set(document) - {"retention"})
    entries = document.get("retention")
    if unknown or not isinstance(entries, list) or not entries:
        raise InvalidSettings(
            "the policy file has no [[retention]] entries" if not unknown else "the policy file has unknown sections",
            detail=f"{source}: {', '.join(unknown) or 'empty'}",
            hint='write [[retention]] with table = "…", timestamp = "…", keep_days = …',
        )
    problems: list[str] = []
    policies = [p for n, entry in enumerate(entries, 1) if (p := _policy(n, entry, settings, problems))]
    problems += _repeated(policies)
    if problems:
        raise InvalidSettings("the policy file is not usable", detail="\n".join(f"{source}: {p}" for p in problems))
    return Policies(tuple(policies))


def _policy(number: int, entry: object, settings: Settings, problems: list[str]) -> Policy | None:
    where = f"[[retention]] {number}"
    if not isinstance(entry, dict):
        problems.append(f"{where}: should be a table")
        return None
    given: dict[str, Any] = {"keep_days": settings.log_retention_days, "timezone": settings.timezone, **entry}
    try:
        return Policy.model_validate(given)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in error["loc"])
            message = "unknown key" if error["type"] == "extra_forbidden" else str(error["msg"])
            problems.append(f"{where} ({entry.get('table', '?')}): {name}: {message.removeprefix('Value error, ')}")
        return None


def _repeated(policies: Sequence[Policy]) -> list[str]:
    names = [policy.table for policy in policies]
    return [f"table {name} has more than one policy" for name in sorted({n for n in names if names.count(n) > 1})]


def load_policies(settings: Settings, fetch: Callable[[str], str]) -> Policies:
    """The deployment's policies: from the file that `NIGHTSHIFT_CONFIG` names, or the defaults.

    Args:
        fetch: reads the text behind a path, an `s3://` address or an `ssm:` name.

    Raises:
        InvalidSettings: the file's content is not usable; other errors as `fetch` raises them.
    """
    source = settings.nightshift_config
    if not source:
        return default_policies(settings)
    return parse_policies(fetch(source), settings, source=source)
