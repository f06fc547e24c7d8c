"""`nightshift backups` and `nightshift restore-backup`: with S3 and a new database, whatever became of the old one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.cli.failures import ExitCode
from tests.backup.restore.vault import NAME, Vault, vault
from tests.cli.command import nightshift, process, terminal
from tests.support.handler import run_job

__all__ = ["vault"]

GONE = "postgresql://postgres:old-secret@127.0.0.1:1/gone"


@pytest.fixture
def lost(vault: Vault, postgres: EmbeddedPostgres) -> Iterator[Vault]:
    """A deployment with one backup, whose database cannot be reached any more."""
    vault.sql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1234)")
    vault.sql("CREATE SCHEMA app; CREATE TABLE app.small (b text); INSERT INTO app.small VALUES ('x')")
    vault.save()
    before = dict(vault.env)
    vault.env.update(DATABASE_URL=GONE, RESTORE_DATABASE_URL=vault.target)
    yield vault
    vault.env.clear()
    vault.env.update(before)


def test_the_list(lost: Vault) -> None:
    said = nightshift(lost.house, "backups")

    assert (said.code, said.stderr) == (0, "")
    assert f"s3://{lost.house.bucket}/backup" in said.stdout
    (line,) = (line for line in said.stdout.splitlines() if line.startswith(NAME))
    assert re.fullmatch(rf"{NAME}\s+good\s+-\s+-\s+\d+\s+1,2\d\d\s+[\d.]+ KB\s*", line)


@pytest.mark.slow
def test_the_list_as_json(lost: Vault) -> None:
    lost.env["DATABASE_URL"] = lost.house.url
    run_job("rehearse", lost.env, {})
    lost.env["DATABASE_URL"] = GONE

    (one,) = process(lost.house, "backups", "--json").json["backups"]

    assert (one["name"], one["state"], one["proven"], one["reasons"]) == (NAME, "good", True, [])
    assert one["rows"] >= 1235


@pytest.mark.slow
def test_a_pin(lost: Vault) -> None:
    ahead = datetime.now(UTC).date() + timedelta(days=30)
    said = nightshift(lost.house, "backups", "pin", NAME, "--until", ahead.isoformat(), "--reason", "마이그레이션 전")
    assert (said.code, said.stdout) == (0, f"{NAME} is kept until {ahead}, that day included\n")

    shown = nightshift(lost.house, "backups").stdout
    end = f"{ahead + timedelta(days=1)}T00:00:00+09:00"
    assert re.search(rf"^{NAME}\s+good\s+-\s+until {re.escape(end)}\s", shown, re.MULTILINE)
    assert "마이그레이션 전" in shown
    (one,) = process(lost.house, "backups", "--json").json["backups"]
    assert one["pinned"] is True and datetime.fromisoformat(one["pinned_until"]) == datetime.fromisoformat(end)

    assert process(lost.house, "backups", "unpin", NAME, "--json").json == {
        "name": NAME,
        "pinned": False,
        "was_pinned": True,
    }
    assert nightshift(lost.house, "backups", "unpin", NAME).stdout == f"{NAME} was not pinned\n"
    assert nightshift(lost.house, "backups", "pin", NAME).stdout == f"{NAME} is kept without an end\n"
    assert re.search(rf"^{NAME}\s+good\s+-\s+yes\s", nightshift(lost.house, "backups").stdout, re.MULTILINE)


@pytest.mark.fast_cases("arguments0", "arguments3")
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("pin", "backup_1999_01_01_0000"), ExitCode.FAILED, "there is no backup backup_1999_01_01_0000"),
        (("unpin", "../x"), ExitCode.FAILED, "there is no backup"),
        (("pin", NAME, "--until", "2020-01-01"), ExitCode.USAGE, "2020-01-01 is over"),
        (("pin", NAME, "--until", "tomorrow"), ExitCode.USAGE, "'tomorrow' is no day"),
        (("pin",), ExitCode.USAGE, "NAME"),
        (("--deep", "pin", NAME), ExitCode.USAGE, "options go behind pin"),
    ],
)
def test_a_pin_that_cannot_be_meant(lost: Vault, arguments: tuple[str, ...], code: ExitCode, told: str) -> None:
    said = nightshift(lost.house, "backups", *arguments)

    assert (said.code, said.stdout) == (code, "") and told in said.stderr
    assert not [key for key in lost.house.s3.keys(lost.house.bucket) if "pinned" in key]


@pytest.mark.parametrize("deep", [False, True])
def test_a_damaged_one_is_never_called_good(lost: Vault, deep: bool) -> None:
    (entry,) = (entry for entry in lost.manifest()["tables"] if entry["name"] == "t")
    key = entry["parts"][0]["key"]
    body = lost.object(key)
    lost.put(key, body[:-1] + (bytes([body[-1] ^ 1]) if deep else b""))

    said = nightshift(lost.house, "backups", *(["--deep"] if deep else []))

    assert said.code == ExitCode.PARTIAL
    assert re.search(rf"^{NAME}\s+damaged", said.stdout, re.MULTILINE) and key in said.stdout
    assert not re.search(r"^backup_\S+\s+good", said.stdout, re.MULTILINE)


def test_no_backup(vault: Vault) -> None:
    assert "there is no backup" in nightshift(vault.house, "backups").stdout


def test_no_bucket(vault: Vault) -> None:
    del vault.env["ARCHIVE_BUCKET"]

    said = nightshift(vault.house, "backups")

    assert (said.code, said.stdout) == (ExitCode.USAGE, "") and "BACKUP_BUCKET" in said.stderr


def test_a_restore(lost: Vault) -> None:
    said = nightshift(lost.house, "restore-backup", "newest")

    assert (said.code, said.stderr) == (0, "")
    assert said.stdout.startswith(f"{NAME}: restored; all of it is as it was saved")
    assert len(lost.rows(lost.target)["public.t"]) == 1234
    assert "old-secret" not in said.stdout


@pytest.mark.slow
def test_a_restore_as_json(lost: Vault) -> None:
    said = process(lost.house, "restore-backup", NAME, "--json")

    assert (said.code, said.json["status"], said.json["differences"]) == (0, "ok", [])
    assert said.json["by_table"]["public.t"] == 1234


@pytest.mark.slow
def test_progress_on_a_terminal(lost: Vault) -> None:
    shown = terminal(lost.house, "restore-backup", NAME)

    assert shown.code == 0 and "restored; all of it" in shown.screen


def test_a_dry_run(lost: Vault) -> None:
    said = nightshift(lost.house, "restore-backup", NAME, "--dry-run")

    assert said.code == 0 and "nothing was written" in said.stdout
    assert lost.is_empty(lost.target)


def test_one_table_by_a_variable_of_ones_own(lost: Vault) -> None:
    lost.env["STAGING"] = lost.env.pop("RESTORE_DATABASE_URL")

    said = nightshift(lost.house, "restore-backup", NAME, "--into", "STAGING", "--table", "app.small")

    assert said.code == 0 and "without indexes" in said.stdout
    assert lost.rows(lost.target) == {"app.small": ["(x)"]}


def test_a_refusal(lost: Vault) -> None:
    lost.postgres.execute("CREATE TABLE mine (a int)", lost.target.rpartition("/")[2])

    said = nightshift(lost.house, "restore-backup", NAME)

    assert said.code == ExitCode.REFUSED
    assert "refused, nothing was touched" in said.stdout and "table public.mine" in said.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--into", "NOT_SET_ANYWHERE"), ("--into", "postgresql://me:secret-word@h/d")],
)
def test_a_target_that_is_not_understood(lost: Vault, arguments: tuple[str, ...]) -> None:
    said = nightshift(lost.house, "restore-backup", NAME, *arguments)

    assert (said.code, said.stdout) == (ExitCode.USAGE, "")
    assert "secret-word" not in said.stderr


def test_a_backup_that_is_not_there(lost: Vault) -> None:
    said = nightshift(lost.house, "restore-backup", "backup_1999_01_01_0000")

    assert said.code == ExitCode.FAILED and "there is no backup" in said.stderr
    assert lost.is_empty(lost.target)
