"""The archive's holdings, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from nightshift.cli.holdings import ArchiveSummary, TableSummary, total_summary
from nightshift.cli.output import format_count, format_size, print_table


def show_archives(place: str, tables: Sequence[TableSummary], *, by: Literal["table", "day"]) -> None:
    """Print a line a table or a day, and the sum."""
    if not tables:
        click.echo(f"nothing is archived in {place}, or nothing of what was asked for")
        return
    click.echo(f"the archive in {place}\n")
    whole = total_summary(tables)
    states = sorted(whole.other_totals)
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
    days = [day for day, holding in table.days.items() if holding.archived_totals.objects] or ["-"]
    return (table.table, f"{len(days):,}", days[0], days[-1], *_figures(table, states))


def _by_day(table: TableSummary, states: Sequence[str]) -> list[tuple[str, ...]]:
    return [(table.table, day, *_figures(holding, states)) for day, holding in table.days.items()]


def _figures(holding: ArchiveSummary, states: Sequence[str]) -> tuple[str, ...]:
    archived = holding.archived_totals
    others = (holding.states.get(state) for state in states)
    return (
        f"{archived.rows:,}",
        format_size(archived.bytes),
        f"{archived.objects:,}",
        *(f"{one.rows:,}/{one.objects:,}" if one else "-" for one in others),
    )
