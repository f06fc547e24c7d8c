"""`nightshift restore`: restores archived rows into a table, by the same job that Lambda runs."""

from __future__ import annotations

import sys
import time
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from nightshift.cli.failures import DeclinedByUser, exit_code
from nightshift.cli.options import day_options, json_option, timeout_option

if TYPE_CHECKING:
    from nightshift.archive.events import Listener
    from nightshift.cli.progress import ProgressBar

EPILOG = """
\b
Environment: DATABASE_URL, ARCHIVE_BUCKET, TIMEZONE, and AWS's own. The run reports to Slack if SLACK_BOT_TOKEN is set.

\b
Exit status:
  0 restored, or nothing was left to do   1 failed   2 not understood
  3 done in part: damaged objects are named, all others are restored; or the time was over
  4 refused, nothing was touched          130 interrupted: whole objects are restored, or not at all

\b
Examples:
  nightshift restore conversation_log --since 2025-08-01 --until 2025-08-31 --dry-run
  nightshift restore conversation_log --since 2025-08-01 --until 2025-08-31
  nightshift restore conversation_log --object 3f9c….parquet --into inquiry_42
  nightshift restore conversation_log --since 2025-08-31 --into-original --hold 12h
  nightshift restore conversation_log --rename message=body --json | jq .restored_rows
"""


_ABSENT: tuple[object, ...] = (None, False, [], {})
"""Values of options that were not given. An empty text was given: an unset variable in a script is no default."""


def _renames(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    renames: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise click.BadParameter(f"{pair!r} is not like old=new")
        if old in renames:
            raise click.BadParameter(f"{old} is renamed twice")
        renames[old] = new
    return renames


@click.command("restore", short_help="Restore archived rows into a table.", epilog=EPILOG)
@click.argument("table")
@day_options
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="KEY",
    help="Only this object: key, s3:// address or file name. Repeatable.",
)
@click.option("--into", metavar="TABLE", help="Table to fill, created if missing. Default: TABLE_restored.")
@click.option(
    "--into-original", is_flag=True, help="Restore into TABLE itself: the rows leave the archive. Asks on a terminal."
)
@click.option(
    "--hold", metavar="TIME", help="With --into-original: time for which no job deletes the rows (7d): 12h, 0, a day."
)
@click.option(
    "--rename",
    multiple=True,
    callback=_renames,
    metavar="OLD=NEW",
    help="Column that has another name now. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be restored; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal there is no question.")
@timeout_option(86_400, "Time after which the run ends; a second run continues.")
@json_option
@click.pass_context
def restore_command(
    ctx: click.Context, /, *, dry_run: bool, yes: bool, timeout: int, as_json: bool, **asked: Any
) -> None:
    """Restore archived rows of TABLE into TABLE_restored, or into the table that an option names.

    Every object is verified before its rows are inserted. Rows whose keys the table has already are left alone. A
    second run inserts nothing. During the run, stderr shows the inserted rows: a bar on a terminal, a line every ten
    seconds elsewhere.
    """
    from nightshift.cli.views import restore as view

    event = _event(dry_run=dry_run, **asked)
    _check(event)
    if event.get("into_original") and not dry_run and not yes and sys.stdin.isatty():
        _confirm(event)
    answer = _restore(event, timeout, verbose=ctx.obj)
    if as_json:
        from nightshift.cli.output import print_json

        print_json(answer)
    else:
        view.show_restore(answer)
    ctx.exit(exit_code(answer["status"]))


def _event(*, since: date | None, until: date | None, objects: tuple[str, ...], **asked: Any) -> dict[str, Any]:
    """The event that asks for it; what was not given is left out."""
    days = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return {name: value for name, value in {**asked, **days, "objects": list(objects)}.items() if value not in _ABSENT}


def _check(event: dict[str, Any]) -> None:
    """Checks here what the frame would check: a typing error is no failed run that Slack must report.

    Raises:
        InvalidEvent, InvalidSettings: as the run would.
    """
    from nightshift.cli import context
    from nightshift.errors import InvalidEvent
    from nightshift.restore.request import RestoreRequest
    from nightshift.run import parse_event

    wiring = context.make_wiring()
    try:
        run = parse_event("restore", event, None, now=wiring.now(), request=RestoreRequest)
    except InvalidEvent as exc:
        detail = (exc.detail or "").replace("event: ", "")
        raise InvalidEvent(
            "this cannot be restored as asked", detail=detail, hint="see nightshift restore -h"
        ) from None
    with context.open_services(wiring, run) as services:
        _ = services.archive_bucket


def _confirm(event: dict[str, Any]) -> None:
    from nightshift.restore.request import DEFAULT_HOLD

    since, until = event.get("since", "the first day"), event.get("until", "the last day")
    what = f"{len(event['objects'])} objects" if "objects" in event else f"{since} to {until}"
    click.echo(
        f"The archived rows of {event['table']} ({what}) go back into that table and leave the archive."
        f" When their hold is over ({event.get('hold', DEFAULT_HOLD)}), cleanup archives them again.",
        err=True,
    )
    if not click.confirm("Go on?", err=True):
        raise DeclinedByUser


def _restore(event: dict[str, Any], timeout: int, *, verbose: bool) -> dict[str, Any]:
    """Run the job.

    Args:
        timeout: seconds.

    Raises:
        NightshiftError: it failed; stderr has the rows that it had restored before.
    """
    from nightshift.cli import context, jobs, progress
    from nightshift.cli.views import restore as view
    from nightshift.cli.watch import TimeAllowance
    from nightshift.errors import NightshiftError
    from nightshift.results.restore import RestoreResult
    from nightshift.runtime import run_job

    with context.redirect_output(verbose=verbose), progress.show_progress("restoring", "rows") as bar:
        wiring = context.make_wiring(_listener(bar))
        jobs.find_jobs()
        try:
            return run_job("restore", event, TimeAllowance(time.monotonic() + timeout), wiring)
        except NightshiftError as exc:
            if isinstance(exc.result, RestoreResult) and exc.result.objects:
                view.show_before_failure(exc.result)
            raise


def _listener(bar: ProgressBar) -> Listener:
    from nightshift.archive.events import ProgressEvent, ProgressStep

    def listen(event: ProgressEvent) -> None:
        if event.step == ProgressStep.PLANNED:
            bar.expect_rows(event.rows)
        elif event.step == ProgressStep.COMMITTED:
            bar.advance_rows(event.rows)

    return listen
