"""Decides which backups to keep, and by which rule: a pure function of their times, and of their proofs by a rehearsal.

Of each of the last days, weeks and months that *have* a backup, the newest is kept; a month of failures therefore
expires nothing. Backups that a rehearsal has restored ("proven") and others are counted separately: any number of
unproven backups cannot displace a proven one. Retention never deletes the newest backup, the newest proven one, or the
last remaining one.

Backups of the last 24 hours are kept, too: two of one afternoon, before and after a migration, are both wanted. So are
backups that an operator has pinned (see `pins`), and the one that the run itself has made. All of these are counted
like others.

Rejected: counting days of the calendar (a week of failed runs would delete the week before it), and counting both kinds
together (rehearsals are weekly, so the newest of a day is seldom a proven one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RetentionCandidate:
    """A good backup, as far as retention cares.

    Attributes:
        as_of: aware; the time that it stands for.
        proven: a rehearsal has restored it.
        pinned: an operator wants to keep it.
    """

    name: str
    as_of: datetime
    proven: bool
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Number of backups to keep of each kind.

    Attributes:
        daily: at least 1.
        zone: IANA name; its midnights divide the days, its Mondays the weeks.

    Raises:
        ValueError: a number that makes no sense.
    """

    daily: int
    weekly: int
    monthly: int
    zone: str

    def __post_init__(self) -> None:
        if self.daily < 1 or self.weekly < 0 or self.monthly < 0:
            raise ValueError("retention keeps at least one day, and no negative number of weeks or months")


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """Decision on one backup.

    Attributes:
        rules: why it stays, e.g. `daily 2025-10-21`; none: it goes.
    """

    backup: RetentionCandidate
    rules: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        return bool(self.rules)


def apply_retention(
    backups: Iterable[RetentionCandidate], now: datetime, keep: RetentionPolicy, *, made: str | None = None
) -> tuple[RetentionDecision, ...]:
    """Decide on every backup.

    Args:
        backups: the good ones, each name once, in any order. Damaged and unfinished ones are none: they neither count
            nor go.
        now: aware; backups that stand for a later time stay, and are not counted.
        made: the name of the backup that this run has made.

    Returns:
        a verdict for each, newest first.
    """
    ordered = sorted(backups, key=lambda one: (one.as_of, one.name), reverse=True)
    rules: dict[str, list[str]] = {one.name: [] for one in ordered}
    for one in ordered[:1]:
        rules[one.name].append("the only one" if len(ordered) == 1 else "newest")
    for one in [one for one in ordered if one.proven][:1]:
        rules[one.name].append("newest proven")
    for one in ordered:
        if one.as_of > now:
            rules[one.name].append("later than this run")
        elif one.as_of > now - RECENT:
            rules[one.name].append("the last 24 hours")
        if one.pinned:
            rules[one.name].append("pinned")
        if one.name == made:
            rules[one.name].append("made by this run")
    past = [one for one in ordered if one.as_of <= now]
    for proven in (True, False):
        _count([one for one in past if one.proven is proven], keep, "" if proven else "unproven ", rules)
    return tuple(RetentionDecision(one, tuple(rules[one.name])) for one in ordered)


def _count(
    ordered: Sequence[RetentionCandidate], keep: RetentionPolicy, kind: str, rules: dict[str, list[str]]
) -> None:
    """Keep the newest of each of the last days, weeks and months that have one."""
    zone = ZoneInfo(keep.zone)
    periods: tuple[tuple[str, int, Callable[[datetime], str]], ...] = (
        ("daily", keep.daily, lambda when: f"{when:%Y-%m-%d}"),
        ("weekly", keep.weekly, lambda when: f"{when:%G-W%V}"),
        ("monthly", keep.monthly, lambda when: f"{when:%Y-%m}"),
    )
    for rule, count, period_of in periods:
        seen: set[str] = set()
        for one in ordered:
            period = period_of(one.as_of.astimezone(zone))
            if period in seen:
                continue
            if len(seen) == count:
                break
            seen.add(period)
            rules[one.name].append(f"{kind}{rule} {period}")
