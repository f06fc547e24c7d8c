"""A soak: all jobs at once on shared tables, some of them killed with `kill -9`, again and again.

    python -m tests.night.soak --kills 100
    PG_BIN=/usr/lib/postgresql/15/bin python -m tests.night.soak --kills 100

In each round several of `cleanup`, `expire_jobs`, `restore` (with a hold), `backup` and `rehearse` run at
the same time, as a role without superuser; up to two of them are killed. Then, with the application standing still:
every row is in its table or in the archive, once; no row is gone that was not due or that is held; every file that a
row names is there; every backup is whole. At the end each job runs once undisturbed and must leave nothing undone.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.chatlog import connect
from tests.night.all_jobs import HOLD, TABLE, AllJobs
from tests.support import scene
from tests.support.child import JobChild
from tests.support.expiring import AS_OF, IMPATIENT
from tests.support.handler import run_job
from tests.support.job_application import Application
from tests.support.small_chunks import SmallChunks
from tests.support.soaking import NO_LOCKS, Ground, Kills, await_step, soak

KEPT = {"BACKUP_KEEP_DAILY": "3", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0", "CLEANUP_WORKERS": "2"}
FIRST_BACKUP = datetime(2025, 3, 1, tzinfo=UTC)
LENGTH = {"cleanup": 24, "expire_jobs": 60, "restore": 8, "backup": 20, "rehearse": 12}
"""Steps of a run, about: the moment of a kill lies between 0 and this one."""


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the killed runs ended.
        ended: how the others ended, by job and status or error.
        checks: how often the promises were checked, and of how many rows that were held.
    """

    kills: Kills = field(default_factory=Kills)
    ended: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    events: int = 0

    def lines(self) -> list[str]:
        others = ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items()))
        return [
            *self.kills.lines(),
            f"others        {others}",
            f"checks        {self.checks['checks']}, with {self.checks['held']:,} held rows among {self.events:,}",
            "lost, twice, early: 0",
        ]


class Soak:
    """Rounds of several runs at once.

    Args:
        jobs: with an empty database.
        events, due: rows and expired jobs that a round finds, about.
        seed: of the moments and the choices.
    """

    def __init__(self, jobs: AllJobs, *, events: int, due: int, seed: int) -> None:
        self.tally = Tally()
        self._jobs = jobs
        self._events = events
        self._due = due
        self._chance = random.Random(seed)
        self._backup = FIRST_BACKUP
        jobs.prepare(due)
        jobs.add_events(events)
        self._application = Application(jobs, seed, due + 4)
        for job in ("cleanup", "backup"):
            answer = run_job(job, jobs.env, self._event(job))
            assert answer["complete"], answer

    def run(self, kills: int) -> Tally:
        """Play rounds until that many runs were killed, then let each job end.

        Raises:
            AssertionError: a promise was broken.
        """
        self._application.start()
        try:
            while self.tally.kills.total < kills:
                self._play_round()
                assert self._application.is_alive(), "the application failed"
        finally:
            self._application.stop.set()
            self._application.join()
        self._finish()
        self.tally.events = self._jobs.events.total()
        return self.tally

    def _play_round(self) -> None:
        self._jobs.await_value(NO_LOCKS, 0)
        chosen = self._chance.sample(sorted(LENGTH), k=self._chance.randint(3, 5))
        running = [(job, self._start(job)) for job in chosen]
        doomed = self._chance.sample(range(len(running)), k=self._chance.randint(1, 2))
        for number in doomed:
            job, child = running[number]
            await_step(child, self._chance.randrange(LENGTH[job]), self._chance)
            status = child.kill()
            if status < 0:
                self.tally.kills.steps[f"{job} {child.steps[-1] if child.steps else 'start'}"] += 1
            else:
                self.tally.kills.completed += 1
        for number, (job, child) in enumerate(running):
            if number not in doomed:
                self._count(job, child)
        self._jobs.children.clear()
        self._check()

    def _start(self, job: str) -> JobChild:
        work = SmallChunks(64 << 10) if job == "cleanup" else None
        return self._jobs.start(job, self._event(job), work=work)

    def _event(self, job: str) -> Mapping[str, Any]:
        if job == "backup":
            self._backup += timedelta(days=1)
            return {"scheduled_time": self._backup.isoformat()}
        if job == "restore":
            return {"scheduled_time": AS_OF, "table": TABLE, "into_original": True, "hold": HOLD}
        return {"scheduled_time": AS_OF}

    def _count(self, job: str, child: JobChild) -> None:
        """A run that nobody killed ends well, or says which other run it makes way for."""
        if child.wait() == 0:
            assert child.answer is not None
            self.tally.ended[f"{job} {child.answer['status']}"] += 1
            return
        assert child.error is not None and "in progress" in child.error, child.log
        self.tally.ended[f"{job} made way"] += 1

    def _check(self) -> None:
        with self._application.turn:
            self._jobs.await_quiet()
            self._jobs.assert_promises()
            self.tally.checks.update(checks=1, held=self._jobs.held)
            self._jobs.held = 0
            if self._chance.random() < 0.3:
                self._jobs.end_holds()
            self._jobs.add_events(self._events // 4)
            due = int(self._jobs.value(f"SELECT count(*) FROM job WHERE expires_at < '{AS_OF}'"))
            if due < self._due / 2:
                with closing(connect(self._jobs.url)) as connection:
                    self._application.place(connection, self._due - due)

    def _finish(self) -> None:
        jobs = self._jobs
        jobs.await_quiet()
        jobs.end_holds()
        for job in ("cleanup", "expire_jobs", "backup", "rehearse"):
            answer = run_job(job, jobs.env, self._event(job))
            assert answer["complete"], answer
        jobs.assert_promises()
        assert jobs.value(f"SELECT count(*) FROM {TABLE} WHERE id % 4 <> 3") == 0, "due rows are left"
        assert jobs.outbox() == [] and jobs.stored() == jobs.named()
        assert jobs.job_ids() == jobs.kept
        scratch = "SELECT count(*) FROM pg_database WHERE datname LIKE 'nightshift%'"
        assert jobs.value(scratch) == 0, "a scratch database is left"


def main(arguments: list[str]) -> Tally:
    """Run a soak."""
    return soak("tests.night.soak", arguments, _play, kills=100, events=800, due=60)


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    jobs = AllJobs(ground.env | scene.IMPATIENT | IMPATIENT | KEPT, *ground[1:])
    tally = Soak(jobs, events=chosen.events, due=chosen.due, seed=chosen.seed).run(chosen.kills)
    jobs.close()
    return tally


if __name__ == "__main__":
    main(sys.argv[1:])
