"""What an operator sees of a job while it runs in this process, and the time that it is given."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

EVERY_S = 10.0
"""Seconds from one sign of life to the next."""

_FACTS = ("table", "rows", "document", "key")
"""Fields of a log line that a sign of life shows: names and counts."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The context of a call from the command line: what Lambda's would say of the time that is left.

    Attributes:
        until: `time.monotonic()` value.
    """

    until: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

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
def signs_of_life(job: str, log: logging.Logger, *, every: float = EVERY_S) -> Iterator[None]:
    """Say on stderr, every few seconds, that a job is running, for how long, and what it logged last."""
    over, last, began = threading.Event(), _LastWords(), time.monotonic()

    def tell() -> None:
        while not over.wait(every):
            said = f"; last: {last.words}" if last.words else ""
            click.echo(f"{job}: running for {time.monotonic() - began:.0f} s{said}", err=True)

    teller = threading.Thread(target=tell, name="signs-of-life", daemon=True)
    log.addHandler(last)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        log.removeHandler(last)
