"""`nightshift backups`: which backups there are, and what each is worth."""

from __future__ import annotations

import click

from nightshift.cli.failures import ExitCode
from nightshift.cli.options import json_option

EPILOG = """
\b
Environment: BACKUP_BUCKET (ARCHIVE_BUCKET), BACKUP_PREFIX, TIMEZONE, and AWS's own. The database is not asked: it may
  be lost.

\b
Exit status: 0 all are sound   1 failed   2 not understood   3 one is damaged

\b
Examples:
  nightshift backups
  nightshift backups --deep
  nightshift backups --json | jq -r '.backups[] | select(.proven) | .name'
"""


@click.command("backups", short_help="Which backups there are.", epilog=EPILOG)
@click.option("--deep", is_flag=True, help="Read every object, and compare its SHA-256.")
@json_option
@click.pass_context
def command(ctx: click.Context, deep: bool, as_json: bool) -> None:
    """Show every backup, newest first: whether it is good, whether a rehearsal has proven it, and what it holds.

    One that was not finished, or of which anything is missing, is never called good.
    """
    from nightshift.backup.inventory import State, find_backups
    from nightshift.cli import context, output
    from nightshift.cli.views import backups as view

    with context.backstage(verbose=ctx.obj):
        shelf, zone = context.backup_shelf(context.make_wiring())
        found = find_backups(shelf.store, shelf.prefix, deep=deep)
    place = f"s3://{shelf.store.bucket}/{shelf.prefix}"
    if as_json:
        output.print_json({"place": place, "backups": [view.to_json(one) for one in found]})
    else:
        view.show(place, found, zone)
    ctx.exit(ExitCode.PARTIAL if any(one.state is State.DAMAGED for one in found) else ExitCode.DONE)
