"""A soak: `kill -9` at random moments, again and again, of restores of one archive into both kinds of target.

    python -m tests.restore.soak --kills 50

After every kill the promise is checked: the table of the restore's own holds whole objects, those on record, once; the
original and the archive hold each row once between them. When everything is restored, it begins anew: the table is
dropped or emptied, and what went back into the original is archived again. At the end a run without a kill must bring
every row.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.child import JobChild
from tests.support.scene import IMPATIENT
from tests.support.way_back import OWN, WayBack, asked

BUCKET = "soak"
ANEW = cycle((f"DROP TABLE {OWN}", f"TRUNCATE {OWN}"))


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: by target and the step that the killed run had announced last.
        completed: runs that were through before their moment came.
        rounds: times that everything was restored.
        rows: restored rows that were compared.
    """

    kills: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    rounds: int = 0
    rows: int = 0

    def lines(self) -> list[str]:
        steps = ", ".join(f"{count} {step}" for step, count in self.kills.most_common())
        return [
            f"kills         {self.kills.total()} ({steps})",
            f"not killed    {self.completed} runs were done before their moment came",
            f"rounds        {self.rounds} times everything was restored, {self.rows:,} rows compared",
        ]


class Soak:
    """Kills restores of one archive.

    Args:
        back: with an archive.
        seed: of the moments and targets.
    """

    def __init__(self, back: WayBack, *, seed: int) -> None:
        self.tally = Tally()
        self._back = back
        self._chance = random.Random(seed)
        self._duration = {into_original: self._measure(into_original=into_original) for into_original in (False, True)}

    def run(self, kills: int) -> Tally:
        """Kill that many runs, then let one of each kind end.

        Raises:
            AssertionError: a row was lost, doubled, or there without its object's others.
        """
        while self.tally.kills.total() < kills:
            self._kill_one(into_original=self._chance.random() < 0.5)
        for into_original in (False, True):
            self._finish(into_original=into_original)
        return self.tally

    def _measure(self, *, into_original: bool) -> float:
        """Seconds that an undisturbed run takes."""
        child = self._start(into_original=into_original)
        began = time.monotonic()
        assert child.wait() == 0, child.log
        seconds = time.monotonic() - began
        self._finish(into_original=into_original)
        return seconds

    def _kill_one(self, *, into_original: bool) -> None:
        child = self._start(into_original=into_original)
        began = time.monotonic()
        # The moment is the point here; there is no event to wait for.
        child.process.join(self._duration[into_original] * self._chance.triangular(0, 1, 0.8))
        status = child.kill()
        self._back.children.clear()
        self._back.await_quiet()
        self._check()
        if status == -signal.SIGKILL:
            target = "original" if into_original else "own table"
            self.tally.kills[f"{target}: {child.steps[-1] if child.steps else 'start'}"] += 1
            return
        assert status == 0, child.log
        self.tally.completed += 1
        # Moments past the end of a run are wasted.
        self._duration[into_original] = (self._duration[into_original] + time.monotonic() - began) / 2
        self._finish(into_original=into_original)

    def _start(self, *, into_original: bool) -> JobChild:
        """A run with two workers; what it brings back into the original may be archived again at once."""
        hold: dict[str, Any] = {"hold": "0"} if into_original else {}
        return self._back.restoring({"CLEANUP_WORKERS": "2"}, **asked(into_original), **hold)

    def _check(self) -> None:
        self._back.assert_promise(into_original=False)
        self._back.assert_returned()
        self.tally.rows += self._back.rows_of().total()

    def _finish(self, *, into_original: bool) -> None:
        """Let a run end, compare, and begin anew."""
        if into_original:
            answer = self._back.restore(into_original=True, hold="0")
            assert answer["complete"], answer
            assert self._back.rows_of("conversation_log") == self._back.before
            self._back.archive_again()
        else:
            answer = self._back.restore()
            assert answer["complete"], answer
        self._check()
        # After a return into the original the archive consists of other objects, with the same rows.
        if self._back.exists():
            self._back.sql(next(ANEW))
        self._check()
        self.tally.rounds += 1


def main(arguments: list[str]) -> int:
    """Run a soak on servers of its own; a broken promise raises."""
    parser = argparse.ArgumentParser(prog="python -m tests.restore.soak")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=6600)
    parser.add_argument("--days", type=int, default=60)
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
            "DATABASE_URL": f"{postgres.create_database('soak')}?sslmode=disable",
            "ARCHIVE_BUCKET": BUCKET,
            "SLACK_BOT_TOKEN": "xoxb-soak",
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_API_URL": slack.url,
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        back = WayBack(env, s3, slack, Path(directory))
        back.url = back.url.partition("?")[0]
        back.archive(chosen.rows, days=chosen.days)
        tally = Soak(back, seed=chosen.seed).run(chosen.kills)
        back.close()
    print("\n".join([*tally.lines(), f"seconds       {time.monotonic() - began:.0f}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
