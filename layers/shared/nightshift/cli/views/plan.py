"""The dry run of cleanup, for people."""

from __future__ import annotations

from datetime import datetime

import click

from nightshift.cli.failures import error_lines
from nightshift.cli.output import format_moment, format_seconds, format_size, format_usd, print_table
from nightshift.errors import NightshiftError
from nightshift.results.cleanup import CleanupResult, TableResult
from nightshift.run import JobRun

HEAD = ("table", "status", "cutoff", "oldest due", "rows", "share", "size", "objects", "time", "cost")


def show_plan(run: JobRun, result: CleanupResult) -> None:
    """Prints the table, then the expected refusals with their reasons."""
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
    """Returns the totals of a real run; refused tables do not count."""
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
    """As its own zone has it; JSON tells the moment."""
    return "-" if when is None else when.date().isoformat()


def _remarks(table: TableResult) -> list[str]:
    remarks = []
    if table.refusal is not None:
        why = NightshiftError(table.refusal.message, hint=table.refusal.hint)
        remarks.append(f"refused ({table.refusal.guard}): {error_lines(why)}")
    if table.error is not None:
        remarks.append(f"failed: {table.table}: {error_lines(table.error)}")
    remarks += [f"warning: {table.table}: {warning}" for warning in table.warnings]
    return remarks
