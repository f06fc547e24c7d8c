"""What a restore of a backup did, for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nightshift.cli.failures import told
from nightshift.cli.output import count, fact, print_json, seconds, size
from nightshift.errors import NightshiftError
from nightshift.results import Status
from nightshift.results.backup import RestoredBackup

_ENDS = {
    Status.OK: "restored; all of it is as it was saved",
    Status.DRY_RUN: "would be restored; nothing was written",
    Status.REFUSED: "refused, nothing was touched",
    Status.NOTHING: "nothing to restore",
}


def show(result: RestoredBackup, *, as_json: bool) -> None:
    """Print the verdict, the figures, and every difference."""
    if as_json:
        print_json({"status": result.status.value, **result.to_json(), "by_table": dict(result.by_table)})
    else:
        click.echo("\n".join(_lines(result)))


def _lines(result: RestoredBackup) -> Iterator[str]:
    others = (result.but_for or result.environment) and result.status is Status.OK
    but_for = ", except for what is named below" if others else ""
    yield f"{result.name}: {_ENDS.get(result.status) or _partial(result)}{but_for}"
    if result.refusal is not None:
        yield f"  ({result.refusal.guard}) {told(NightshiftError(result.refusal.message, hint=result.refusal.hint))}"
        return
    yield fact("into", str(result.target))
    spent = f", {seconds(result.seconds)}" if result.seconds else ""
    yield fact("tables", f"{result.tables:,}, {count(result.rows, 'row')}, {size(result.bytes)}{spent}")
    for difference in result.differences:
        yield fact("difference", difference)
    for one in result.but_for:
        yield fact("except for", one)
    for sentence in result.environment:
        yield fact("environment", sentence)
    for warning in result.warnings:
        yield fact("warning", warning)


def _partial(result: RestoredBackup) -> str:
    if result.left_tables:
        return (
            f"time was over: {count(result.left_tables, 'table')} did not come back, drop the database and begin again"
        )
    return f"restored, and {count(len(result.differences), 'thing')} not as it was saved"
