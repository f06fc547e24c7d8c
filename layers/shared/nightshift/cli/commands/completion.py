"""`nightshift completion`: prints the script for completion on TAB in bash, zsh and fish."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EPILOG = """
\b
Exit status: 0 printed, 2 not understood.

\b
Examples:
  eval "$(nightshift completion bash)"                               in ~/.bashrc
  eval "$(nightshift completion zsh)"                                in ~/.zshrc
  nightshift completion fish > ~/.config/fish/completions/nightshift.fish
"""


@click.command("completion", short_help="Print a completion script for bash, zsh or fish.", epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options on TAB. It reads no database."""
    root = ctx.find_root()
    kind = get_completion_class(shell)
    assert kind is not None  # click supports all three shells
    click.echo(kind(root.command, {}, "nightshift", "_NIGHTSHIFT_COMPLETE").source())
