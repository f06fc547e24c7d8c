"""Shows the progress of a command on stderr: a bar on a terminal, and elsewhere a line every few seconds.

The module also has the context object that limits the time of a job in this process, like Lambda's context object.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nightshift.cli.output import console_for

EVERY_S = 10.0
"""Seconds between two lines of progress."""

_FACTS = ("table", "rows", "document", "key")
"""Fields of a log record that a line of progress shows. These fields contain names and counts."""


class ProgressBar:
    """Progress of a command. Worker threads may call the methods."""

    def __init__(self, progress: Progress, title: str, unit: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)
        self._unit = unit

    def expect_rows(self, total: int) -> None:
        """Sets the expected total of rows, or of other units."""
        self._progress.update(self._task, total=total)

    def advance_rows(self, by: int) -> None:
        """Adds finished rows, or other units."""
        self._progress.advance(self._task, by)

    def line(self, seconds: float) -> str:
        """Returns the progress as a line, for output that is not a terminal."""
        (task,) = self._progress.tasks
        if task.total is None:
            return f"{task.description}: running for {seconds:.0f} s"
        return f"{task.description}: {task.completed:,} of {task.total:,} {self._unit} after {seconds:.0f} s"


@contextmanager
def show_progress(title: str, unit: str) -> Iterator[ProgressBar]:
    """Shows progress inside the context. At the end of the context, the bar on a terminal disappears."""
    terminal, description = sys.stderr.isatty(), TextColumn("{task.description}")
    columns = (description, BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=console_for(sys.stderr), transient=True, disable=not terminal) as progress:
        bar = ProgressBar(progress, title, unit)
        with nullcontext() if terminal else print_regularly(bar.line):
            yield bar


@dataclass(slots=True)
class TimeAllowance:
    """Replacement for Lambda's context object, with the remaining time of a job that the command line starts.

    Attributes:
        until: `time.monotonic()` value of the deadline.
        aws_request_id: empty, because there is no Lambda invocation.
    """

    until: float
    aws_request_id: str = ""

    def get_remaining_time_in_millis(self) -> int:
        """Returns the remaining time in milliseconds; 0 after the deadline."""
        return max(0, int((self.until - time.monotonic()) * 1000))


class _LastLogLine(logging.Handler):
    """Handler that keeps the last line of the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        facts = [f"{name} {value}" for name in _FACTS if (value := getattr(record, name, None)) is not None]
        self.line = ", ".join([record.getMessage().splitlines()[0], *facts])


@contextmanager
def signs_of_life(job: str, log: logging.Logger) -> Iterator[None]:
    """Prints to stderr, every few seconds, the running time of a job and the job's last log line."""
    last = _LastLogLine()

    def line(seconds: float) -> str:
        return f"{job}: running for {seconds:.0f} s" + (f"; last: {last.line}" if last.line else "")

    log.addHandler(last)
    try:
        with print_regularly(line):
            yield
    finally:
        log.removeHandler(last)


@contextmanager
def print_regularly(line: Callable[[float], str]) -> Iterator[None]:
    """Prints a line to stderr every `EVERY_S` seconds, inside the context.

    Args:
        line: returns the line. The argument is the time since the start of the context, in seconds.
    """
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(EVERY_S):
            click.echo(line(time.monotonic() - began), err=True)

    teller = threading.Thread(target=tell, name="signs-of-life", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
