"""A soak: `kill -9` at random moments, again and again, of runs that expire jobs while the application is at work.

    python -m tests.expiry.soak --kills 100

After every kill the promise is checked with the application standing still: every job is there whole or gone whole,
every file that a row names is in S3, and every other file in S3 is waiting in the outbox. At the end a run without a
kill must leave the jobs that have not expired or were extended, their files, and an empty outbox.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from local.chatlog import connect
from local.jobs import ROWS_A_JOB
from tests.support.child import JobChild
from tests.support.expiring import IMPATIENT, JobScene
from tests.support.job_application import Application
from tests.support.soaking import NO_LOCKS, Ground, Kills, await_step, soak

FILES_A_JOB = ROWS_A_JOB["job_file"]


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the runs ended.
        jobs: placed in all.
        left: jobs that are there at the end.
        checked: rows and files looked at, over all checks.
        application: what it did meanwhile.
    """

    kills: Kills = field(default_factory=Kills)
    jobs: int = 0
    left: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    application: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        done = ", ".join(f"{count} {what}" for what, count in self.application.most_common())
        gone = self.jobs - self.left
        return [
            *self.kills.lines(),
            f"application   {done}",
            f"jobs          {self.jobs:,} placed, {self.left:,} left",
            f"expired       {gone:,} jobs with {gone * FILES_A_JOB:,} files",
            f"checked       {self.checked['rows']:,} rows, {self.checked['files']:,} files",
        ]


class Soak:
    """Kills runs over jobs that come, are extended, and expire.

    Args:
        scene: with an empty database.
        due: expired jobs that a run finds, about.
        seed: of the moments, and of the application.
    """

    def __init__(self, scene: JobScene, *, due: int, seed: int) -> None:
        self.tally = Tally()
        self._scene = scene
        self._due = due
        self._chance = random.Random(seed)
        scene.fill(due, 4)
        self._application = Application(scene, seed, due + 4)
        self._steps = self._measure()

    def run(self, kills: int) -> Tally:
        """Kill that many runs, then let one end.

        Raises:
            AssertionError: a job was torn, a file was lost or forgotten.
        """
        self._application.start()
        try:
            while self.tally.kills.total < kills:
                self._top_up()
                self._kill_one()
                self._check()
                assert self._application.is_alive(), "the application failed"
        finally:
            self._application.stop.set()
            self._application.join()
        self._scene.converge()
        self.tally.jobs = self._application.last
        self.tally.left = self._scene.count()
        self.tally.application = self._application.done
        return self.tally

    def _measure(self) -> int:
        """Steps that an undisturbed run announces."""
        child = self._start()
        assert child.wait() == 0, child.log
        return len(child.steps)

    def _kill_one(self) -> None:
        child = self._start()
        step = self._chance.randrange(self._steps)
        await_step(child, step, self._chance)
        self.tally.kills.kill(child)
        self._scene.children.clear()

    def _start(self) -> JobChild:
        self._scene.await_value(NO_LOCKS, 0)
        return self._scene.child()

    def _check(self) -> None:
        with self._application.turn:
            self._scene.await_quiet()
            self._scene.assert_sound()
            self.tally.checked["rows"] += sum(self._scene.count(table) for table in ROWS_A_JOB)
            self.tally.checked["files"] += len(self._scene.stored())

    def _top_up(self) -> None:
        """Give the next run something to do, once half of it is gone."""
        due = int(self._scene.value("SELECT count(*) FROM job WHERE expires_at < '2025-10-15T05:00:00Z'"))
        if due > self._due / 2:
            return
        with self._application.turn, contextlib.closing(connect(self._scene.url)) as connection:
            self._application.place(connection, self._due - due)


def main(arguments: list[str]) -> None:
    """Run a soak."""
    soak("tests.expiry.soak", arguments, _play, kills=100, due=100)


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    env = ground.env | IMPATIENT | {"EXPIRE_FILES_BUCKET": ground.env["ARCHIVE_BUCKET"]}
    scene = JobScene(env, *ground[1:])
    tally = Soak(scene, due=chosen.due, seed=chosen.seed).run(chosen.kills)
    scene.close()
    return tally


if __name__ == "__main__":
    main(sys.argv[1:])
