"""`nightshift archives`: lists the archive, from the ledger alone; `archives ddl`: prints SQL to query it in place."""

from __future__ import annotations

from datetime import date
from typing import Literal

import click

from nightshift.cli.options import day_options, json_option

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
    from nightshift.cli import context, holdings, output
    from nightshift.cli.views import archives as view
    from nightshift.run import JobRun

    with context.redirect_output(verbose=ctx.obj):
        wiring = context.make_wiring()
        run = JobRun(job="archives", as_of=wiring.now())
        with context.open_services(wiring, run) as services:
            bucket = services.archive_bucket
            label = context.archived_label(services, table) if table is not None else None
            with services.database.connect() as connection:
                states = None if every_state else holdings.SETTLED
                found = list_archived_objects(connection, bucket, table=label, since=since, until=until, states=states)
    tables = holdings.add_up(found)
    prefix = wiring.settings.archive_prefix
    if as_json:
        whole = holdings.total_summary(tables).to_json()
        output.print_json({"bucket": bucket, "prefix": prefix, **whole, "tables": [one.to_json() for one in tables]})
    else:
        view.show_archives(f"s3://{bucket}", tables, by=by or ("day" if table else "table"))


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
    from nightshift.run import JobRun

    with context.redirect_output(verbose=ctx.obj):
        wiring = context.make_wiring()
        with context.open_services(wiring, JobRun(job="archives", as_of=wiring.now())) as services:
            label = context.archived_label(services, table)
            sql = create_table_sql(
                services.database,
                services.archive_store(),
                wiring.settings.archive_prefix,
                table=label,
                engine=engine,
                since=since,
                until=until,
            )
    click.echo(sql.rstrip())
