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
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from local.chatlog import connect
from local.jobs import ROWS_A_JOB
from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.child import JobChild
from tests.support.expiring import IMPATIENT, JobScene
from tests.support.job_application import Application

BUCKET = "soak"
FILES_A_JOB = ROWS_A_JOB["job_file"]


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: by the step that the killed run had announced last.
        completed: runs that were through before their moment came.
        jobs: placed in all.
        left: jobs that are there at the end.
        checked: rows and files looked at, over all checks.
        application: what it did meanwhile.
    """

    kills: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    jobs: int = 0
    left: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    application: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        steps = ", ".join(f"{count} {step}" for step, count in self.kills.most_common())
        done = ", ".join(f"{count} {what}" for what, count in self.application.most_common())
        gone = self.jobs - self.left
        return [
            f"kills         {self.kills.total()} (last step before each: {steps})",
            f"not killed    {self.completed} runs were done before their moment came",
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
            while self.tally.kills.total() < kills:
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
        # Between two steps the moment is the point; there is no event to wait for.
        while len(child.events) < step and child.process.is_alive():
            child.process.join(0.001)
        child.process.join(self._chance.choice((0.002, 0.02, 0.1)) * self._chance.random())
        status = child.kill()
        self._scene.children.clear()
        if status == -signal.SIGKILL:
            self.tally.kills[child.steps[-1] if child.steps else "start"] += 1
            return
        assert status == 0, child.log
        self.tally.completed += 1

    def _start(self) -> JobChild:
        # A dead run's lock goes when the server notices; until then the next one would just be refused.
        self._scene.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
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


def main(arguments: list[str]) -> int:
    """Run a soak on servers of its own; a broken promise raises."""
    parser = argparse.ArgumentParser(prog="python -m tests.expiry.soak")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--due", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with (
        EmbeddedPostgres(settings=DISPOSABLE) as postgres,
        EmbeddedS3() as s3,
        SlackServer() as slack,
        tempfile.TemporaryDirectory() as directory,
    ):
        s3.create_bucket(BUCKET)
        env = IMPATIENT | {
            **s3.env,
            "DATABASE_URL": postgres.create_database("soak"),
            "ARCHIVE_BUCKET": BUCKET,
            "SLACK_BOT_TOKEN": "xoxb-soak",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": slack.url,
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        scene = JobScene(env, s3, slack, Path(directory))
        tally = Soak(scene, due=chosen.due, seed=chosen.seed).run(chosen.kills)
        scene.close()
    print("\n".join([*tally.lines(), f"seconds       {time.monotonic() - began:.0f}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
