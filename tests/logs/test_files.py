"""A directory of log files: every byte that was there when the run began, and by name whatever was not to be had."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightshift.logs import files
from nightshift.logs.files import FileExportResult, save_directory
from nightshift.logs.log_uploader import SavedPart
from tests.logs.conftest import Shelf

DAY = 1_760_886_000_000
LINES = [b"one\n", b"two \xff\xfe\r\n", b"\n", b"three"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "logs"
    place.mkdir()
    return place


def write(path: Path, content: bytes, *, at_ms: int = DAY) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(at_ms * 1_000_000, at_ms * 1_000_000))
    return content


def save(shelf: Shelf, directory: Path, *, since_ms: int = DAY, seconds: float = 60) -> FileExportResult:
    return save_directory(shelf.sink, str(directory), since_ms=since_ms, deadline=time.monotonic() + seconds)


def contents(shelf: Shelf, saved: FileExportResult) -> dict[str, bytes]:
    """The files, put together from their lines as a reader would; each is what the list of files says."""
    *lines, listing = saved.parts
    found: dict[str, bytes] = {}
    for row in shelf.rows(lines):
        assert row["position"] == len(found.get(row["path"], b""))
        found[row["path"]] = found.get(row["path"], b"") + row["content"]
    about = {row["path"]: row for row in shelf.rows([listing])}
    assert found.keys() <= about.keys()
    for path, row in about.items():
        content = found.setdefault(path, b"")
        assert (row["size"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (
        sum(row["lines"] for row in about.values())
        == sum(file.lines for file in saved.files)
        == sum(part.rows for part in lines)
    )
    return found


def during_the_first_write(monkeypatch: pytest.MonkeyPatch, shelf: Shelf, hook: Callable[[], None]) -> list[None]:
    """Call `hook` when the first part is about to be written: the listing is made, later files are not read yet."""
    happened: list[None] = []
    write_part = type(shelf.sink).upload_part

    def hooked(*args: Any) -> SavedPart:
        if not happened:
            happened.append(None)
            hook()
        return write_part(*args)

    monkeypatch.setattr(type(shelf.sink), "upload_part", hooked)
    return happened


def test_every_byte_of_every_file(shelf: Shelf, directory: Path) -> None:
    expected = {
        "app.log": write(directory / "app.log", b"".join(LINES)),
        "app.log.1": write(directory / "app.log.1", b"x\n" * 25_000),
        "nginx/access.log": write(directory / "nginx" / "access.log", b"GET /\n"),
        "empty.log": write(directory / "empty.log", b""),
    }
    packed = b"packed\n" * 3
    write(directory / "app.log.2.gz", gzip.compress(packed) + gzip.compress(b"second member\n"))

    saved = save(shelf, directory)

    assert contents(shelf, saved) == {**expected, "app.log.2.gz": packed + b"second member\n"}
    assert saved.missing == ()
    assert [(file.path, file.gzip) for file in saved.files] == [
        ("app.log", False),
        ("app.log.1", False),
        ("app.log.2.gz", True),
        ("empty.log", False),
        ("nginx/access.log", False),
    ]
    rows = [row for row in shelf.rows(saved.parts[:-1]) if row["path"] == "app.log"]
    assert [(row["line"], row["content"]) for row in rows] == list(enumerate(LINES, start=1))


def test_files_of_earlier_days_are_in_earlier_backups(shelf: Shelf, directory: Path) -> None:
    write(directory / "old.log", b"old\n", at_ms=DAY - 1)
    write(directory / "new.log", b"new\n")
    assert contents(shelf, save(shelf, directory)) == {"new.log": b"new\n"}


def test_an_empty_or_absent_directory(shelf: Shelf, directory: Path) -> None:
    assert save(shelf, directory) == FileExportResult()
    gone = directory / "gone"
    assert save(shelf, gone).missing == (f"log directory {gone}: there is none",)


def test_parts_are_bounded_and_so_are_lines(
    make_shelf: Callable[[int], Shelf], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    shelf = make_shelf(20_000)
    expected = {
        "long.log": write(directory / "long.log", b"l" * 12_345 + b"\nshort\n"),
        "many.log": write(directory / "many.log", b"".join(b"%d\n" % n for n in range(2000))),
    }
    saved = save(shelf, directory)
    assert contents(shelf, saved) == expected
    assert len(saved.parts) > 5
    assert max(len(row["content"]) for row in shelf.rows(saved.parts[:-1])) == 1000


def test_a_growing_file_is_saved_as_it_was_at_the_start(
    make_shelf: Callable[[int], Shelf], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf(1)
    write(directory / "a.log", b"first\n")
    before = write(directory / "b.log", b"before\nhalf a li")

    def grow() -> None:
        with (directory / "b.log").open("ab") as stream:
            stream.write(b"ne\nafter\n")

    grown = during_the_first_write(monkeypatch, shelf, grow)
    saved = save(shelf, directory)
    assert grown and contents(shelf, saved) == {"a.log": b"first\n", "b.log": before} and saved.missing == ()


def test_a_file_that_is_rotated_meanwhile_is_found_by_its_inode(
    make_shelf: Callable[[int], Shelf], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf(1)
    write(directory / "a.log", b"first\n")
    rotated = write(directory / "b.log", b"rotated\n")

    def rotate() -> None:
        (directory / "b.log").rename(directory / "b.log.1")
        write(directory / "b.log", b"tomorrow's\n")

    happened = during_the_first_write(monkeypatch, shelf, rotate)
    saved = save(shelf, directory)
    assert happened and contents(shelf, saved) == {"a.log": b"first\n", "b.log": rotated} and saved.missing == ()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_takes_a_file_s_place_neither_leads_nor_holds_us_elsewhere(
    make_shelf: Callable[[int], Shelf], directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    shelf = make_shelf(1)
    write(tmp_path / "secret", b"secret\n")
    write(directory / "a.log", b"first\n")
    write(directory / "b.log", b"own\n")

    def swap() -> None:
        (directory / "b.log").rename(directory / "c.log")
        if kind == "link":
            (directory / "b.log").symlink_to(tmp_path / "secret")
        else:
            os.mkfifo(directory / "b.log")

    happened = during_the_first_write(monkeypatch, shelf, swap)
    saved = save(shelf, directory)
    assert happened and contents(shelf, saved) == {"a.log": b"first\n", "b.log": b"own\n"} and saved.missing == ()


def test_a_file_that_is_packed_meanwhile_is_found_at_a_second_look(
    make_shelf: Callable[[int], Shelf], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf(1)
    write(directory / "a.log", b"first\n")
    content = write(directory / "b.log.1", b"packed soon\n")

    def pack() -> None:
        write(directory / "b.log.1.gz", gzip.compress(content))
        (directory / "b.log.1").unlink()

    happened = during_the_first_write(monkeypatch, shelf, pack)
    saved = save(shelf, directory)
    assert happened and contents(shelf, saved) == {"a.log": b"first\n", "b.log.1.gz": content}
    assert saved.missing == ("log file b.log.1: it was gone before it was read",)


def test_a_file_that_is_cut_meanwhile_is_named(
    make_shelf: Callable[[int], Shelf], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf(1)
    write(directory / "a.log", b"first\n")
    write(directory / "b.log", b"0123456789")
    happened = during_the_first_write(monkeypatch, shelf, lambda: os.truncate(directory / "b.log", 4))
    saved = save(shelf, directory)
    assert happened and contents(shelf, saved) == {"a.log": b"first\n", "b.log": b"0123"}
    assert saved.missing == ("log file b.log: shorter by 6 bytes than it was: somebody has cut it",)


def test_a_packed_file_that_is_damaged_is_saved_as_far_as_it_goes(shelf: Shelf, directory: Path) -> None:
    lines = b"".join(b"%d %s\n" % (n, os.urandom(20).hex().encode()) for n in range(20_000))
    write(directory / "cut.log.gz", gzip.compress(lines)[:-100_000])
    plain = write(directory / "plain.gz", b"no gzip at all\n")

    saved = save(shelf, directory)

    found = contents(shelf, saved)
    assert found.keys() == {"cut.log.gz", "plain.gz"} and found["plain.gz"] == plain
    assert lines.startswith(found["cut.log.gz"]) and len(found["cut.log.gz"]) > 100_000
    assert saved.missing == ("log file cut.log.gz: saved as far as it can be unpacked: EOFError",)


@contextmanager
def as_nobody() -> Iterator[None]:
    """For root there is no file that may not be read."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_what_may_not_be_read_is_named(shelf: Shelf) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        directory = Path(place)
        directory.chmod(0o755)
        write(directory / "a.log", b"a\n")
        write(directory / "b.log", b"b\n")
        write(directory / "below" / "c.log", b"c\n")
        save(shelf, directory)  # loads and connects whatever it needs
        (directory / "b.log").chmod(0)
        (directory / "below").chmod(0)
        with as_nobody():
            saved = save(shelf, directory)
        (directory / "below").chmod(0o755)
    assert contents(shelf, saved) == {"a.log": b"a\n"}
    assert saved.missing == ("log file below: Permission denied", "log file b.log: Permission denied")


