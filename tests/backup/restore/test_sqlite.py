"""A backup of SQLite becomes a file again, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nightshift.errors import InvalidEvent, NightshiftError
from tests.backup.restore.vault import AS_OF, NAME, Vault
from tests.support.handler import run_job
from tests.support.house import House


@pytest.fixture
def saved(sqlite_house: House) -> House:
    sqlite_house.sql("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    sqlite_house.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO t SELECT i, randomblob(500) FROM n"
    )
    run_job("backup", sqlite_house.env, {"scheduled_time": AS_OF})
    return sqlite_house


def bring(house: House, path: Path, **event: Any) -> dict[str, Any]:
    env = {**house.env, "RESTORE_DATABASE_URL": f"sqlite:///{path}"}
    return run_job("restore_backup", env, {"backup": NAME, **event})


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM t ORDER BY a").fetchall()


def piece(house: House) -> str:
    """The key of an object of the database's file."""
    client = house.s3.client()
    manifest = json.loads(client.get_object(Bucket=house.bucket, Key=f"backup/{NAME}/manifest.json")["Body"].read())
    return f"backup/{NAME}/{manifest['tables'][0]['parts'][0]['key']}"


def test_the_file_comes_back(saved: House, tmp_path: Path) -> None:
    there = tmp_path / "new.db"

    answer = bring(saved, there)

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert rows(there) == saved.sql("SELECT * FROM t ORDER BY a")
    assert not list(tmp_path.glob(".nightshift-*"))


def test_a_file_that_exists_is_left_alone(saved: House, tmp_path: Path) -> None:
    there = tmp_path / "mine.db"
    there.write_bytes(b"mine")

    answer = bring(saved, there)

    assert (answer["status"], answer["refusal"]["hint"]) == ("refused", "name a file that does not")
    assert there.read_bytes() == b"mine"


def test_the_log_of_a_file_that_is_gone(saved: House, tmp_path: Path) -> None:
    """SQLite would take it for the new file's own, and put the lost database's pages into what came back."""
    there = tmp_path / "back.db"
    assert bring(saved, there)["status"] == "ok"
    before = rows(there)
    with closing(sqlite3.connect(there)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("UPDATE t SET b = 'after'")
        connection.commit()
        log = (tmp_path / "back.db-wal").read_bytes()
    there.unlink()
    (tmp_path / "back.db-wal").write_bytes(log)

    answer = bring(saved, there)

    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "not_empty")
    assert "back.db-wal" in answer["refusal"]["message"] and not there.exists()
    assert answer["refusal"]["hint"] == "move them away, or name another file"
    (tmp_path / "back.db-wal").unlink()
    assert bring(saved, there)["status"] == "ok"
    assert rows(there) == before


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_a_damaged_piece_makes_no_file(saved: House, tmp_path: Path, how: str) -> None:
    client, key = saved.s3.client(), piece(saved)
    if how == "missing":
        client.delete_object(Bucket=saved.bucket, Key=key)
    else:
        body = client.get_object(Bucket=saved.bucket, Key=key)["Body"].read()
        client.put_object(Bucket=saved.bucket, Key=key, Body=body[:-1] + bytes([body[-1] ^ 1]))

    with pytest.raises(NightshiftError, match="damaged") as raised:
        bring(saved, tmp_path / "new.db")

    assert key.rpartition("/")[2] in str(raised.value)
    assert "nightshift backups says which others there are" in str(raised.value.hint)
    assert not (tmp_path / "new.db").exists() and not list(tmp_path.glob(".nightshift-*"))


def test_a_rehearsal(saved: House) -> None:
    answer = run_job("rehearse", saved.env, {})

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    assert f"backup/{NAME}/proven.json" in saved.s3.keys(saved.bucket)


def test_into_the_other_kind(saved: House, database: str) -> None:
    """A backup of SQLite into PostgreSQL, whole and by table."""
    for event, hint in (({}, "restore it into a file: sqlite:///"), ({"table": "t"}, "copy the table from there")):
        answer = run_job("restore_backup", {**saved.env, "RESTORE_DATABASE_URL": database}, {"backup": NAME, **event})
        assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "other_kind")
        assert hint in answer["refusal"]["hint"]


def test_a_backup_of_postgresql_into_a_file(vault: Vault, tmp_path: Path) -> None:
    """One table of it is not had by restoring it whole into a file, either."""
    vault.sql("CREATE TABLE t (a int)")
    vault.save()
    for event in ({}, {"table": "t"}):
        answer = bring(vault.house, tmp_path / "new.db", **event)
        assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "other_kind")
        assert answer["refusal"]["hint"].startswith("restore it into a database: postgresql://")
    assert not list(tmp_path.glob("*.db"))


def test_a_directory_that_does_not_exist(saved: House, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for beside in ("nowhere", "file"):
        with pytest.raises(NightshiftError, match="the file cannot be written") as raised:
            bring(saved, tmp_path / beside / "new.db")
        assert f"{beside}/new.db: " in str(raised.value.detail)
        assert "its directory has to exist, with leave to write" in str(raised.value.hint)


def test_one_table_alone_is_not_put_into_a_file(saved: House, tmp_path: Path) -> None:
    with pytest.raises(InvalidEvent, match="one table alone cannot be restored into SQLite") as raised:
        bring(saved, tmp_path / "new.db", table="t")
    assert "copy the table from there" in str(raised.value.hint)
