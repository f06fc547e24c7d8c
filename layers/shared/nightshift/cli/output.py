"""Formats answers for stdout: numbers, sizes, times, tables, JSON.

On a terminal, rich may use colours and fold lines. In a pipe, the output has no colours, no boxes and no folded lines,
so that `grep` and `awk` receive whole lines. Functions import rich only to write, so that a command's help is fast.
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
"""Width of a line in a pipe, in characters."""


def console_for(stream: TextIO) -> Console:
    """Returns a rich console that writes plain text unless `stream` is a terminal, even if FORCE_COLOR is set."""
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
    """Prints an answer as indented JSON. Characters such as Korean are not escaped."""
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, total: bool = False) -> None:
    """Prints a table.

    Args:
        text: number of columns, from the left, with text. The other columns have figures, and are aligned right.
        total: whether the last row is the sum of the other rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = console_for(sys.stdout)
    # Columns are two spaces apart. In a box, rich adds one of the two spaces.
    box, right = (SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)
    table = Table(box=box, pad_edge=False, show_edge=False, padding=(0, right, 0, 0))
    for number, title in enumerate(head):
        # On a narrow terminal only the first column becomes narrower: a name may be folded, a figure must not.
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
    """Returns one indented line of a summary. The function does not print."""
    return f"  {name:<12} {value}"


def format_count(number: int, noun: str) -> str:
    """Returns a count with its noun, e.g. `1 row` or `1,234 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_seconds(number: float) -> str:
    """Returns a duration, e.g. `0.4 s`, `75 s` or `2 h 5 min`."""
    if number < 9.95:
        return f"{number:.1f} s"
    if number < 3600:
        return f"{number:,.0f} s"
    hours, minutes = divmod(round(number / 60), 60)
    return f"{hours:,} h {minutes} min"


def format_moment(when: datetime | None) -> str:
    """Returns a time in ISO 8601, to the second; `-` for None."""
    return "-" if when is None else when.isoformat(timespec="seconds")
