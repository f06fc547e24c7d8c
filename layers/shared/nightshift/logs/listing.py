"""Lists the files below a directory, and opens each file by its inode, even if the file was renamed since.

Symbolic links are not followed, because users other than the directory's owner may control their targets. A link to a
file that the listing does not contain is reported. Other entries that are not regular files are ignored.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

_NOT_IT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""Errors of opening a path whose file was deleted, or replaced by a link or a pipe."""

Miss = Callable[[str, OSError | str], None]
"""Callback for a skipped path, with the reason."""

LINKS_TOLD = 5
"""Maximum number of links that are reported by name. A directory of container logs may hold hundreds of links."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A listed file. `path` is relative to the directory; `inode` is the pair of device and inode number."""

    path: str
    inode: tuple[int, int]
    size: int
    modified_ms: int


def list_files(directory: str, miss: Miss) -> list[LogFile]:
    """Returns every regular file below the directory, ordered by path."""
    found: list[LogFile] = []
    links: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(directory, below)))
        except OSError as exc:
            miss(below or ".", exc)
            continue
        for entry in entries:
            path = os.path.join(below, entry.name)
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # the file was renamed after the listing: it is listed under its new name
            if stat.S_ISDIR(about.st_mode):
                waiting.append(path)
            elif stat.S_ISREG(about.st_mode):
                inode = (about.st_dev, about.st_ino)
                found.append(LogFile(path, inode, about.st_size, about.st_mtime_ns // 1_000_000))
            elif stat.S_ISLNK(about.st_mode):
                links.append(path)
    _tell_links(directory, sorted(links), {file.inode for file in found}, miss)
    return sorted(found, key=lambda file: file.path)


def _tell_links(directory: str, links: list[str], listed: set[tuple[int, int]], miss: Miss) -> None:
    outside = [path for path in links if not _is_listed(directory, path, listed)]
    for path in outside[:LINKS_TOLD]:
        try:
            where = os.readlink(os.path.join(directory, path))
        except OSError:
            continue  # the link was deleted
        miss(path, f"it is a link to {where}, and links are not followed: name the directory that holds the files")
    if len(outside) > LINKS_TOLD:
        miss(".", f"{len(outside) - LINKS_TOLD} further links are not followed")


def _is_listed(directory: str, path: str, listed: set[tuple[int, int]]) -> bool:
    """Returns whether a link leads to a listed file, or to a directory below the listed one."""
    link = os.path.join(directory, path)
    try:
        about = os.stat(link)
    except OSError:
        return False
    below = os.path.realpath(link).startswith(os.path.join(os.path.realpath(directory), ""))
    return (about.st_dev, about.st_ino) in listed or (stat.S_ISDIR(about.st_mode) and below)


def open_file(directory: str, file: LogFile) -> BinaryIO | None:
    """Returns the opened file, or None if no path below the directory leads to the file any more.

    Raises:
        OSError: the file may not be read.
    """
    if (stream := _opened(directory, file.path, file)) is not None:
        return stream
    now = list_files(directory, lambda _path, _why: None)
    moved = (other.path for other in now if other.inode == file.inode)
    return next((stream for path in moved if (stream := _opened(directory, path, file)) is not None), None)


def _opened(directory: str, path: str, file: LogFile) -> BinaryIO | None:
    try:
        # A link that replaced the file is not followed; a pipe that replaced the file does not block.
        handle = os.open(os.path.join(directory, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno in _NOT_IT:
            return None
        raise
    about = os.fstat(handle)
    if (about.st_dev, about.st_ino) == file.inode:
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None
