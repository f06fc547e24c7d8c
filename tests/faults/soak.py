"""A soak: `kill -9` at random moments, again and again, over one table that is topped up as it is worked off.

    python -m tests.faults.soak --kills 200

After every few kills what the ledger has come to vouch for is read from S3 and struck off the rows that were ever
inserted; what is left of them must be what the table holds. So every row is compared once, a row that is archived a
second time later is seen, and memory stays small. At the end a run without a kill must leave everything tidy.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.support.child import JobChild
from tests.support.multiset import Row, ledger, rows_in_entry, rows_in_table
from tests.support.scene import IMPATIENT, TABLE, Scene
from tests.support.small_chunks import SmallChunks
from tests.support.soaking import NO_LOCKS, Ground, Kills, soak

WIDTH = 320
"""Bytes of a row, about."""
CHUNK_BYTES = 128 << 10
RUN = {"CLEANUP_WORKERS": "2"}
CHECK_EVERY = 10
"""Kills between two comparisons."""


@dataclass
class Tally:
    """What a soak has seen.

    Attributes:
        kills: how the runs ended.
        inserted, archived: rows so far.
        lost, doubled: rows that were neither in the table nor in the archive, or more often than once.
    """

    kills: Kills = field(default_factory=Kills)
    inserted: int = 0
    archived: int = 0
    lost: int = 0
    doubled: int = 0

    def lines(self) -> list[str]:
        return [
            *self.kills.lines(),
            f"rows          {self.inserted:,} inserted, {self.archived:,} archived",
            f"rows lost     {self.lost}",
            f"rows twice    {self.doubled}",
        ]


class Soak:
    """Kills runs over one table and keeps the books.

    Args:
        scene: with an empty database.
        rows: how many the table has when it is topped up.
        seed: of the moments.
    """

    def __init__(self, scene: Scene, *, rows: int, seed: int) -> None:
        self.tally = Tally()
        self._scene = scene
        self._rows = rows
        self._chance = random.Random(seed)
        self._checked: set[str] = set()
        scene.fill(rows, width=WIDTH, indexed=True)
        self.tally.inserted = rows
        self._duration = self._measure()

    def run(self, kills: int) -> Tally:
        """Kill that many runs, then let one end, and compare."""
        while self.tally.kills.total < kills:
            self._top_up()
            self._kill_one()
            if self.tally.kills.total % CHECK_EVERY == 0:
                self.check()
        answer = self._scene.run()
        assert answer["complete"], answer
        self.check()
        self._scene.assert_tidy()
        return self.tally

    def check(self) -> None:
        """Strike off what has been archived since the last time, and compare the rest with the table."""
        archived: Counter[Row] = Counter()
        # The table first: what a dying run still commits between the two would otherwise be missing from both.
        self._scene.await_quiet()
        for entry in ledger(self._scene.url):
            if entry["state"] == "archived" and entry["object_key"] not in self._checked:
                self._checked.add(entry["object_key"])
                archived.update(rows_in_entry(self._scene.s3, entry))
        found = archived + rows_in_table(self._scene.url, TABLE)
        self.tally.archived += archived.total()
        self.tally.lost += (self._scene.before - found).total()
        self.tally.doubled += (found - self._scene.before).total()
        self._scene.before -= archived

    def _measure(self) -> float:
        """Seconds that an undisturbed run takes."""
        child = self._start()
        began = time.monotonic()
        assert child.wait() == 0, child.log
        seconds = time.monotonic() - began
        self.check()
        return seconds

    def _kill_one(self) -> None:
        child = self._start()
        began = time.monotonic()
        # The moment is the point here; there is no event to wait for.
        child.process.join(self._chance.uniform(0, self._duration))
        if not self.tally.kills.kill(child):
            # Moments past the end of a run are wasted.
            self._duration = (self._duration + time.monotonic() - began) / 2
        self._scene.children.clear()

    def _start(self) -> JobChild:
        self._scene.await_value(NO_LOCKS, 0)
        return self._scene.child(RUN, work=SmallChunks(CHUNK_BYTES))

    def _top_up(self) -> None:
        """Give the next run as much to do as the first had, once half of it is gone."""
        due = int(
            self._scene.value(
                f"SELECT count(*) FROM {TABLE} WHERE created_at < to_timestamp({self._scene.cutoff_us} / 1e6)"
            )
        )
        if due > self._rows / 2:
            return
        first = self.tally.inserted + 1
        self._scene.insert(self._rows, first=first, width=WIDTH)
        self._scene.before += rows_in_table(self._scene.url, f"{TABLE} WHERE id >= {first}")
        self.tally.inserted += self._rows


def main(arguments: list[str]) -> int:
    """Run a soak; 1 if a row was lost or doubled."""
    tally = soak("tests.faults.soak", arguments, _play, kills=200, rows=30_000)
    return 1 if tally.lost or tally.doubled else 0


def _play(chosen: argparse.Namespace, ground: Ground) -> Tally:
    scene = Scene(ground.env | IMPATIENT, *ground[1:])
    tally = Soak(scene, rows=chosen.rows, seed=chosen.seed).run(chosen.kills)
    scene.close()
    return tally


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
