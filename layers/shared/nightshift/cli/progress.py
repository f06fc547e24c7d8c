"""A bar on a terminal's stderr; nothing at all in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from nightshift.cli.output import console_for


class Bar:
    """How far something has come. Called by worker threads: rich takes care of that."""

    def __init__(self, progress: Progress | None, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None) if progress else TaskID(0)

    def expect(self, total: int) -> None:
        """So much there will be in all."""
        if self._progress:
            self._progress.update(self._task, total=total)

    def advance(self, by: int) -> None:
        """So much more is done."""
        if self._progress:
            self._progress.advance(self._task, by)


@contextmanager
def bar(title: str, unit: str) -> Iterator[Bar]:
    """A bar for as long as the context lasts; it is gone afterwards."""
    if not sys.stderr.isatty():
        yield Bar(None, title)
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn(unit), TimeElapsedColumn()),
    )
    with Progress(*columns, console=console_for(sys.stderr), transient=True) as progress:
        yield Bar(progress, title)
