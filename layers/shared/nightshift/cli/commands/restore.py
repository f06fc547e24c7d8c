"""`nightshift restore`: restores archived rows into a table. The command runs the job `restore` in this process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from nightshift.cli.failures import DeclinedByUser, exit_code, refusal_lines
from nightshift.cli.options import day_options, json_option, timeout_option
from nightshift.cli.output import format_count, format_moment, format_seconds, print_fact, print_json
from nightshift.errors import NightshiftError
from nightshift.results.units import format_size

if TYPE_CHECKING:
    from nightshift.cli.progress import ProgressBar
    from nightshift.progress_events import Listener

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
"""Values of options that were not given. An empty text counts as given, e.g. an unset variable in a script."""


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
    event = _event(dry_run=dry_run, **asked)
    _check(event)
    if event.get("into_original") and not dry_run and not yes and sys.stdin.isatty():
        _confirm(event)
    answer = _restore(event, timeout, verbose=ctx.obj)
    if as_json:
        print_json(answer)
    else:
        click.echo("\n".join(_lines(answer)))
    ctx.exit(exit_code(answer["status"]))


def _event(*, since: date | None, until: date | None, objects: tuple[str, ...], **asked: Any) -> dict[str, Any]:
    days = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return {name: value for name, value in {**asked, **days, "objects": list(objects)}.items() if value not in _ABSENT}


def _check(event: dict[str, Any]) -> None:
    """Checks event and settings before the run, so that a typing error causes no message of failure on Slack."""
    from nightshift.cli import context
    from nightshift.errors import InvalidEvent
    from nightshift.restore.request import RestoreRequest
    from nightshift.run import parse_event

    wiring = context.make_wiring()
    try:
        parse_event("restore", event, None, now=wiring.now(), request=RestoreRequest)
    except InvalidEvent as exc:
        detail = (exc.detail or "").replace("event: ", "")
        raise InvalidEvent(
            "this cannot be restored as asked", detail=detail, hint="see nightshift restore -h"
        ) from None
    with context.open_services(wiring) as services:
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
        raise DeclinedByUser("nothing was touched")


def _restore(event: dict[str, Any], timeout: int, *, verbose: bool) -> dict[str, Any]:
    """Runs the job for at most `timeout` seconds. Prints to stderr the rows restored before a failure."""
    from nightshift.cli import context, jobs, progress
    from nightshift.cli.progress import TimeAllowance
    from nightshift.results.restore import RestoreResult
    from nightshift.runtime import run_job

    with context.redirect_output(verbose=verbose), progress.show_progress("restoring", "rows") as bar:
        wiring = context.make_wiring(_listener(bar))
        jobs.find_jobs()
        try:
            return run_job("restore", event, TimeAllowance(time.monotonic() + timeout), wiring)
        except NightshiftError as exc:
            done = exc.result
            if isinstance(done, RestoreResult) and done.objects:
                work = f"{format_count(done.rows, 'row')} in {format_count(done.objects, 'object')} into {done.into}"
                click.echo(f"restored before the failure: {work}; run it again to go on", err=True)
            raise


def _listener(bar: ProgressBar) -> Listener:
    from nightshift.progress_events import ProgressEvent, ProgressStep

    def listen(event: ProgressEvent) -> None:
        if event.step == ProgressStep.PLANNED:
            bar.expect_rows(event.rows)
        elif event.step == ProgressStep.COMMITTED:
            bar.advance_rows(event.rows)

    return listen


_ENDS = {
    "ok": "restored",
    "nothing": "nothing was left to restore",
    "partial": "restored in part",
    "refused": "refused, nothing was touched",
    "dry_run": "would be restored; nothing was written",
}


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    if "restored_rows" not in answer:
        yield f"restore: {_ENDS[answer['status']]}: {answer['reason']}"  # `runtime` refused the run
        return
    if refusal := answer.get("refusal"):
        yield f"{answer['table']}: {_ENDS['refused']}"
        yield f"  ({refusal['guard']}) {refusal_lines(refusal['message'], refusal['hint'])}"
        return
    if answer["status"] == "nothing" and not answer["already"]:
        yield f"{answer['table']}: nothing is archived of what was asked for"
        return
    yield f"{answer['table']}: {_ENDS[answer['status']]}"
    yield from _figures(answer)
    if hold := answer.get("hold_until"):
        yield print_fact("hold", f"no job deletes these rows until {format_moment(datetime.fromisoformat(hold))}")
    for note in answer["columns"]:
        yield print_fact("column", note)
    for damaged in answer["damaged"]:
        yield print_fact("damaged", f"{damaged['key']}: {damaged['damage']}: {damaged['what']}")
    for warning in answer.get("warnings", ()):
        yield print_fact("warning", warning)


def _figures(answer: Mapping[str, Any]) -> Iterator[str]:
    yield print_fact("into", answer["into"] + (", the original" if answer["into_original"] else ""))
    if answer["status"] != "nothing":
        spent = "" if answer["status"] == "dry_run" else f", {format_seconds(answer['seconds'])}"
        yield print_fact("rows", f"{answer['restored_rows']:,}")
        yield print_fact("objects", f"{answer['objects']:,}, {format_size(answer['bytes'])}{spent}")
    if answer["existing_rows"]:
        yield print_fact(
            "left alone", f"{format_count(answer['existing_rows'], 'row')}: the table has their keys already"
        )
    if answer["already"]:
        yield print_fact("already", f"{format_count(answer['already'], 'object')} restored there by an earlier run")
    if answer["remaining"]:
        yield print_fact("remaining", f"{format_count(answer['remaining'], 'object')}: run the command again to go on")
