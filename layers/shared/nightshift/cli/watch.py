"""Shows an operator the progress of a job while it runs in this process, and limits its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

EVERY_S = 10.0
"""Seconds from one sign of life to the next."""

_FACTS = ("table", "rows", "document", "key")
"""Fields of a log line that a sign of life shows: names and counts."""


@dataclass(slots=True)
class TimeAllowance:
    """The context of a call from the command line: what Lambda's would say of the time that is left.

    Attributes:
        until: `time.monotonic()` value.
        aws_request_id: empty, as no log service has one.
    """

    until: float
    aws_request_id: str = ""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds; 0 once the time is over."""
        return max(0, int((self.until - time.monotonic()) * 1000))


class _LastWords(logging.Handler):
    """Remembers the last line of the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.words = ""

    def emit(self, record: logging.LogRecord) -> None:
        facts = [f"{name} {value}" for name in _FACTS if (value := getattr(record, name, None)) is not None]
        self.words = ", ".join([record.getMessage().splitlines()[0], *facts])


@contextmanager
def signs_of_life(job: str, log: logging.Logger) -> Iterator[None]:
    """Prints to stderr, every few seconds, that a job is running, for how long, and its last log line."""
    last = _LastWords()

    def words(seconds: float) -> str:
        return f"{job}: running for {seconds:.0f} s" + (f"; last: {last.words}" if last.words else "")

    log.addHandler(last)
    try:
        with told_regularly(words):
            yield
    finally:
        log.removeHandler(last)


@contextmanager
def told_regularly(words: Callable[[float], str]) -> Iterator[None]:
    """Write a line to stderr every `EVERY_S` seconds.

    Args:
        words: returns the line; its argument is the seconds since the context began.
    """
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(EVERY_S):
            click.echo(words(time.monotonic() - began), err=True)

    teller = threading.Thread(target=tell, name="signs-of-life", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
