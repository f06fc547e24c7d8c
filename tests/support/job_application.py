"""The document service at work while its expired jobs are deleted: it takes orders, extends jobs, logs what it sends.

Each order's files are in S3 before its rows are committed, as an application does it that must not name a file which is
not there. What it was told is remembered: a job whose extension was committed must survive with everything.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

import pg8000.native

from local.chatlog import connect
from local.job_data import all_file_keys, job_id, put_files
from tests.support.expiring import AS_OF, JobScene

FAR = "2026-10-15T05:00:00Z"
"""When a job expires that was extended."""

_ORDER = """
INSERT INTO job SELECT md5('job ' || i)::uuid, 'customer', '010', 'done', now(),
    timestamptz '{expires_at}' - interval '1 second' * (i % 3600 + 1) FROM generate_series({first}, {last}) i;
WITH paid AS (INSERT INTO payment (job_id, order_number, method, amount, paid_at)
    SELECT md5('job ' || i)::uuid, 'ORD-' || i, 'card', 9900, now() FROM generate_series({first}, {last}) i
    RETURNING id)
    INSERT INTO payment_failure (payment_id, code, message) SELECT id, 'LIMIT_EXCEEDED', '' FROM paid;
INSERT INTO job_file (job_id, kind, bucket, s3_key, size)
    SELECT md5('job ' || i)::uuid, 'review', '{bucket}',
        'jobs/' || md5('job ' || i)::uuid || '/' || k || '-' || md5(i || '/' || k) || '.pdf', 1
    FROM generate_series({first}, {last}) i, generate_series(1, 4) k;
INSERT INTO sms_log (job_id, phone, message, sent_at)
    SELECT md5('job ' || i)::uuid, '', '', now() FROM generate_series({first}, {last}) i, generate_series(1, 2);
INSERT INTO phone_verification_attempt (job_id, phone, code_hash, attempted_at)
    SELECT md5('job ' || i)::uuid, '', '', now() FROM generate_series({first}, {last}) i;
INSERT INTO report SELECT md5('report ' || i)::uuid, md5('job ' || i)::uuid, '', ''
    FROM generate_series({first}, {last}) i;
INSERT INTO report_knowledge (report_id, source, excerpt)
    SELECT md5('report ' || i)::uuid, '', '' FROM generate_series({first}, {last}) i, generate_series(1, 2)
"""

_GONE = "23503"
"""SQLSTATE of a foreign key whose parent is not there."""


@dataclass
class Application(threading.Thread):
    """Works until it is told to stop; between two pieces of work it can be made to wait, by taking `turn`.

    Attributes:
        last: number of the newest job.
        done: how often it did what: `ordered`, `extended`, `too late` (the job was gone), `logged`, `refused` (a row
            for a job that was gone).
    """

    scene: JobScene
    seed: int
    last: int
    done: Counter[str] = field(default_factory=Counter)
    turn: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        chance = random.Random(self.seed)
        with contextlib.closing(connect(self.scene.url)) as connection:
            while not self.stop.wait(0.005):
                with self.turn:
                    number = chance.randrange(max(1, self.last - 300), self.last + 1)
                    what = chance.choices((self.order, self.extend, self.log), (1, 2, 10))[0]
                    what(connection, number)

    def order(self, connection: pg8000.native.Connection, _number: int) -> None:
        """A new job that has not expired."""
        self.place(connection, 1, expires_at=FAR)
        self.scene.kept.add(job_id(self.last))
        self.done["ordered"] += 1

    def extend(self, connection: pg8000.native.Connection, number: int) -> None:
        """A customer pays for another year, however late."""
        if connection.run(f"UPDATE job SET expires_at = '{FAR}' WHERE id = '{job_id(number)}' RETURNING id"):
            self.scene.kept.add(job_id(number))
            self.done["extended"] += 1
        else:
            self.done["too late"] += 1

    def log(self, connection: pg8000.native.Connection, number: int) -> None:
        """One more row that hangs on a job."""
        values = f"'{job_id(number)}', '010', 'late', now()"
        try:
            connection.run(f"INSERT INTO sms_log (job_id, phone, message, sent_at) VALUES ({values})")
        except pg8000.native.DatabaseError as exc:
            if exc.args[0].get("C") != _GONE:
                raise
            self.done["refused"] += 1
        else:
            self.done["logged"] += 1

    def place(self, connection: pg8000.native.Connection, count: int, expires_at: str = AS_OF) -> None:
        """Orders, in one transaction; by default they have expired already."""
        first, self.last = self.last + 1, self.last + count
        put_files(self.scene.s3.client(), self.scene.bucket, all_file_keys(range(first, self.last + 1)))
        connection.run(
            _ORDER.format(first=first, last=self.last, bucket=self.scene.bucket, expires_at=expires_at).strip()
        )
