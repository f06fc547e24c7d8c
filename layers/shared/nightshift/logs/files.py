"""Saves a directory of log files as it was at the start of the run: rotated, compressed, open and growing files.

The directory is listed first, and each file is read up to its size at the time of the listing. A file that was rotated
after the listing is identified by its inode and found under its new name. A missing file is reported, and the directory
is listed once more: a program that compressed the file has left a new file there.

An earlier backup has the files that were last written before the window. Lines are bytes and include their line ends. A
line longer than `MAX_LINE` continues in the next row. Files compressed with gzip are decompressed. A truncated file is
saved up to the point where it can be read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from nightshift.logs.listing import LogFile, list_files, open_file
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.rows.log_records import FILES, LINES, ParquetBuffer

MAX_LINE = 1 << 20
_LINE_BYTES = 100
"""Bytes of memory that a line occupies in addition to its contents."""
_LINES_A_TIME = 10_000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedLogFile:
    """A file that was saved. `size` and `sha256` describe the decompressed contents."""

    path: str
    size: int
    sha256: str
    lines: int
    gzip: bool
    modified_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExportResult:
    """Result of saving a directory.

    Attributes:
        parts: the objects with the lines, then one object that lists the files.
        missing: one sentence for each file or link that was not saved.
        late: the deadline passed before all files were saved.
    """

    parts: tuple[SavedPart, ...] = ()
    files: tuple[SavedLogFile, ...] = ()
    missing: tuple[str, ...] = ()
    late: bool = False


def save_directory(sink: LogUploader, directory: str, *, since_ms: int, deadline: float) -> FileExportResult:
    """Save the files of a directory and its subdirectories.

    Args:
        since_ms: milliseconds since 1970. Files that were last written before this time are left out.
        deadline: `time.monotonic()` value at which to stop. `missing` reports the files that are not saved.

    Raises:
        StoreError, ArchiveMismatch: S3 did not accept a part.
    """
    if not os.path.isdir(directory):
        return FileExportResult(missing=(f"log directory {_shown(directory)}: there is none",))
    saver = _Saver(sink, directory, deadline)
    known: set[tuple[int, int]] = set()
    for _ in range(2):
        listed = [file for file in list_files(directory, saver.miss) if file.inode not in known]
        known |= {file.inode for file in listed}
        lost = saver.save([file for file in listed if file.modified_ms >= since_ms])
        if not lost:
            break
    return saver.finish()


@dataclass(slots=True)
class _Saver:
    sink: LogUploader
    directory: str
    deadline: float
    parts: list[SavedPart] = field(default_factory=list)
    files: list[SavedLogFile] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    late: bool = False
    _lines: ParquetBuffer = field(default_factory=lambda: ParquetBuffer(LINES, {}))

    def miss(self, path: str, why: OSError | str) -> None:
        """Record a path that is not saved, with the reason."""
        reason = _shown(why) if isinstance(why, str) else os.strerror(why.errno or 0)
        self.missing.append(f"log file {_shown(path)}: {reason}")

    def save(self, files: list[LogFile]) -> int:
        """Save files one by one, and return the number of files that were not found any more."""
        lost = 0
        for number, file in enumerate(files):
            if self._over():
                self.missing.append(f"{len(files) - number} log files: the time was over")
                break
            try:
                stream = open_file(self.directory, file)
                if stream is None:
                    lost += 1
                    self.miss(file.path, "it was gone before it was read")
                    continue
                with stream:
                    self._read(file, stream)
            except OSError as exc:
                self.miss(file.path, exc)
        return lost

    def finish(self) -> FileExportResult:
        """Upload the remaining lines and the list of files, and return the result."""
        if self._lines.rows:
            self._write()
        if self.files:
            listing = ParquetBuffer(FILES, {})
            columns = [[getattr(file, name) for file in self.files] for name in SavedLogFile.__slots__]
            listing.add_record(columns, 0)
            # The list's rows are not log lines, and a manifest counts log lines only.
            self.parts.append(replace(self.sink.upload_part("files", 1, listing.encode_file()), rows=0))
        missing = tuple(dict.fromkeys(self.missing))
        return FileExportResult(parts=tuple(self.parts), files=tuple(self.files), missing=missing, late=self.late)

    def _over(self) -> bool:
        self.late = self.late or time.monotonic() > self.deadline
        return self.late

    def _read(self, file: LogFile, stream: BinaryIO) -> None:
        """Collect a file's lines. If the file was cut or is truncated, the readable part is saved and reported."""
        whole = _Bounded(stream, file.size)
        packed = file.path.endswith(".gz") and stream.peek(2)[:2] == _GZIP  # type: ignore[attr-defined]
        source: io.BufferedIOBase = gzip.GzipFile(fileobj=whole) if packed else io.BufferedReader(whole, MAX_LINE)
        digest, at, number = hashlib.sha256(), 0, 0
        try:
            for lines in _some_lines(source):
                positions = []
                for line in lines:
                    digest.update(line)
                    positions.append(at)
                    at += len(line)
                self._gather(file.path, number, positions, lines)
                number += len(lines)
                if self._over():
                    break
        except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
            self.miss(file.path, f"saved as far as it can be unpacked: {type(exc).__name__}")
        else:
            if self.late:
                self.miss(file.path, f"saved as far as byte {at}: the time was over")
            elif whole.left:
                self.miss(file.path, f"shorter by {whole.left} bytes than it was: somebody has cut it")
        self.files.append(
            SavedLogFile(
                path=_shown(file.path),
                size=at,
                sha256=digest.hexdigest(),
                lines=number,
                gzip=packed,
                modified_ms=file.modified_ms,
            )
        )

    def _gather(self, path: str, number: int, positions: list[int], lines: list[bytes]) -> None:
        numbers = range(number + 1, number + 1 + len(lines))
        columns = [[_shown(path)] * len(lines), numbers, positions, lines]
        self._lines.add_record(columns, sum(map(len, lines)) + _LINE_BYTES * len(lines))
        if self._lines.size >= self.sink.part_bytes:
            self._write()

    def _write(self) -> None:
        self.parts.append(self.sink.upload_part("lines", len(self.parts) + 1, self._lines.encode_file()))


class _Bounded(io.RawIOBase):
    """The first `left` bytes of a stream, even if the stream has grown."""

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self.left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read bytes into the buffer, at most `left` bytes in all."""
        got = self._stream.read(min(len(buffer), self.left))
        buffer[: len(got)] = got
        self.left -= len(got)
        return len(got)


def _some_lines(source: io.BufferedIOBase) -> Iterator[list[bytes]]:
    """Yields lists of lines, each of bounded size. Before an error of the source, the lines read so far are yielded."""
    lines: list[bytes] = []
    size = 0
    try:
        while line := source.readline(MAX_LINE):
            lines.append(line)
            size += len(line)
            if len(lines) >= _LINES_A_TIME or size >= MAX_LINE:
                yield lines
                lines, size = [], 0
    except (EOFError, gzip.BadGzipFile, zlib.error):
        if lines:
            yield lines
        raise
    if lines:
        yield lines


def _shown(path: str) -> str:
    """Returns a path as text. Bytes that are not valid UTF-8 are escaped with backslashes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
