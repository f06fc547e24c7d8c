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
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from tests.support.child import JobChild
from tests.support.scene import IMPATIENT
from tests.support.soaking import Ground, Kills, soak
from tests.support.way_back import OWN, WayBack, asked

ANEW = cycle((f"DROP TABLE {OWN}", f"TRUNCATE {OWN}"))


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the runs ended, by target.
        rounds: times that everything was restored.
        rows: restored rows that were compared.
    """

    kills: Kills = field(default_factory=Kills)
    rounds: int = 0
    rows: int = 0

    def lines(self) -> list[str]:
        return [
            *self.kills.lines(),
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
        while self.tally.kills.total < kills:
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
        killed = self.tally.kills.kill(child, kind="original: " if into_original else "own table: ")
        self._back.children.clear()
        self._back.await_quiet()
        self._check()
        if not killed:
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


def main(arguments: list[str]) -> None:
    """Run a soak."""
    soak("tests.restore.soak", arguments, _play, kills=50, rows=6600, days=60)


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    back = WayBack(ground.env | IMPATIENT, *ground[1:])
    back.env["DATABASE_URL"] += "?sslmode=disable"
    back.archive(chosen.rows, days=chosen.days)
    tally = Soak(back, seed=chosen.seed).run(chosen.kills)
    back.close()
    return tally


if __name__ == "__main__":
    main(sys.argv[1:])
