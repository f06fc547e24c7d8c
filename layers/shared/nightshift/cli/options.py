"""Defines the options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else.")


def timeout_option(default: int, help_text: str) -> Decorator:
    """Returns the option `--timeout`: the time limit of the command, in seconds."""
    return click.option(
        "--timeout",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=help_text,
    )


class DayParameter(click.ParamType[date]):
    """Type of options for a day, written YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2025-08-31", param, ctx)
        if day.isoformat() != value:
            self.fail(f"{value!r} is no day; write it like {day.isoformat()}", param, ctx)
        return day


def day_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options `--since` and `--until` to a command. Both days are included."""
    until = click.option("--until", type=DayParameter(), callback=_not_before_since, help="Last day, included.")
    # An eager option is parsed first, so that the check of `--until` knows its value in any order of the options.
    since = click.option(
        "--since", type=DayParameter(), is_eager=True, help="First day, included (dt, in the policy's zone)."
    )
    return since(until(command))


def _not_before_since(ctx: click.Context, _param: click.Parameter, until: date | None) -> date | None:
    since = ctx.params.get("since")
    if since is not None and until is not None and until < since:
        raise click.BadParameter(f"{until} lies before --since {since}")
    return until
