"""Shows the progress of a command on stderr: a bar on a terminal, and elsewhere a line every few seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from nightshift.cli.output import console_for
from nightshift.cli.watch import told_regularly


class ProgressBar:
    """Progress of a command. Worker threads may call it."""

    def __init__(self, progress: Progress | None, title: str, unit: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None) if progress else TaskID(0)
        self._title = title
        self._unit = unit
        self._lock = threading.Lock()
        self._done = 0
        self._total: int | None = None

    def expect_rows(self, total: int) -> None:
        """So much there will be in all."""
        self._total = total
        if self._progress:
            self._progress.update(self._task, total=total)

    def advance_rows(self, by: int) -> None:
        """So much more is done."""
        with self._lock:
            self._done += by
        if self._progress:
            self._progress.advance(self._task, by)

    def words(self, seconds: float) -> str:
        """Return the line for where there is no terminal."""
        if self._total is None:
            return f"{self._title}: running for {seconds:.0f} s"
        return f"{self._title}: {self._done:,} of {self._total:,} {self._unit} after {seconds:.0f} s"


@contextmanager
def show_progress(title: str, unit: str) -> Iterator[ProgressBar]:
    """Shows progress while the context lasts; a terminal's bar disappears afterwards."""
    if not sys.stderr.isatty():
        silent = ProgressBar(None, title, unit)
        with told_regularly(silent.words):
            yield silent
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn(unit), TimeElapsedColumn()),
    )
    with Progress(*columns, console=console_for(sys.stderr), transient=True) as progress:
        yield ProgressBar(progress, title, unit)
