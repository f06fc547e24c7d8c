"""Prints the result of restoring a backup, for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nightshift.cli.failures import error_lines
from nightshift.cli.output import format_count, format_seconds, format_size, print_fact, print_json
from nightshift.errors import NightshiftError
from nightshift.results.backup import RestoredBackup
from nightshift.results.common import RunStatus

_ENDS = {
    RunStatus.OK: "restored; all of it is as it was saved",
    RunStatus.DRY_RUN: "would be restored; nothing was written",
    RunStatus.REFUSED: "refused, nothing was touched",
    RunStatus.NOTHING: "nothing to restore",
}


def show_restored_backup(result: RestoredBackup, *, as_json: bool) -> None:
    """Print the verdict, the figures, and every difference."""
    if as_json:
        print_json({"status": result.status.value, **result.to_json(), "by_table": dict(result.by_table)})
    else:
        click.echo("\n".join(_lines(result)))


def _lines(result: RestoredBackup) -> Iterator[str]:
    others = (result.but_for or result.environment) and result.status is RunStatus.OK
    but_for = ", except for what is named below" if others else ""
    yield f"{result.name}: {_ENDS.get(result.status) or _partial(result)}{but_for}"
    if result.refusal is not None:
        refused = NightshiftError(result.refusal.message, hint=result.refusal.hint)
        yield f"  ({result.refusal.guard}) {error_lines(refused)}"
        return
    yield print_fact("into", str(result.target))
    spent = f", {format_seconds(result.seconds)}" if result.seconds else ""
    yield print_fact(
        "tables", f"{result.tables:,}, {format_count(result.rows, 'row')}, {format_size(result.bytes)}{spent}"
    )
    for difference in result.differences:
        yield print_fact("difference", difference)
    for one in result.but_for:
        yield print_fact("except for", one)
    for sentence in result.environment:
        yield print_fact("environment", sentence)
    for warning in result.warnings:
        yield print_fact("warning", warning)


def _partial(result: RestoredBackup) -> str:
    if result.left_tables:
        left = format_count(result.left_tables, "table")
        return f"time was over: {left} did not come back, drop the database and begin again"
    return f"restored, and {format_count(len(result.differences), 'thing')} not as it was saved"
