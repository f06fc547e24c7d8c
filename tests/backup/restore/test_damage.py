"""A backup that is not as it was written is refused by name, before anything is made of it wherever that can be."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing

import pytest

from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.requests import RestoreOptions
from nightshift.backup.restore import restore_backup
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import NightshiftError
from nightshift.results.common import RunStatus
from nightshift.store import ObjectStore
from tests.backup.restore.vault import NAME, NEXT, NEXT_NAME, Vault


@pytest.fixture
def saved(vault: Vault) -> Vault:
    """A backup with one table of rows."""
    vault.sql("CREATE TABLE t (a int, b text); INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 1000) n")
    vault.save()
    return vault


def part(vault: Vault) -> str:
    """The key of the table's one part."""
    (entry,) = (entry for entry in vault.manifest()["tables"] if entry["name"] == "t")
    (found,) = entry["parts"]
    return str(found["key"])


def flipped(body: bytes) -> bytes:
    """The same bytes but one, in the middle."""
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.mark.fast_cases("missing-schema", "cut-rows")
@pytest.mark.parametrize("which", ["rows", "schema"])
@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
def test_an_object_that_is_missing_or_cut(saved: Vault, which: str, how: str) -> None:
    key = part(saved) if which == "rows" else str(saved.manifest()["schema"]["dump"]["key"])
    body = saved.object(key)
    if how == "missing":
        saved.remove(key)
    else:
        saved.put(key, body[:-1] if how == "cut" else body + b"x")

    with pytest.raises(NightshiftError) as raised:
        saved.bring()

    assert key in str(raised.value) and NAME in str(raised.value)
    assert saved.is_empty(saved.target)
    assert NAME in saved.house.slack.messages[-1].seen or key in saved.house.slack.messages[-1].seen


def test_an_altered_schema(saved: Vault) -> None:
    key = str(saved.manifest()["schema"]["dump"]["key"])
    saved.put(key, flipped(saved.object(key)))

    with pytest.raises(NightshiftError, match="damaged") as raised:
        saved.bring()

    assert key in str(raised.value)
    assert saved.is_empty(saved.target)


def test_an_altered_part_gives_no_row(saved: Vault) -> None:
    key = part(saved)
    saved.put(key, flipped(saved.object(key)))

    with pytest.raises(NightshiftError, match="damaged") as raised:
        saved.bring()

    assert key in str(raised.value)
    assert saved.rows(saved.target)["public.t"] == []


@pytest.mark.fast_cases("another key", "altered", "missing")
@pytest.mark.parametrize("how", ["missing", "cut", "altered", "another key", "rows that do not add up", "another name"])
def test_the_manifest(saved: Vault, how: str) -> None:
    body = saved.object("manifest.json")
    facts = json.loads(body)
    if how == "missing":
        saved.remove("manifest.json")
    elif how == "cut":
        saved.put("manifest.json", body[:-10])
    elif how == "another key":
        saved.forge({**facts, "more": 1})
    elif how == "another name":
        saved.forge({**facts, "name": "backup_2020_01_01_0000"})
    elif how == "altered":
        saved.put("manifest.json", json.dumps({**facts, "missing": ["nothing at all"]}).encode())
    else:
        facts["tables"][-1]["rows"] += 1
        saved.forge(facts)

    with pytest.raises(NightshiftError, match=r"manifest|no backup"):
        saved.bring()
    with pytest.raises(NightshiftError, match="no good backup"):
        saved.bring(backup="newest")

    assert saved.is_empty(saved.target)


@pytest.mark.fast_cases("digest")
@pytest.mark.parametrize("what", ["digest", "sequence"])
def test_what_came_back_is_compared_with_what_was_saved(saved: Vault, what: str) -> None:
    """The parts are sound, and what the manifest says of the whole is not what comes of them."""
    saved.sql("CREATE SEQUENCE s")
    saved.save(NEXT)
    facts = saved.manifest(NEXT_NAME)
    if what == "digest":
        (entry,) = (entry for entry in facts["tables"] if entry["name"] == "t")
        entry["digest"] = "0" * 64
    else:
        facts["sequences"].append({"schema": "public", "name": "gone", "last_value": 1, "is_called": True})
    saved.forge(facts, NEXT_NAME)

    answer = saved.bring(backup=NEXT_NAME)

    assert (answer["status"], answer["complete"]) == ("partial", False)
    (difference,) = answer["differences"]
    assert ("public.t" if what == "digest" else "sequence public.gone") in difference


@pytest.mark.slow
def test_time_that_is_over_is_told_and_nothing_passes_for_whole(saved: Vault) -> None:
    """The first table is in when the last moment comes."""
    saved.sql("CREATE TABLE more (a int); INSERT INTO more VALUES (1)")
    saved.save(NEXT)
    backup = OpenedBackup.open_named(ObjectStore(saved.house.s3.client, saved.house.bucket), "backup", NEXT_NAME)
    deadline = time.monotonic() + 4
    database = Database(parse_database_url(saved.target), deadline=deadline)
    over, heard = threading.Event(), []

    def told(label: str, _rows: int) -> None:
        heard.append(label)
        while time.monotonic() < deadline:
            over.wait(deadline - time.monotonic())

    with closing(database):
        result = restore_backup(backup, database, RestoreOptions(workers=1, listener=told))

    assert (result.status, result.complete) == (RunStatus.PARTIAL, False)
    assert result.left_tables == len([table for table in saved.manifest(NEXT_NAME)["tables"] if table["rows"]]) - 1
    assert len(heard) == 1
    assert not any(rows for table, rows in saved.rows(saved.target).items() if table != heard[0])
