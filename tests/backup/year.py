"""A year of nights: backups that fail, rehearsals that do not happen, and retention after every one of them.

    python -m tests.backup.year

prints what is left on the last day, and which rule keeps it. Nothing here knows how retention decides.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from nightshift.backup.retention import BackupRetention, RetentionCandidate, RetentionDecision, apply_retention

ZONE = "Asia/Seoul"
KEEP = BackupRetention(daily=7, weekly=4, monthly=12, zone=ZONE)
FIRST_NIGHT = datetime(2024, 12, 31, 15, tzinfo=UTC)
"""Midnight of New Year's Day 2025 in Seoul."""
NIGHTS = 365
NO_BACKUPS = range(40, 52)
"""Nights of a long outage: not one backup succeeds."""
NO_REHEARSALS = range(150, 200)
"""Nights without a rehearsal: seven weeks."""


@dataclass
class Year:
    """What lies in S3, night after night.

    Attributes:
        stored: the backups that are there.
        failed: nights whose backup failed.
        rehearsed: how many rehearsals succeeded.
        deleted: what retention took away.
    """

    seed: int
    stored: dict[str, RetentionCandidate] = field(default_factory=dict)
    failed: int = 0
    rehearsed: int = 0
    deleted: int = 0

    def nights(self) -> Iterator[tuple[datetime, tuple[RetentionDecision, ...]]]:
        """Live through the year; the verdicts of each night, before what they condemn is deleted."""
        chance = random.Random(self.seed)
        for night in range(NIGHTS):
            now = FIRST_NIGHT + timedelta(days=night)
            if night in NO_BACKUPS or chance.random() < 0.08:
                self.failed += 1
            else:
                name = f"backup_{now.astimezone(ZoneInfo(ZONE)):%Y_%m_%d_%H%M}"
                self.stored[name] = RetentionCandidate(name, now, proven=False)
            verdicts = apply_retention(self.stored.values(), now, KEEP)
            yield now, verdicts
            for verdict in verdicts:
                if not verdict.is_kept:
                    del self.stored[verdict.backup.name]
                    self.deleted += 1
            self._rehearse(night, chance)

    def _rehearse(self, night: int, chance: random.Random) -> None:
        """Once a week the newest backup is restored; now and then that fails."""
        if night % 7 != 6 or night in NO_REHEARSALS or not self.stored or chance.random() < 0.15:
            return
        newest = max(self.stored.values(), key=lambda one: one.as_of)
        self.stored[newest.name] = replace(newest, proven=True)
        self.rehearsed += 1


def main() -> None:
    """Print the last night's table."""
    year = Year(seed=2025)
    _, verdicts = list(year.nights())[-1]
    kept = [verdict for verdict in verdicts if verdict.is_kept]
    print(f"{NIGHTS} nights, {year.failed} without a backup, {year.rehearsed} rehearsals, {year.deleted} deleted\n")
    print(f"{'backup':24} {'proven':7} kept by")
    for verdict in kept:
        backup = verdict.backup
        print(f"{backup.name:24} {'yes' if backup.proven else '-':7} {', '.join(verdict.rules)}")
    print(f"\n{len(kept)} kept, {sum(v.backup.proven for v in kept)} of them proven")


if __name__ == "__main__":
    main()
