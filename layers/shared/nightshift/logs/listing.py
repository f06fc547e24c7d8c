"""What files lie below a directory, and each of them opened by its inode, whatever it is called by now.

Links are not followed, and what is no regular file is left alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

_NOT_IT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""Why a name does not open where something else has taken the file's place: nothing, a link, a pipe."""

Miss = Callable[[str, OSError], None]
"""Is told of a path that cannot be looked at."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as the listing has it; `path` is relative to the directory, `inode` with its device."""

    path: str
    inode: tuple[int, int]
    size: int
    modified_ms: int


def list_files(directory: str, miss: Miss) -> list[LogFile]:
    """Every regular file, by path."""
    found: list[LogFile] = []
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
                continue  # rotated away between the two looks: it is listed under its new name
            if stat.S_ISDIR(about.st_mode):
                waiting.append(path)
            elif stat.S_ISREG(about.st_mode):
                inode = (about.st_dev, about.st_ino)
                found.append(LogFile(path, inode, about.st_size, about.st_mtime_ns // 1_000_000))
    return sorted(found, key=lambda file: file.path)


def open_file(directory: str, file: LogFile) -> BinaryIO | None:
    """The file itself; None: it is gone.

    Raises:
        OSError: it may not be read.
    """
    if (stream := _opened(directory, file.path, file)) is not None:
        return stream
    now = list_files(directory, lambda _path, _why: None)
    moved = (other.path for other in now if other.inode == file.inode)
    return next((stream for path in moved if (stream := _opened(directory, path, file)) is not None), None)


def _opened(directory: str, path: str, file: LogFile) -> BinaryIO | None:
    try:
        # Neither a link nor a pipe that took the file's place may lead or hold us elsewhere.
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