def test_names_of_any_bytes(shelf: Shelf, directory: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(directory) + b"/\xff\n.log")), b"a\n")
    write(directory / "로그.log", b"b\n")
    assert contents(shelf, save(shelf, directory)) == {"\\xff\n.log": b"a\n", "로그.log": b"b\n"}


def test_what_there_is_no_time_for_is_counted(shelf: Shelf, directory: Path) -> None:
    for name in "abc":
        write(directory / f"{name}.log", b"x\n")
    saved = save(shelf, directory, seconds=-1)
    assert saved == FileExportResult(missing=("3 log files: the time was over",), late=True)


def test_a_file_that_takes_longer_than_there_is_time(
    shelf: Shelf, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs never stop a backup: it is saved as far as it goes, and what is saved is as it was."""
    monkeypatch.setattr(files, "_LINES_A_TIME", 2)
    write(directory / "long.log", b"x\n" * 1000)
    clock = count()
    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    saved = save_directory(shelf.sink, str(directory), since_ms=0, deadline=5.0)
    (file,) = saved.files
    assert 0 < file.lines < 1000 and file.size == 2 * file.lines
    assert contents(shelf, saved) == {"long.log": b"x\n" * file.lines}
    assert saved.missing == (f"log file long.log: saved as far as byte {file.size}: the time was over",) and saved.late
