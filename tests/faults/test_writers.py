"""The application goes on writing. Whatever it committed last is what the table or the archive holds, once.

An update that meets the run's DELETE either comes first, and is archived or kept in its new form, or comes too late and
finds its row gone. The journal of what the application was told is compared with what is there afterwards.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from local.chatlog import connect
from nightshift.progress_events import ProgressStep
from tests.support.multiset import Row, rows_in_table
from tests.support.scene import CUTOFF_US, OURS, TABLE, Scene

DAY_US = 86_400_000_000
MOMENT = "to_timestamp(:moment / 1e6)"


def assert_as_written(scene: Scene, journal: dict[int, Row]) -> None:
    """Table and archive together hold the journal's rows, each once."""
    scene.before = Counter(journal.values())
    scene.assert_nothing_lost()


@dataclass
class Application(threading.Thread):
    """Updates, inserts and deletes rows one by one, and remembers what the database said it did.

    Attributes:
        ids: the rows that it works on, and where its new ids begin: two applications must not share any.
        journal: the rows as they were last committed.
        done: how often each kind of write took hold; `too late`: its row was gone.
    """

    scene: Scene
    seed: int
    ids: range
    journal: dict[int, Row]
    done: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        chance = random.Random(self.seed)
        with contextlib.closing(connect(self.scene.url)) as self.connection:
            while not self.stop.is_set():
                kind = chance.choice(("content", "younger", "older", "insert", "delete"))
                moment = CUTOFF_US + (-1 if kind in ("older", "insert") else 1) * chance.randrange(4 * DAY_US)
                self.write(kind, chance.choice(self.ids), moment)

    def write(self, kind: str, id_: int, moment: int) -> None:
        if kind == "insert":
            id_ = self.ids.stop + 10_000 * (self.seed + 1) + self.done[kind]
            row = (id_, f"inserted {id_} 새 행", moment)
            sql = f"INSERT INTO {TABLE} VALUES (:id, :payload, {MOMENT}) RETURNING id"
        elif kind == "delete":
            row, sql = (id_, "", 0), f"DELETE FROM {TABLE} WHERE id = :id RETURNING id"
        else:
            moment = self.journal.get(id_, (0, "", 0))[2] if kind == "content" else moment
            row = (id_, f"{kind} {sum(self.done.values())}", moment)
            sql = f"UPDATE {TABLE} SET payload = :payload, created_at = {MOMENT} WHERE id = :id RETURNING id"
        parameters = {"id": id_, "payload": row[1], "moment": row[2]}
        if not self.connection.run(sql, **{name: value for name, value in parameters.items() if f":{name}" in sql}):
            self.done["too late"] += 1
            return
        self.done[kind] += 1
        if kind == "delete":
            del self.journal[id_]
        else:
            self.journal[id_] = row


@pytest.mark.fast_cases("by place")
@pytest.mark.parametrize("indexed", [False, True], ids=["by place", "by time"])
def test_an_application_at_work(scene: Scene, indexed: bool) -> None:
    scene.fill(6000, indexed=indexed)
    rows = {row[0]: row for row in scene.before}
    ranges = (range(1, 3001), range(3001, 6001))
    writers = [Application(scene, seed, ids, {id_: rows[id_] for id_ in ids}) for seed, ids in enumerate(ranges)]
    child = scene.child({"CLEANUP_LOCK_TIMEOUT": "30"}, hold_at=ProgressStep.PLANNED)
    child.await_step(ProgressStep.PLANNED)
    for writer in writers:
        writer.start()
    child.resume()
    status = child.wait()
    for writer in writers:
        writer.stop.set()
        writer.join()
    assert status == 0, child.log
    done = sum((writer.done for writer in writers), Counter[str]())
    assert min(done[kind] for kind in ("content", "younger", "older", "insert", "delete", "too late")) > 0, done
    journal = {**writers[0].journal, **writers[1].journal}
    assert_as_written(scene, journal)
    scene.converge()


@pytest.mark.fast_cases("by place")
@pytest.mark.parametrize("indexed", [False, True], ids=["by place", "by time"])
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"UPDATE {TABLE} SET payload = 'changed' WHERE id = 777", "changed"),
        (
            f"UPDATE {TABLE} SET payload = 'younger', created_at = to_timestamp({CUTOFF_US} / 1e6) WHERE id = 777",
            "younger",
        ),
        (f"DELETE FROM {TABLE} WHERE id = 777", None),
    ],
    ids=["content", "timestamp", "delete"],
)
def test_a_write_that_the_delete_waits_for(scene: Scene, sql: str, expected: str | None, indexed: bool) -> None:
    """The row was due when the statement began and is another, or none, once its writer commits."""
    scene.fill(indexed=indexed)
    journal = {row[0]: row for row in scene.before}
    with contextlib.closing(connect(scene.url)) as writer:
        writer.run("BEGIN")
        writer.run(sql)
        child = scene.child({"CLEANUP_LOCK_TIMEOUT": "300"})
        scene.await_value(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", True)
        writer.run("COMMIT")
    assert child.wait() == 0, child.log
    old = journal.pop(777)
    if expected is not None:
        journal[777] = (777, expected, CUTOFF_US if expected == "younger" else old[2])
    assert_as_written(scene, journal)
    scene.converge()


def test_rows_that_become_due_behind_the_run(scene: Scene) -> None:
    """Inserted or made older where the run has been already: they stay for the next run, and the report names them."""
    scene.fill()
    journal = {row[0]: row for row in scene.before}
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.COMMITTED, occurrence=3)
    child.await_step(ProgressStep.COMMITTED, 3)
    scene.sql(f"UPDATE {TABLE} SET payload = 'older', created_at = to_timestamp(86400) WHERE id = 3000")
    scene.sql(f"INSERT INTO {TABLE} VALUES (9000, 'late', to_timestamp(0))")
    child.resume()
    assert child.wait() == 0, child.log
    journal |= {3000: (3000, "older", DAY_US), 9000: (9000, "late", 0)}
    assert_as_written(scene, journal)
    assert child.answer is not None
    left = [row[2] for row in rows_in_table(scene.url, TABLE) if row[2] < CUTOFF_US]
    stated = child.answer["tables"][0]["oldest_overdue"]
    assert (stated and int(datetime.fromisoformat(stated).timestamp() * 1e6)) == min(left, default=None)
    scene.converge()
