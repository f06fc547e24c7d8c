"""`nightshift plan`: shows the expected work of the next cleanup for each table, without writes and messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from nightshift.cli.failures import error_lines, exit_code, refusal_lines
from nightshift.cli.options import json_option
from nightshift.cli.output import format_moment, format_seconds, print_json, print_table
from nightshift.results.units import format_size, format_usd

if TYPE_CHECKING:
    from datetime import datetime

    from nightshift.policy.retention import RetentionPolicy
    from nightshift.results.cleanup import CleanupResult, TableResult
    from nightshift.run import JobRun
    from nightshift.run_services import RunServices
    from nightshift.settings import Settings

EPILOG = """
\b
Environment: DATABASE_URL, NIGHTSHIFT_CONFIG or LOG_RETENTION_DAYS, TIMEZONE, CLEANUP_MAX_SHARE.
The archive is not read: ARCHIVE_BUCKET need not be set.

\b
Exit status: 0 planned, 1 a table could not be read, 2 not understood, 4 a guard would refuse a table.

\b
Examples:
  nightshift plan
  nightshift plan --table conversation_log --as-of 2025-10-15
  nightshift plan --json | jq '.tables[].estimate.rows'
"""


@click.command("plan", short_help="Show what the next cleanup would do.", epilog=EPILOG)
@click.option("--table", metavar="TABLE", help="Only this table of the policies.")
@click.option("--as-of", metavar="ISO", help="Plan as of this day or moment; without a zone in TIMEZONE. Default: now.")
@json_option
@click.pass_context
def plan_command(ctx: click.Context, table: str | None, as_of: str | None, as_json: bool) -> None:
    """Show what cleanup would do: expected rows, bytes, objects, seconds and cost, the oldest due row, and every guard
    that would refuse. The command reads the database and writes nothing. It requires none of nightshift's own tables.
    """
    from nightshift.cli import context
    from nightshift.run import parse_event
    from nightshift.runtime import to_response

    started = time.monotonic()
    with context.redirect_output(verbose=ctx.obj):
        wiring = context.make_wiring()
        event = {"dry_run": True, **({"scheduled_time": _moment(as_of, wiring.settings)} if as_of else {})}
        run = parse_event("cleanup", event, None, now=wiring.now())
        with context.open_services(wiring) as services:
            result = _plan(run, services, table)
    if as_json:
        print_json(to_response(run, result, round((time.monotonic() - started) * 1000)))
    else:
        show_plan(run, result)
    ctx.exit(exit_code(result.status))


def _plan(run: JobRun, services: RunServices, table: str | None) -> CleanupResult:
    """Returns the result of a dry run of every policy, or of the policy for `table`. Raises if every table failed."""
    from nightshift.archive.context import open_archive
    from nightshift.archive.table import archive_table
    from nightshift.database.upgrades import check_readable
    from nightshift.policy.file import load_policies
    from nightshift.results.cleanup import CleanupResult

    settings = services.settings
    with services.database.connect() as connection:
        check_readable(connection)
    policies = load_policies(settings, services.fetch_text).retention
    chosen = policies if table is None else (_policy(table, policies),)
    with open_archive(run, settings, services.database, None, services.listener, now=services.now()) as archive:
        tables = tuple(archive_table(archive, run, policy) for policy in chosen)
    errors = [table_.error for table_ in tables if table_.error is not None]
    if len(errors) == len(tables):
        raise errors[0]
    return CleanupResult(tables=tables)


def _policy(written: str, policies: tuple[RetentionPolicy, ...]) -> RetentionPolicy:
    """Returns the policy of a table. The operator's name and the policy's name may each omit the schema."""
    from nightshift.archive.inventory import resolve_table
    from nightshift.cli.context import known_label

    names = [policy.table for policy in policies]
    shorter = [name for name in names if resolve_table(name, [written]) is not None]
    label = shorter[0] if len(shorter) == 1 else known_label(written, names, kind="the policy file")
    return next(policy for policy in policies if policy.table == label)


def _moment(written: str, settings: Settings) -> str:
    """Returns a time of the operator in ISO 8601 with a zone, for the event. The default zone is TIMEZONE."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise click.BadParameter(
            f"{written!r} is no moment; write it like 2025-10-15 or 2025-10-15T09:00:00+09:00", param_hint="--as-of"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings.timezone))).isoformat()


HEAD = ("table", "status", "cutoff", "oldest due", "rows", "share", "size", "objects", "time", "cost")


def show_plan(run: JobRun, result: CleanupResult) -> None:
    """Prints a table with one line per policy, then the refusals, errors and warnings."""
    click.echo(f"cleanup as of {format_moment(run.as_of)}: what it would do. Nothing was written.\n")
    rows = [_row(table) for table in result.tables]
    if len(rows) > 1:
        rows.append(_total(result))
    print_table(HEAD, rows, text=4, total=len(rows) > 1)
    for table in result.tables:
        for line in _remarks(table):
            click.echo(f"\n{line}")


def _row(table: TableResult) -> tuple[str, ...]:
    facts = (table.table, "ready" if table.status == "dry_run" else table.status.value, _day(table.cutoff))
    expected = table.estimate
    if expected is None:
        return (*facts, "-", "-", "-", "-", "-", "-", "-")
    return (
        *facts,
        _day(table.oldest_overdue),
        f"{expected.rows:,}",
        f"{expected.share:.1%}",
        format_size(expected.bytes),
        f"{expected.objects:,}",
        format_seconds(expected.seconds),
        format_usd(expected.usd),
    )


def _total(result: CleanupResult) -> tuple[str, ...]:
    """Returns the line with the expected totals of a real run. Refused tables do not count."""
    going = [table.estimate for table in result.tables if table.estimate is not None and table.refusal is None]
    return (
        "total",
        *("", "", ""),
        f"{sum(e.rows for e in going):,}",
        "",
        format_size(sum(e.bytes for e in going)),
        f"{sum(e.objects for e in going):,}",
        format_seconds(sum(e.seconds for e in going)),
        format_usd(sum(e.usd for e in going)),
    )


def _day(when: datetime | None) -> str:
    """Returns the date of a time in its own zone; `-` for None. The JSON answer has the exact time."""
    return "-" if when is None else when.date().isoformat()


def _remarks(table: TableResult) -> list[str]:
    remarks = []
    if table.refusal is not None:
        reason = refusal_lines(table.refusal.message, table.refusal.hint)
        remarks.append(f"refused ({table.refusal.guard}): {reason}")
    if table.error is not None:
        remarks.append(f"failed: {table.table}: {error_lines(table.error)}")
    remarks += [f"warning: {table.table}: {warning}" for warning in table.warnings]
    return remarks
