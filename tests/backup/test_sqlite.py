"""A SQLite file, whole and of one moment, whatever writers do meanwhile."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nightshift.errors import DatabaseUnavailable, InvalidSettings, NightshiftError
from tests.support import s3_faults as faults
from tests.support.backups import NAME, BackupHouse
from tests.support.handler import Context
from tests.support.s3_proxy import S3Proxy


def path_of(backups: BackupHouse) -> str:
    return backups.url.removeprefix("sqlite:///")


def brought_back(backups: BackupHouse) -> sqlite3.Connection:
    """The copy, put together from its parts."""
    (entry,) = backups.manifest().tables
    body = b"".join(backups.store.get_object(f"backup/{NAME}/{part.key}") for part in entry.parts)
    assert hashlib.sha256(body).hexdigest() == entry.digest
    target = backups.directory / "back.db"
    target.write_bytes(body)
    connection = sqlite3.connect(target)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return connection


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_writers_do_not_tear_it(sqlite_backups: BackupHouse, journal: str) -> None:
    """Money goes from one table to another all the time; the sum never changes."""
    path, stop, written = path_of(sqlite_backups), threading.Event(), threading.Event()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for table in ("a", "b"):
            connection.execute(f"CREATE TABLE {table} (balance INTEGER, padding TEXT)")
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(100, "x" * 500)] * 2000)
        connection.commit()

    def work() -> None:
        with closing(sqlite3.connect(path, timeout=60)) as writer:
            while not stop.is_set():
                with writer:
                    writer.execute("UPDATE a SET balance = balance - 1 WHERE rowid % 7 = 0")
                    writer.execute("UPDATE b SET balance = balance + 1 WHERE rowid % 7 = 0")
                written.set()
                stop.wait(0.005)  # SQLite's locks are not fair: without a pause nobody else would get one

    thread = threading.Thread(target=work)
    thread.start()
    written.wait()
    answer = sqlite_backups.run()
    stop.set()
    thread.join()
    assert (answer["status"], answer["groups"]) == ("ok", 1)
    with closing(brought_back(sqlite_backups)) as back:
        ((total,),) = back.execute("SELECT sum(balance) FROM (SELECT balance FROM a UNION ALL SELECT balance FROM b)")
        ((moved,),) = back.execute("SELECT sum(balance) < 200000 FROM a")
    assert (total, moved) == (400_000, 1)
    sqlite_backups.assert_tidy()


def test_pieces(sqlite_backups: BackupHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightshift.backup.sqlite.PIECE_BYTES", 10_000)
    sqlite_backups.sql('CREATE TABLE "odd ""name" (body TEXT)')
    sqlite_backups.sql("INSERT INTO \"odd \"\"name\" VALUES (printf('%.*c', 50000, 'x')), (NULL)")
    answer = sqlite_backups.run()
    (entry,) = sqlite_backups.manifest().tables
    assert len(entry.parts) > 5
    assert answer["rows"] == entry.rows >= 2
    with closing(brought_back(sqlite_backups)) as back:
        assert back.execute('SELECT length(body) FROM "odd ""name"').fetchall() == [(50_000,), (None,)]
    assert sqlite_backups.run()["already"]


def test_s3_refuses(sqlite_backups: BackupHouse, proxy: S3Proxy) -> None:
    sqlite_backups.sql("CREATE TABLE t (a)")
    lost = proxy.inject(faults.store_then_disconnect(), method="PUT", target="manifest.json")
    assert sqlite_backups.run_with({"AWS_ENDPOINT_URL": proxy.endpoint})["status"] == "ok"
    assert lost.fired == 1
    sqlite_backups.assert_tidy()


def test_a_damaged_file_is_named(sqlite_backups: BackupHouse) -> None:
    """Saved as it is, for whatever can be had of it; and not passed over in silence."""
    sqlite_backups.sql("CREATE TABLE t (a)")
    sqlite_backups.sql("INSERT INTO t VALUES (printf('%.*c', 20000, 'x'))")
    sqlite_backups.sql("CREATE INDEX i ON t (a)")
    sqlite_backups.run(dry_run=True)
    path = Path(path_of(sqlite_backups))
    body = bytearray(path.read_bytes())
    body[-4096:] = b"\\xff" * 4096
    path.write_bytes(body)
    answer = sqlite_backups.run()
    assert answer["missing"] == ["whatever SQLite cannot read of it: the file is damaged"]


def test_rows_cannot_be_left_out(sqlite_backups: BackupHouse) -> None:
    sqlite_backups.sql("CREATE TABLE t (a)")
    with pytest.raises(InvalidSettings, match="BACKUP_EXCLUDE_ROWS is for PostgreSQL") as raised:
        sqlite_backups.run_with({"BACKUP_EXCLUDE_ROWS": "t"})
    assert raised.value.hint == "unset it: a SQLite file is saved whole"


def test_the_time_is_over_before_the_file_is_saved(sqlite_backups: BackupHouse) -> None:
    sqlite_backups.sql("CREATE TABLE t (a)")
    with pytest.raises(NightshiftError, match="the file is too large for one run") as raised:
        sqlite_backups.run(Context(seconds=0))
    assert "back it up from the host itself" in str(raised.value.hint)
    assert sqlite_backups.run()["status"] == "ok"


def test_no_such_file(sqlite_backups: BackupHouse) -> None:
    Path(path_of(sqlite_backups)).unlink()
    with pytest.raises(DatabaseUnavailable):
        sqlite_backups.run()
