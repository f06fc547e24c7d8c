"""Formats facts for stdout: numbers, sizes, times, tables, JSON.

On a terminal rich may colour and fold; in a pipe there is no colour, no box and no width, so that `grep` and `awk` see
whole lines. rich is imported when it writes: a command's help does without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 100_000
"""Characters a line in a pipe."""


def console_for(stream: TextIO) -> Console:
    """A console that writes plainly unless `stream` is a terminal, whatever FORCE_COLOR says."""
    from rich.console import Console

    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=None if terminal else UNLIMITED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )


def print_json(answer: Any) -> None:
    """One JSON object; Korean stays readable."""
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, total: bool = False) -> None:
    """Print a table.

    Args:
        text: how many columns, from the left, are text; the others are figures and stand to the right.
        total: the last row is the sum of the others.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = console_for(sys.stdout)
    # Two spaces between columns; a box has one of its own there.
    box, right = (SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)
    table = Table(box=box, pad_edge=False, show_edge=False, padding=(0, right, 0, 0))
    for number, title in enumerate(head):
        # On a narrow terminal the first column gives way: a name folds, a figure must not.
        table.add_column(
            title,
            justify="left" if number < text else "right",
            no_wrap=number > 0,
            overflow="ellipsis" if number else "fold",
        )
    for number, row in enumerate(rows, 1):
        is_total = total and number == len(rows)
        table.add_row(*row, style="bold" if is_total else None)
    console.print(table)


def print_fact(name: str, value: str) -> str:
    """One indented line of a summary."""
    return f"  {name:<12} {value}"


def format_count(number: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_seconds(number: float) -> str:
    """`0.4 s`, `75 s`, `2 h 5 min`."""
    if number < 9.95:
        return f"{number:.1f} s"
    if number < 3600:
        return f"{number:,.0f} s"
    hours, minutes = divmod(round(number / 60), 60)
    return f"{hours:,} h {minutes} min"


def format_moment(when: datetime | None) -> str:
    """ISO 8601 to the second, `-` for none."""
    return "-" if when is None else when.isoformat(timespec="seconds")
