"""`nightshift restore-backup`: restores a backup into a database. The command uses only S3 and this database."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from nightshift.cli.failures import exit_code, refusal_lines
from nightshift.cli.options import json_option, timeout_option
from nightshift.cli.output import format_count, format_seconds, print_fact, print_json
from nightshift.results.common import RunStatus
from nightshift.results.units import format_size

if TYPE_CHECKING:
    from nightshift.backup.opened_backup import BackupRepository
    from nightshift.backup.requests import RestoreListener
    from nightshift.cli.progress import ProgressBar
    from nightshift.results.backup import RestoredBackup
    from nightshift.settings import Settings

EPILOG = """
\b
Environment: RESTORE_DATABASE_URL, BACKUP_BUCKET (ARCHIVE_BUCKET), BACKUP_PREFIX, BACKUP_WORKERS, BACKUP_PG_CLIENT, and
  AWS's own. DATABASE_URL is neither read nor written: its database may be lost.

\b
Exit status:
  0 restored, and all of it is as it was saved   1 failed   2 not understood
  3 restored with differences, which are named   4 refused, nothing was touched
  130 interrupted: drop the database, and begin again with an empty one

\b
Examples:
  nightshift restore-backup newest --dry-run
  nightshift restore-backup backup_2025_10_21_0000
  nightshift restore-backup backup_2025_10_21_0000 --into STAGING_DATABASE_URL --no-owner
  nightshift restore-backup newest --into-existing --dry-run
  nightshift restore-backup newest --table app.conversation_log --json | jq .rows
"""


@click.command("restore-backup", short_help="Restore a backup into a database.", epilog=EPILOG)
@click.argument("name")
@click.option(
    "--into",
    "variable",
    metavar="VARIABLE",
    default="RESTORE_DATABASE_URL",
    help="Environment variable with the database's URL. Default: RESTORE_DATABASE_URL.",
)
@click.option(
    "--table", metavar="TABLE", help="Restore this table only. The database need not be empty then; the table must be."
)
@click.option("--no-owner", is_flag=True, help="Leave out owners and grants: their roles need not exist.")
@click.option(
    "--into-existing",
    is_flag=True,
    help="Accept a database that is not empty, e.g. a hosted one. Collisions of names are refused.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be restored; write nothing.")
@timeout_option(
    86_400,
    "Time after which the restore ends. The database is incomplete then: drop it, and start over with more time.",
)
@json_option
@click.pass_context
def restore_backup_command(
    ctx: click.Context,
    name: str,
    variable: str,
    table: str | None,
    no_owner: bool,
    into_existing: bool,
    dry_run: bool,
    timeout: int,
    as_json: bool,
) -> None:
    """Restore the backup NAME, or the newest good one, into an empty database.

    Every object is verified before it is used. Afterwards every table's digest, every sequence and the schema are
    compared with the backup. The command line takes no URL, because every user of the machine can read it. During the
    run, stderr shows the inserted rows: a bar on a terminal, a line every ten seconds elsewhere.
    """
    from nightshift.backup.requests import RestoreBackupRequest, RestoreOptions
    from nightshift.backup.restore import run_restore
    from nightshift.backup.targets import restore_target
    from nightshift.cli import context, progress

    with context.redirect_output(verbose=ctx.obj), progress.show_progress("restoring", "rows") as bar:
        wiring = context.make_wiring()
        settings = _aimed(wiring.settings, variable)
        request = RestoreBackupRequest(backup=name, table=table, owners=not no_owner, into_existing=into_existing)
        target = restore_target(settings)
        shelf, _ = context.backup_shelf(wiring)
        terms = RestoreOptions(
            workers=settings.backup_workers,
            owners=not no_owner,
            client=settings.backup_pg_client,
            dry_run=dry_run,
            into_existing=into_existing,
            listener=_listener(bar, shelf, name, table),
        )
        deadline = time.monotonic() + timeout
        result: RestoredBackup = run_restore(request, shelf, target, terms, deadline=deadline)
    if as_json:
        print_json({"status": result.status.value, **result.to_json(), "by_table": dict(result.by_table)})
    else:
        click.echo("\n".join(_lines(result)))
    ctx.exit(exit_code(result.status.value))


def _aimed(settings: Settings, variable: str) -> Settings:
    """Returns the settings with the restore's target from the environment variable `variable`."""
    from pydantic import SecretStr

    if "://" in variable:
        raise click.UsageError("--into takes the name of an environment variable, not a URL")
    url = os.environ.get(variable, "")
    if not url.strip():
        raise click.UsageError(f"{variable} is not set; it names the empty database that is to be filled")
    return settings.model_copy(update={"restore_database_url": SecretStr(url), "restore_database_secret_arn": None})


def _listener(bar: ProgressBar, shelf: BackupRepository, name: str, table: str | None) -> RestoreListener:
    """Returns a listener that advances the bar. At the first call, it reads the total of rows from the manifest."""
    first = threading.Event()
    lock = threading.Lock()

    def listen(_label: str, rows: int) -> None:
        with lock:
            if not first.is_set():
                first.set()
                manifest = shelf.open_backup(name).manifest
                bar.expect_rows(sum(t.rows for t in manifest.tables if table is None or t.label == _label))
        bar.advance_rows(rows)

    return listen


_ENDS = {
    RunStatus.OK: "restored; all of it is as it was saved",
    RunStatus.DRY_RUN: "would be restored; nothing was written",
    RunStatus.REFUSED: "refused, nothing was touched",
    RunStatus.NOTHING: "nothing to restore",
}


def _lines(result: RestoredBackup) -> Iterator[str]:
    others = (result.but_for or result.environment) and result.status is RunStatus.OK
    but_for = ", except for what is named below" if others else ""
    yield f"{result.name}: {_ENDS.get(result.status) or _partial(result)}{but_for}"
    if result.refusal is not None:
        yield f"  ({result.refusal.guard}) {refusal_lines(result.refusal.message, result.refusal.hint)}"
        return
    yield print_fact("into", str(result.target))
    spent = f", {format_seconds(result.seconds)}" if result.seconds else ""
    yield print_fact(
        "tables", f"{result.tables:,}, {format_count(result.rows, 'row')}, {format_size(result.bytes)}{spent}"
    )
    for difference in result.differences:
        yield print_fact("difference", difference)
    for exception in result.but_for:
        yield print_fact("except for", exception)
    for sentence in result.environment:
        yield print_fact("environment", sentence)
    for warning in result.warnings:
        yield print_fact("warning", warning)


def _partial(result: RestoredBackup) -> str:
    if result.left_tables:
        left = format_count(result.left_tables, "table")
        return f"time was over: {left} did not come back, drop the database and begin again"
    return f"restored, and {format_count(len(result.differences), 'thing')} not as it was saved"
