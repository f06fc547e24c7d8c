"""A soak: `kill -9` at random moments, again and again, of runs that back up a database that changes all the while.

    python -m tests.backup.soak --kills 50

After every kill each manifest in the bucket must have all its parts, every byte of them: the oldest backups are pruned
and dead runs' objects are collected under the same kills. Each day's backup is tried until a run is through. At the end
a run without a kill must leave nothing over, and its backup must have every table as the database has it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nightshift.backup.inventory import BackupState
from nightshift.backup.manifest import backup_name
from tests.support.backups import BackupHouse
from tests.support.child import JobChild
from tests.support.soaking import NO_LOCKS, Ground, Kills, await_step, soak

FIRST = datetime(2025, 3, 1, tzinfo=UTC)
KEPT = {"BACKUP_KEEP_DAILY": "3", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
"""Few, so that every day something is pruned."""
PAUSES = (0.0, 0.01, 0.05)
"""Shorter than elsewhere: a step of a backup takes no longer."""


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the runs ended.
        looked_at: manifests that were checked, each with all its parts.
        unfinished: folders without a manifest that kills left, to be collected.
    """

    kills: Kills = field(default_factory=Kills)
    looked_at: int = 0
    unfinished: int = 0

    def lines(self) -> list[str]:
        return [
            *self.kills.lines(),
            f"manifests     {self.looked_at} looked at, each with every byte of its parts",
            f"unfinished    {self.unfinished} seen after kills, none at the end",
        ]


class Soak:
    """One soak."""

    def __init__(self, backups: BackupHouse, *, seed: int) -> None:
        self._backups = backups
        self._chance = random.Random(seed)
        self._day = 0
        self._length = 48
        self.tally = Tally()
        backups.env.update(KEPT)

    def run(self, kills: int) -> Tally:
        """Kill so many runs.

        Raises:
            AssertionError: a promise was broken.
        """
        while self.tally.kills.total < kills:
            self._kill_one()
            self._check()
            self._edit()
        self._day += 1
        child = self._start()
        assert child.wait() == 0, child.log
        self._backups.children.clear()
        self._check()
        self._backups.assert_tidy()
        self._compare()
        return self.tally

    def _kill_one(self) -> None:
        child = self._start()
        step = self._chance.randint(0, self._length)
        await_step(child, step, self._chance, PAUSES)
        if not self.tally.kills.kill(child):
            self._length = max(self._length, len(child.events))
            self._day += 1
        self._backups.children.clear()

    def _start(self) -> JobChild:
        self._backups.await_value(NO_LOCKS, 0)
        return self._backups.child(scheduled_time=self._as_of.isoformat())

    @property
    def _as_of(self) -> datetime:
        return FIRST + timedelta(days=self._day)

    def _edit(self) -> None:
        number = self._chance.randrange(3)
        self._backups.sql(f"UPDATE t{number} SET body = body || '.' WHERE id % 10 = {self._chance.randrange(10)}")

    def _check(self) -> None:
        self._backups.assert_sound()
        states = Counter(one.state for one in self._backups.backups())
        self.tally.looked_at += states[BackupState.GOOD]
        self.tally.unfinished += states[BackupState.UNFINISHED]

    def _compare(self) -> None:
        manifest = self._backups.manifest(backup_name(self._as_of, "Asia/Seoul"))
        entries = [entry for entry in manifest.tables if entry.name.startswith("t")]
        assert len(entries) == 3
        for entry in entries:
            assert self._backups.saved(entry, manifest.name).num_rows == entry.rows
            assert self._backups.digest(entry) == entry.digest


def main(arguments: list[str]) -> None:
    """Run a soak."""
    soak("tests.backup.soak", arguments, _play, kills=50, rows=100_000)


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    backups = BackupHouse(*ground)
    backups.fill(rows=chosen.rows)
    tally = Soak(backups, seed=chosen.seed).run(chosen.kills)
    backups.close()
    return tally


if __name__ == "__main__":
    main(sys.argv[1:])
