"""Provides settings, clients and the database to commands, as `runtime` does for jobs, and limits the log to warnings.

A command that writes nothing does not call `runtime.run_job`: the command takes no lock, records no run, and sends no
message to Slack.
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
"""Fields of a log record that a warning shows. These fields contain names, never values of rows."""


def make_wiring(listener: Listener = ignore_events) -> RunWiring:
    """Returns the wiring for this process's environment.

    The wiring ignores AWS_LAMBDA_FUNCTION_NAME, which may have been copied from a function: a command writes no metrics
    for CloudWatch.
    """
    environ = {name: value for name, value in os.environ.items() if name != "AWS_LAMBDA_FUNCTION_NAME"}
    return RunWiring(environ, listener=listener)


@contextmanager
def open_services(wiring: RunWiring) -> Iterator[RunServices]:
    """Provides the services of a command that does not call `runtime.run_job`."""
    with closing(open_database(wiring.settings, JobRun(job="command", as_of=wiring.now()))) as database:
        yield RunServices(wiring, database)


def backup_shelf(wiring: RunWiring) -> tuple[BackupRepository, ZoneInfo]:
    """Returns the repository of the backups, and the time zone of their names.

    The function does not connect to the database, because the database may be lost.

    Raises:
        InvalidSettings: no bucket is set.
    """
    from nightshift.backup.opened_backup import BackupRepository
    from nightshift.backup.targets import open_backup_store

    nowhere = Database(DatabaseTarget(kind="sqlite"), deadline=0.0)
    store = open_backup_store(RunServices(wiring, nowhere))
    return BackupRepository(store, wiring.settings.backup_prefix), ZoneInfo(wiring.settings.timezone)


@contextmanager
def redirect_output(*, verbose: bool) -> Iterator[None]:
    """Redirects stdout to stderr inside the context. A command prints its answer outside the context.

    Without `verbose`, only the log's warnings are shown, each on one line.
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
    """Handler that prints the log's warnings as plain text, and ignores errors, which `failures` reports."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            facts = ["; ".join(str(value).splitlines()) for name in _TOLD if (value := getattr(record, name, None))]
            click.echo(": ".join(["warning", record.getMessage(), *facts]), err=True)


def known_label(written: str, labels: Sequence[str], *, kind: str) -> str:
    """Returns the label in `labels` that a table name of the operator stands for. A label is `schema.table`.

    Raises:
        click.UsageError: the name fits no label, or more than one label. The error names the labels' source `kind`.
    """
    label = written if written in labels else resolve_table(written, labels)
    if label is None:
        known = ", ".join(labels[:20]) or "none"
        raise click.UsageError(f"{kind} has no table {written!r}, or more than one of that name; it has: {known}")
    return label


def archived_label(services: RunServices, written: str) -> str:
    """Returns the label in the archive's ledger that a table name of the operator stands for; see `known_label`."""
    with services.database.connect() as connection:
        labels = known_tables(connection, services.archive_bucket)
    return known_label(written, labels, kind="the archive")
