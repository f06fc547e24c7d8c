"""Links in a log directory are not followed, and are named where their files are not listed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.logs.conftest import Shelf
from tests.logs.test_files import contents, save, write


def test_links_are_told_where_their_files_are_not_listed(shelf: Shelf, tmp_path: Path) -> None:
    """As of containers: the directory holds links to files elsewhere, and nothing else."""
    directory = tmp_path / "logs"
    (directory / "day").mkdir(parents=True)
    write(directory / "day" / "app-1.log", b"a\n")
    (directory / "current.log").symlink_to("day/app-1.log")
    (directory / "today").symlink_to("day")
    assert save(shelf, directory).missing == ()

    elsewhere = tmp_path / "pods"
    elsewhere.mkdir()
    for number in range(7):
        write(elsewhere / f"{number}.log", b"b\n")
        (directory / f"{number}.log").symlink_to(elsewhere / f"{number}.log")
    saved = save(shelf, directory)
    assert contents(shelf, saved) == {"day/app-1.log": b"a\n"}
    assert len(saved.missing) == 6
    assert saved.missing[0] == (
        f"log file 0.log: it is a link to {elsewhere}/0.log, and links are not followed:"
        " name the directory that holds the files"
    )
    assert saved.missing[5] == "log file .: 2 further links are not followed"


def test_links_and_pipes_are_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    """A link may lead anywhere, and a pipe would hold the run for ever."""
    directory = tmp_path / "logs"
    directory.mkdir()
    write(tmp_path / "secret", b"secret\n")
    (directory / "link.log").symlink_to(tmp_path / "secret")
    (directory / "below").symlink_to(tmp_path)
    os.mkfifo(directory / "pipe")
    write(directory / "a.log", b"a\n")
    saved = save(shelf, directory)
    assert contents(shelf, saved) == {"a.log": b"a\n"}
    assert [one.partition(": it is a link to ")[0] for one in saved.missing] == ["log file below", "log file link.log"]
