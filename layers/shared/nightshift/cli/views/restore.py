"""A restore's answer, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from nightshift.cli.failures import error_lines
from nightshift.cli.output import format_count, format_moment, format_seconds, format_size, print_fact
from nightshift.errors import NightshiftError
from nightshift.results.restore import RestoreResult

_ENDS = {
    "ok": "restored",
    "nothing": "nothing was left to restore",
    "partial": "restored in part",
    "refused": "refused, nothing was touched",
    "dry_run": "would be restored; nothing was written",
}


def show_restore(answer: Mapping[str, Any]) -> None:
    """Prints the table, the number of rows, and anything unexpected."""
    click.echo("\n".join(_lines(answer)))


def show_before_failure(done: RestoreResult) -> None:
    """Prints to stderr the rows that were restored although the run failed."""
    rows, objects = format_count(done.rows, "row"), format_count(done.objects, "object")
    click.echo(f"restored before the failure: {rows} in {objects} into {done.into}; run it again to go on", err=True)


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yields the verdict, the figures, and remarks."""
    if "restored_rows" not in answer:
        yield f"restore: {_ENDS[answer['status']]}: {answer['reason']}"  # the frame's word: the job had no turn
        return
    if refusal := answer.get("refusal"):
        yield f"{answer['table']}: {_ENDS['refused']}"
        yield f"  ({refusal['guard']}) {error_lines(NightshiftError(refusal['message'], hint=refusal['hint']))}"
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
    for one in answer["damaged"]:
        yield print_fact("damaged", f"{one['key']}: {one['damage']}: {one['what']}")
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
