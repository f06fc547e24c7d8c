"""`nightshift archives`: lists the archive without reading S3. `archives ddl`: prints SQL that queries the archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal

import click

from nightshift.cli.options import day_options, json_option
from nightshift.cli.output import format_count, print_json, print_table
from nightshift.results.units import format_size

if TYPE_CHECKING:
    from nightshift.cli.holdings import ArchiveSummary, TableSummary

EPILOG = """
\b
Environment: DATABASE_URL, ARCHIVE_BUCKET. S3 is not read; `nightshift verify` reads it.

\b
Exit status: 0 done, 1 failed, 2 not understood.

\b
Examples:
  nightshift archives
  nightshift archives --table conversation_log --since 2025-08-01 --until 2025-08-31
  nightshift archives --all --json
  nightshift archives ddl conversation_log --engine duckdb
"""

DDL_EPILOG = """
\b
Environment: DATABASE_URL, ARCHIVE_BUCKET, ARCHIVE_PREFIX, and AWS's own.

\b
Exit status: 0 done, 1 failed, 2 not understood.

\b
Examples:
  nightshift archives ddl conversation_log --engine athena
  nightshift archives ddl conversation_log --engine duckdb --since 2025-08-01 | duckdb archive.db
"""


@click.group(
    "archives",
    short_help="List the archive; print SQL that queries it.",
    epilog=EPILOG,
    invoke_without_command=True,
    subcommand_metavar="[ddl TABLE]",
)
@click.option("--table", metavar="TABLE", help="Only this table, which may be gone from the database.")
@day_options
@click.option(
    "--by", type=click.Choice(["table", "day"]), help="One line for each table or each day. Default: day with --table."
)
@click.option(
    "--all", "every_state", is_flag=True, help="Also objects that are not part of the archive: pending, swept, …"
)
@json_option
@click.pass_context
def archives_command(
    ctx: click.Context,
    table: str | None,
    since: date | None,
    until: date | None,
    by: Literal["table", "day"] | None,
    every_state: bool,
    as_json: bool,
) -> None:
    """Show what is archived: rows, bytes and objects by table and day.

    Rows that were restored into their table are not part of the archive any more. They are listed separately.
    """
    if ctx.invoked_subcommand is not None:
        if any(value for value in ctx.params.values()):
            raise click.UsageError(f"options belong behind {ctx.invoked_subcommand!r}")
        return
    from nightshift.archive.inventory import list_archived_objects
    from nightshift.cli import context, holdings

    states = None if every_state else holdings.SETTLED
    with context.redirect_output(verbose=ctx.obj), context.open_services(context.make_wiring()) as services:
        bucket, prefix = services.archive_bucket, services.settings.archive_prefix
        label = context.archived_label(services, table) if table is not None else None
        with services.database.connect() as connection:
            objects = list_archived_objects(connection, bucket, table=label, since=since, until=until, states=states)
    tables = holdings.add_up(objects)
    if as_json:
        whole = holdings.total_summary(tables).to_json()
        print_json({"bucket": bucket, "prefix": prefix, **whole, "tables": [table_.to_json() for table_ in tables]})
    else:
        show_archives(f"s3://{bucket}", tables, by=by or ("day" if table else "table"))


@archives_command.command("ddl", epilog=DDL_EPILOG)
@click.argument("table")
@click.option("--engine", type=click.Choice(["athena", "duckdb", "spark"]), required=True, help="SQL dialect.")
@day_options
@click.pass_context
def ddl_command(
    ctx: click.Context, table: str, engine: Literal["athena", "duckdb", "spark"], since: date | None, until: date | None
) -> None:
    """Print a view over a table's archived objects."""
    from nightshift.archive.ddl import create_table_sql
    from nightshift.cli import context

    with context.redirect_output(verbose=ctx.obj), context.open_services(context.make_wiring()) as services:
        label = context.archived_label(services, table)
        store, prefix = services.archive_store(), services.settings.archive_prefix
        sql = create_table_sql(services.database, store, prefix, table=label, engine=engine, since=since, until=until)
    click.echo(sql.rstrip())


def show_archives(place: str, tables: Sequence[TableSummary], *, by: Literal["table", "day"]) -> None:
    """Prints one line per table or per day, and the sum."""
    from nightshift.archive.inventory import ARCHIVED
    from nightshift.cli.holdings import total_summary

    if not tables:
        click.echo(f"nothing is archived in {place}, or nothing of what was asked for")
        return
    click.echo(f"the archive in {place}\n")
    whole = total_summary(tables)
    states = sorted(set(whole.states) - {ARCHIVED})
    lines = [row for table in tables for row in (_by_day(table, states) if by == "day" else [_by_table(table, states)])]
    if len(lines) > 1:
        lines.append(("total", *[""] * (1 if by == "day" else 3), *_figures(whole, states)))
    head = ("table", "day") if by == "day" else ("table", "days", "first day", "last day")
    figures = ("rows", "size", "objects", *(f"{state} (rows/objects)" for state in states))
    print_table((*head, *figures), lines, text=len(head), total=len(lines) > 1)
    if "restored" in states:
        back = whole.states["restored"]
        click.echo(f"\n{format_count(back.rows, 'row')} were restored into their tables and are no part of the archive")


def _by_table(table: TableSummary, states: Sequence[str]) -> tuple[str, ...]:
    days = [day for day, summary in table.days.items() if summary.archived_totals.objects] or ["-"]
    return (table.table, f"{len(days):,}", days[0], days[-1], *_figures(table, states))


def _by_day(table: TableSummary, states: Sequence[str]) -> list[tuple[str, ...]]:
    return [(table.table, day, *_figures(summary, states)) for day, summary in table.days.items()]


def _figures(summary: ArchiveSummary, states: Sequence[str]) -> tuple[str, ...]:
    archived = summary.archived_totals
    others = (summary.states.get(state) for state in states)
    return (
        f"{archived.rows:,}",
        format_size(archived.bytes),
        f"{archived.objects:,}",
        *(f"{totals.rows:,}/{totals.objects:,}" if totals else "-" for totals in others),
    )
