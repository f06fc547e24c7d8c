"""The lock file beside an SQLite database: never written, and nothing that others put in its place is used."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nightshift.errors import DatabaseUnavailable
from tests.support.house import House

PRECIOUS = "somebody's letter"


def symbolic(lock: Path, precious: Path) -> None:
    lock.symlink_to(precious)


def dangling(lock: Path, precious: Path) -> None:
    precious.rename(lock.with_name("kept"))
    lock.symlink_to(precious)


def to_a_directory(lock: Path, precious: Path) -> None:
    lock.symlink_to(precious.parent)


def hard(lock: Path, precious: Path) -> None:
    lock.hardlink_to(precious)


def pipe(lock: Path, _precious: Path) -> None:
    os.mkfifo(lock)


def directory(lock: Path, _precious: Path) -> None:
    lock.mkdir()


def another_s(lock: Path, _precious: Path) -> None:
    lock.touch()
    os.chown(lock, 65534, 65534)


@pytest.mark.parametrize("plant", [symbolic, dangling, to_a_directory, hard, pipe, directory, another_s])
def test_what_others_have_put_there(sqlite_house: House, plant: Callable[[Path, Path], None]) -> None:
    if plant is another_s and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    precious = sqlite_house.directory / "letter"
    precious.write_text(PRECIOUS)
    lock = lock_of(sqlite_house)
    plant(lock, precious)

    with pytest.raises(DatabaseUnavailable, match="lock file") as raised:
        sqlite_house.run()

    assert str(lock) in str(raised.value.detail)
    assert raised.value.hint == "remove it, and let nobody else write to the directory"
    kept = precious if plant is not dangling else lock.with_name("kept")
    assert kept.read_text() == PRECIOUS and precious.exists() == (plant is not dangling)


def test_it_is_ours_alone_and_keeps_its_content(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, created_at text)")
    lock = lock_of(sqlite_house)

    assert sqlite_house.run()["status"] == "nothing"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    lock.write_text("a note")
    assert sqlite_house.run()["status"] == "nothing"
    assert lock.read_text() == "a note"


def lock_of(house: House) -> Path:
    return Path(house.url.removeprefix("sqlite:///") + ".nightshift-cleanup.lock")
