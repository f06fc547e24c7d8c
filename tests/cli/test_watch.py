"""What an operator sees of a command while it runs, and the time that it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.chatlog import create_conversation_log
from local.postgres import EmbeddedPostgres
from nightshift.cli.failures import ExitCode
from tests.backup.restore.vault import AS_OF, NAME, Vault, vault
from tests.cli.command import nightshift, process
from tests.cli.test_restore import END, TABLE
from tests.support.handler import run_job
from tests.support.house import House
from tests.support.s3_faults import delay
from tests.support.s3_proxy import S3Proxy

__all__ = ["vault"]

SECONDS = 3
"""That a command is given, and that S3 takes a little longer than for its first answer."""


@pytest.fixture
def proxy(house: House) -> Iterator[S3Proxy]:
    """Stands before S3 for a deployment's commands."""
    with S3Proxy(house.s3.endpoint) as running:
        house.env["AWS_ENDPOINT_URL"] = running.endpoint
        yield running


@pytest.fixture
def archived(house: House) -> House:
    """Half of a chat log in the archive, an object for each day."""
    create_conversation_log(house.url, 300, days=60, end=END)
    house.run()
    return house


@pytest.fixture
def saved(vault: Vault) -> Vault:
    """A deployment with a backup of three tables."""
    for number in range(3):
        vault.sql(f"CREATE TABLE t{number} AS SELECT generate_series(1, 400) AS a")
    vault.save()
    vault.env["RESTORE_DATABASE_URL"] = vault.target
    return vault


def slow(proxy: S3Proxy, method: str, target: str) -> None:
    proxy.inject(delay(SECONDS + 0.5), method=method, target=target)


@pytest.mark.slow
def test_a_restore_ends_when_it_is_told_to(archived: House, proxy: S3Proxy) -> None:
    slow(proxy, "GET", ".parquet")

    said = process(archived, "restore", TABLE, "--timeout", str(SECONDS), "--json")

    assert (said.code, said.json["status"], said.json["complete"]) == (ExitCode.PARTIAL, "partial", False), said
    assert (
        "--timeout" not in str(archived.slack.messages[-1].seen) and "요청 ID" not in archived.slack.messages[-1].seen
    )
    again = process(archived, "restore", TABLE, "--json").json
    assert (again["status"], again["complete"]) == ("ok", True)
    assert archived.value(f"SELECT count(*) FROM {TABLE}_restored") == sum(e["row_count"] for e in archived.ledger())


@pytest.mark.slow
def test_a_restore_of_a_backup_ends_when_it_is_told_to(saved: Vault, proxy: S3Proxy) -> None:
    slow(proxy, "GET", "/data/")

    said = process(saved.house, "restore-backup", NAME, "--timeout", str(SECONDS))

    assert said.code == ExitCode.PARTIAL, said
    assert re.search(r"time was over: \d tables? did not come back, drop the database and begin again", said.stdout)
    saved.postgres.drop_database(saved.target.rpartition("/")[2])
    saved.postgres.create_database(saved.target.rpartition("/")[2])
    assert process(saved.house, "restore-backup", NAME).code == 0


@pytest.mark.slow
def test_a_restore_of_a_file_ends_when_it_is_told_to(sqlite_house: House, tmp_path: Path) -> None:
    sqlite_house.sql("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    run_job("backup", sqlite_house.env, {"scheduled_time": AS_OF})
    there = tmp_path / "new.db"
    sqlite_house.env["RESTORE_DATABASE_URL"] = f"sqlite:///{there}"
    with S3Proxy(sqlite_house.s3.endpoint) as proxy:
        env = {**sqlite_house.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        proxy.inject(delay(SECONDS + 0.5), method="GET", target="list-type")
        said = process(env, "restore-backup", NAME, "--timeout", str(SECONDS), "--json")

    assert (said.code, said.json["status"], said.json["left_tables"]) == (ExitCode.PARTIAL, "partial", 1), said
    assert not there.exists() and not list(tmp_path.glob(".nightshift-*"))
    assert process(sqlite_house, "restore-backup", NAME).code == 0 and there.exists()


def test_a_job_ends_when_it_is_told_to(house: House, proxy: S3Proxy) -> None:
    create_conversation_log(house.url, 300, days=60, end=END)
    house.env |= {"CLEANUP_WORKERS": "1", "CLEANUP_MAX_SHARE": "1"}
    slow(proxy, "PUT", ".parquet")

    said = process(house, "invoke", "cleanup", "--timeout", str(SECONDS), "--json")

    assert (said.code, said.json["status"], said.json["complete"]) == (ExitCode.PARTIAL, "partial", False), said
    assert process(house, "invoke", "cleanup", "--json").json["complete"] is True


@pytest.mark.parametrize("command", ["restore", "restore-backup", "invoke"])
@pytest.mark.parametrize("given", ["0", "-5", "soon", "1.5"])
def test_a_time_that_is_none(house: House, command: str, given: str) -> None:
    said = nightshift(house, command, "cleanup" if command == "invoke" else "x", "--timeout", given)

    assert (said.code, said.stdout) == (ExitCode.USAGE, "") and "--timeout" in said.stderr
    assert house.slack.messages == []


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of life every few milliseconds."""
    monkeypatch.setattr("nightshift.cli.progress.EVERY_S", 0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_a_pipe_hears_how_many_rows_are_in(archived: House, proxy: S3Proxy) -> None:
    proxy.inject(delay(0.2), method="GET", target=".parquet", skip=2)
    rows = sum(entry["row_count"] for entry in archived.ledger())

    said = nightshift(archived, "restore", TABLE, "--json")

    assert said.json["restored_rows"] == rows
    (*_, last) = said.stderr.splitlines()
    assert re.fullmatch(rf"restoring: [1-9]\d* of {rows:,} rows after \d s", last), said.stderr


@pytest.mark.usefixtures("hurried")
def test_a_pipe_hears_how_much_of_a_backup_is_in(saved: Vault, proxy: S3Proxy, postgres: EmbeddedPostgres) -> None:
    said = nightshift(saved.house, "restore-backup", NAME, "--json")

    assert said.json["rows"] >= 1200
    lines = said.stderr.splitlines()
    assert lines[0] == "restoring: running for 0 s"
    assert re.fullmatch(r"restoring: 1,2\d\d of 1,2\d\d rows after \d s", lines[-1]), said.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("verify",), r"verifying: \d+ of \d+ objects after \d s"),
        (("backups", "--deep"), r"reading backups: running for \d s"),
        (("invoke", "cleanup"), r"cleanup: running for \d s; last: .+"),
    ],
)
def test_a_pipe_hears_that_it_is_alive(archived: House, proxy: S3Proxy, arguments: tuple[str, ...], line: str) -> None:
    run_job("backup", archived.env, {"scheduled_time": AS_OF})
    proxy.inject(delay(0.3), method="GET", target="")

    said = nightshift(archived, *arguments)

    assert said.code == 0 and any(re.fullmatch(line, one) for one in said.stderr.splitlines()), said.stderr
    assert not re.search(line, said.stdout)
