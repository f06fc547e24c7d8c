"""Wiring and services of the commands: the handlers' own, with the log reduced to warnings.

A command that writes nothing needs no frame: no lock, no record, no Slack.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from nightshift.archive.inventory import known_tables, resolve_table
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget
from nightshift.progress_events import Listener, ignore_events
from nightshift.run import JobRun
from nightshift.run_services import RunServices, RunWiring
from nightshift.runtime import logger, open_database

if TYPE_CHECKING:
    from nightshift.backup.opened_backup import BackupRepository

SILENT = logging.CRITICAL + 1

_TOLD = ("table", "partition", "key", "damage", "reason", "detail", "error")
"""The fields of a log line that a warning shows: they name things, never values."""


def make_wiring(listener: Listener = ignore_events) -> RunWiring:
    """Wired to this process's environment. Metrics are for CloudWatch, and this is no Lambda, whatever was copied."""
    environ = {name: value for name, value in os.environ.items() if name != "AWS_LAMBDA_FUNCTION_NAME"}
    return RunWiring(environ, listener=listener)


@contextmanager
def open_services(wiring: RunWiring) -> Iterator[RunServices]:
    """The ports of a command that writes nothing through the frame."""
    with closing(open_database(wiring.settings, JobRun(job="command", as_of=wiring.now()))) as database:
        yield RunServices(wiring, database)


def backup_shelf(wiring: RunWiring) -> tuple[BackupRepository, ZoneInfo]:
    """Returns the repository of the backups, and the zone of their names; no database is used, because it may be lost.

    Raises:
        InvalidSettings: no bucket is named.
    """
    from nightshift.backup.opened_backup import BackupRepository
    from nightshift.backup.targets import open_backup_store

    nowhere = Database(DatabaseTarget(kind="sqlite"), deadline=0.0)
    store = open_backup_store(RunServices(wiring, nowhere))
    return BackupRepository(store, wiring.settings.backup_prefix), ZoneInfo(wiring.settings.timezone)


@contextmanager
def redirect_output(*, verbose: bool) -> Iterator[None]:
    """Keeps output of the work within from stdout; answers are printed outside the context.

    Args:
        verbose: leave the log as it is; else only its warnings are shown, as one line each.
    """
    with redirect_stdout(sys.stderr):
        if verbose:
            yield
            return
        own, plain = logging.getLogger(logger.name), _PlainWarnings(logging.WARNING)
        levels = [(handler, handler.level) for handler in own.handlers]
        for handler, _ in levels:
            handler.setLevel(SILENT)
        own.addHandler(plain)
        try:
            yield
        finally:
            own.removeHandler(plain)
            for handler, level in levels:
                handler.setLevel(level)


class _PlainWarnings(logging.Handler):
    """Warnings for people. Errors are raised too, and reported by `failures`."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            facts = ["; ".join(str(value).splitlines()) for name in _TOLD if (value := getattr(record, name, None))]
            click.echo(": ".join(["warning", record.getMessage(), *facts]), err=True)


def known_label(written: str, labels: Sequence[str], *, kind: str) -> str:
    """The label among `labels` that a written table name means.

    Raises:
        click.UsageError: none, or more than one.
    """
    label = written if written in labels else resolve_table(written, labels)
    if label is None:
        known = ", ".join(labels[:20]) or "none"
        raise click.UsageError(f"{kind} has no table {written!r}, or more than one of that name; it has: {known}")
    return label


def archived_label(services: RunServices, written: str) -> str:
    """The ledger's label that a written table name means.

    Raises:
        click.UsageError: the ledger knows none, or more than one.
    """
    with services.database.connect() as connection:
        labels = known_tables(connection, services.archive_bucket)
    return known_label(written, labels, kind="the archive")
