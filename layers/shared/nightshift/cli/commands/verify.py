"""`nightshift verify`: checks that S3 still holds the objects in the ledger, nightshift's table of archived objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import click

from nightshift.cli.failures import ExitCode
from nightshift.cli.options import day_options, json_option
from nightshift.cli.output import format_count, print_fact, print_json
from nightshift.results.units import format_size

if TYPE_CHECKING:
    from nightshift.archive.object_verification import Depth
    from nightshift.archive.verify import VerificationReport
    from nightshift.run_services import RunServices

EPILOG = """
\b
Environment: DATABASE_URL, ARCHIVE_BUCKET, ARCHIVE_PREFIX, and AWS's own.

\b
Exit status:
  0 sound   1 an object is missing or damaged, or the check failed   2 not understood
  3 everything archived is sound, but runs left something unfinished that --repair may remove

\b
Examples:
  nightshift verify
  nightshift verify conversation_log --since 2025-08-01 --until 2025-08-31 --values
  nightshift verify --quick --json | jq .damaged
  nightshift verify --repair
"""


@click.command("verify", short_help="Compare the archive in S3 with the ledger.", epilog=EPILOG)
@click.argument("table", required=False)
@day_options
@click.option("--quick", is_flag=True, help="Compare sizes only; read no object.")
@click.option("--values", is_flag=True, help="Read every value, not only every byte.")
@click.option(
    "--repair", is_flag=True, help="Delete objects that runs left unfinished. Archived objects are never touched."
)
@json_option
@click.pass_context
def verify_command(
    ctx: click.Context,
    table: str | None,
    since: date | None,
    until: date | None,
    quick: bool,
    values: bool,
    repair: bool,
    as_json: bool,
) -> None:
    """Verify the archive of TABLE, or of every table: read each object and compare it with the ledger."""
    if quick and values:
        raise click.UsageError("--quick and --values cannot both be given")
    from nightshift.archive.verify import verify_archive
    from nightshift.cli import context, progress

    depth: Depth = "quick" if quick else "values" if values else "full"
    with (
        context.redirect_output(verbose=ctx.obj),
        progress.show_progress("verifying", "objects") as bar,
        context.open_services(context.make_wiring()) as services,
    ):
        store = services.archive_store()
        label = context.archived_label(services, table) if table is not None else None
        bar.expect_rows(_expected(services, label, since, until))
        report = verify_archive(
            services.database,
            store,
            services.settings.archive_prefix,
            table=label,
            since=since,
            until=until,
            depth=depth,
            repair=repair,
            progress=lambda _: bar.advance_rows(1),
        )
    if as_json:
        print_json(report.to_json())
    else:
        click.echo("\n".join(_lines(report, repaired=repair)))
    ctx.exit(_code(report))


def _expected(services: RunServices, label: str | None, since: date | None, until: date | None) -> int:
    from nightshift.archive.inventory import list_archived_objects
    from nightshift.cli.holdings import SETTLED

    bucket = services.archive_bucket
    with services.database.connect() as connection:
        return len(list_archived_objects(connection, bucket, table=label, since=since, until=until, states=SETTLED))


def _code(report: VerificationReport) -> ExitCode:
    if report.damaged or report.unproven:
        return ExitCode.FAILED
    return ExitCode.DONE if report.is_sound else ExitCode.PARTIAL


_DEPTHS = {"quick": "by existence and size", "full": "byte by byte", "values": "byte by byte and value by value"}


def _lines(report: VerificationReport, *, repaired: bool) -> Iterator[str]:
    """Yields the verdict, then the key and the problem of every object that is not sound."""
    from nightshift.archive.object_verification import ObjectDamage

    proven = (
        f"{format_count(report.objects, 'object')}, {format_count(report.rows, 'row')}, {format_size(report.bytes)}"
    )
    yield f"{'sound' if report.is_sound else 'not sound'}: {proven} proven {_DEPTHS[report.depth]}"
    for object_ in report.damaged:
        yield print_fact("damaged", f"{object_.key}: {object_.damage}: {object_.what}")
    for noted in report.unproven:
        yield print_fact("unproven", f"{noted.key}: {noted.why}")
    for noted in (*report.unfinished, *report.unknown):
        yield print_fact("orphan", f"{noted.key}: {noted.why}")
    for noted in report.in_progress:
        yield print_fact("in progress", f"{noted.key}: {noted.why}")
    for noted in report.overwritten:
        yield print_fact("hidden", f"{noted.key}: {noted.why}; the recorded version is sound")
    for object_ in report.damaged_restored:
        yield print_fact(
            "restored", f"{object_.key}: {object_.damage}: {object_.what}; its rows are in their table, nothing is lost"
        )
    for done in report.repaired:
        yield print_fact("repaired", f"{done.key}: {done.how}" + (f" to {done.to}" if done.to else ""))
    if any(object_.damage != ObjectDamage.FROZEN.value for object_ in report.damaged):
        yield "look for older versions of the damaged objects in the bucket, or for a copy in another region"
    if (report.unfinished or report.unknown) and not repaired:
        yield "nightshift verify --repair takes the orphans out of the readers' sight"
