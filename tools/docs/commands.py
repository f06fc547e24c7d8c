"""The command line's reference: help pages and exit statuses."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nightshift.cli.app import cli
from nightshift.cli.failures import ExitCode
from tools.docs import markdown

WIDTH = 120
MEANINGS = {
    ExitCode.DONE: "The command did what was asked.",
    ExitCode.FAILED: "An error ended the command; stderr has the message and a hint.",
    ExitCode.USAGE: "The command line or a setting is wrong. Nothing was touched.",
    ExitCode.PARTIAL: "The command did part of the work and names the rest.",
    ExitCode.REFUSED: "A guard refused. Nothing was touched.",
    ExitCode.INTERRUPTED: "Ctrl-C or SIGTERM ended the command.",
}


def help_pages() -> str:
    """Returns every command's help."""
    parts = []
    for path, command in _commands("nightshift", cli, None):
        with click.Context(command, info_name=path, max_content_width=WIDTH, terminal_width=WIDTH) as context:
            context.help_option_names = ["-h", "--help"]
            page = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {path}\n\n```text\n{page}\n```")
    return "\n\n".join(parts)


def _commands(path: str, command: click.Command, parent: click.Context | None) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, parent, path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(f"{path} {name}", found, context)


def exit_status_table() -> str:
    """Returns the exit statuses."""
    return markdown.table(("Status", "Meaning"), [(f"{code.value}", MEANINGS[code]) for code in ExitCode])
