"""One moment of all tables, whatever writers do meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from urllib.parse import urlsplit

import pg8000.native
import pytest

from nightshift.backup import snapshot
from nightshift.errors import NightshiftError
from nightshift.progress_events import ProgressStep
from nightshift.rows.row_connection import ConnectionLost, RowsLocked
from tests.support import s3_faults as faults
from tests.support.backups import BackupHouse, impatient_backup
from tests.support.s3_proxy import S3Proxy

ACCOUNTS = 4000
BALANCE = 100


def connect(backups: BackupHouse) -> pg8000.native.Connection:
    port = urlsplit(backups.url).port or 5432
    return pg8000.native.Connection("postgres", "127.0.0.1", backups.database, port, ssl_context=False)


class Transfers:
    """Clients that move money from one table to another, all the time; the sum never changes."""

    def __init__(self, backups: BackupHouse, clients: int) -> None:
        self.done = 0
        self._backups = backups
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(clients)]

    def __enter__(self) -> Transfers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        chance = Random(seed)
        connection = connect(self._backups)
        while not self._stop.is_set():
            tables = chance.sample(["left_bank", "right_bank"], 2)
            one, other = sorted(chance.sample(range(1, ACCOUNTS + 1), 2))
            amount = chance.randint(1, 50)
            connection.run("BEGIN")
            connection.run(f"UPDATE {tables[0]} SET balance = balance - {amount} WHERE id = {one}")
            connection.run(f"UPDATE {tables[1]} SET balance = balance + {amount} WHERE id = {other}")
            connection.run(f"INSERT INTO transfer (amount) VALUES ({amount})")
            try:
                connection.run("COMMIT")
            except pg8000.native.DatabaseError:
                connection.run("ROLLBACK")
            self.done += 1
        connection.close()


def test_writers_do_not_tear_it(backups: BackupHouse) -> None:
    for table in ("left_bank", "right_bank"):
        backups.sql(
            f"CREATE TABLE {table} (id int PRIMARY KEY, balance bigint NOT NULL, padding text NOT NULL DEFAULT"
            " repeat('x', 300)) WITH (fillfactor = 50)"
        )
        backups.sql(f"INSERT INTO {table} SELECT i, {BALANCE} FROM generate_series(1, {ACCOUNTS}) i")
    backups.sql("CREATE TABLE transfer (id bigserial PRIMARY KEY, amount int NOT NULL)")
    with Transfers(backups, 2) as transfers:
        child = backups.child(hold_at=ProgressStep.STREAMED)
        child.await_step(ProgressStep.STREAMED)
        before = transfers.done
        backups.await_value(f"SELECT count(*) > {before + 50} FROM transfer", True)
        child.resume()
        assert child.wait() == 0, child.log
    manifest = backups.manifest()
    entries = {entry.name: entry for entry in manifest.tables}
    saved = {name: backups.saved(entries[name]) for name in ("left_bank", "right_bank", "transfer")}
    total = sum(sum(saved[name].column("balance").to_pylist()) for name in ("left_bank", "right_bank"))
    assert total == 2 * ACCOUNTS * BALANCE
    assert all(len(set(saved[name].column("id").to_pylist())) == ACCOUNTS for name in ("left_bank", "right_bank"))
    assert backups.value("SELECT count(*) FROM transfer") >= entries["transfer"].rows + 50
    # The sequence stands no earlier than the rows: no value that the backup has is given again.
    (sequence,) = [one for one in manifest.sequences if one.name == "transfer_id_seq"]
    assert sequence.last_value >= max(saved["transfer"].column("id").to_pylist(), default=0)


@pytest.mark.parametrize("statement", ["TRUNCATE t0", "ALTER TABLE t0 ALTER id TYPE numeric"])
def test_what_would_empty_a_table_waits(backups: BackupHouse, statement: str) -> None:
    """Older moments do not see what TRUNCATE takes away, nor the rows of a table that was rewritten."""
    backups.fill()
    child = backups.child(hold_at=ProgressStep.PLANNED)
    child.await_step(ProgressStep.PLANNED)
    with pytest.raises(pg8000.native.DatabaseError, match="lock timeout"):
        backups.sql(f"SET lock_timeout = '50ms'; {statement}")
    child.resume()
    assert child.wait() == 0, child.log
    entry = backups.manifest().find_table("public.t0")
    assert entry is not None and entry.rows == 3000


def test_it_gives_way_to_who_would_alter_a_table(backups: BackupHouse) -> None:
    """He waits for us, and we for him: without an end, the application behind us."""
    backups.fill()
    child = backups.child(hold_at=ProgressStep.PLANNED, work=impatient_backup)
    child.await_step(ProgressStep.PLANNED)
    altering = threading.Thread(target=run_apart, args=(backups, "ALTER TABLE t0 ADD COLUMN more int"))
    altering.start()
    backups.await_value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("RowsLocked: somebody wants to alter"), child.error
    assert "public.t0" in child.error
    assert "the backup gave way, and is taken again by the next run" in child.error
    altering.join()
    assert backups.value("SELECT count(more) FROM t0") == 0
    assert backups.run()["status"] == "ok"
    backups.assert_tidy()


@pytest.mark.parametrize(
    ("statement", "error", "said", "hint"),
    [
        (
            "CREATE TABLE appeared (a int)",
            NightshiftError,
            "tables are made faster than they can be locked",
            "let BACKUP_SCHEMAS name the schemas in which this does not happen",
        ),
        (
            "BEGIN; LOCK TABLE pg_catalog.pg_depend IN ACCESS EXCLUSIVE MODE",
            RowsLocked,
            "a table is locked against everybody",
            "see pg_locks for who holds ACCESS EXCLUSIVE",
        ),
    ],
    ids=["a table that nobody has locked", "the catalogue, as by VACUUM FULL"],
)
def test_what_comes_between_the_locks_and_the_snapshot(
    backups: BackupHouse,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    error: type[NightshiftError],
    said: str,
    hint: str,
) -> None:
    """It is tried again, and given up at last."""
    backups.fill(1, 1)
    monkeypatch.setattr(snapshot, "ATTEMPTS", 1)
    monkeypatch.setattr("nightshift.database.connect.CONTROL_LOCK_TIMEOUT_S", 3)
    with closing(connect(backups)) as holder, closing(connect(backups)) as other:
        holder.run("BEGIN; LOCK TABLE t0 IN ACCESS EXCLUSIVE MODE")

        def come_between() -> None:
            while not holder.run("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0]:
                time.sleep(0.01)
            other.run(statement)
            holder.run("COMMIT")

        comer = threading.Thread(target=come_between)
        comer.start()
        with pytest.raises(error, match=said) as raised:
            backups.run()
        comer.join()
    assert hint in str(raised.value.hint)


def run_apart(backups: BackupHouse, statement: str) -> None:
    connection = connect(backups)
    connection.run(statement)
    connection.close()


@contextmanager
def held(backups: BackupHouse, statement: str) -> Iterator[None]:
    """A statement whose transaction stays open."""
    connection = connect(backups)
    connection.run("BEGIN")
    connection.run(statement)
    yield
    connection.run("ROLLBACK")
    connection.close()


def test_the_snapshots_own_connection_is_lost(backups: BackupHouse) -> None:
    """Its locks go with it: what was read after that may be anything, and is no backup."""
    backups.fill()
    child = backups.child(hold_at=ProgressStep.UPLOADED)
    child.await_step(ProgressStep.UPLOADED)
    assert backups.terminate("state = 'idle in transaction' AND backend_xmin IS NOT NULL") >= 1
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith(ConnectionLost.__name__), child.error
    assert [one.manifest for one in backups.backups()] == [None]
    backups.await_quiet()
    assert backups.run()["status"] == "ok"
    backups.assert_tidy()


@pytest.mark.usefixtures("small_packs")
def test_a_limit_for_transactions(backups: BackupHouse, proxy: S3Proxy) -> None:
    """What is a mercy for an application would end every backup of a large database."""
    if backups.value("SELECT current_setting('server_version_num')::int") < 170_000:
        pytest.skip("the server knows no transaction_timeout")
    backups.fill(2)
    backups.sql("ALTER ROLE postgres SET transaction_timeout = '400ms'")
    slow = proxy.inject(faults.delay(0.5), method="PUT", target=".zip", times=2)
    try:
        answer = backups.run_with({"AWS_ENDPOINT_URL": proxy.endpoint, "BACKUP_WORKERS": "1"})
    finally:
        backups.sql("ALTER ROLE postgres RESET transaction_timeout")
    assert (answer["status"], slow.fired) == ("ok", 2)
