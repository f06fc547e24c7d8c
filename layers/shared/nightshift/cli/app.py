"""The command `nightshift`: its subcommands, loaded when they are called, and its one way to fail."""

from __future__ import annotations

from importlib import import_module

import click

import nightshift
from nightshift.cli.failures import reported

COMMANDS = ("plan", "archives", "verify", "restore", "backups", "restore-backup", "invoke", "completion")
"""In the order in which an operator meets them; each is a module under `commands/`, with `_` for `-`."""

EPILOG = """
\b
Environment, as the handlers read it:
  DATABASE_URL              postgresql://… or sqlite:///…; or DATABASE_SECRET_ARN
  ARCHIVE_BUCKET            the archive's bucket; ARCHIVE_PREFIX (archive)
  BACKUP_BUCKET             the backups' bucket (ARCHIVE_BUCKET); BACKUP_PREFIX (backup)
  NIGHTSHIFT_CONFIG         the policy file: a path, s3://… or ssm:/…
  TIMEZONE                  of days and moments without a zone (Asia/Seoul)
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, …   as in every AWS tool

\b
Exit status:
  0 done   1 failed   2 not understood   3 done in part   4 refused   130 interrupted

\b
Examples:
  nightshift plan
  nightshift archives --table conversation_log
  nightshift verify --quick
  nightshift restore conversation_log --since 2025-08-01 --until 2025-08-31
"""


class Commands(click.Group):
    """Imports a command when it is asked for, and turns every failure into one message and an exit status."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"nightshift.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        with reported(verbose=bool(ctx.params.get("verbose"))):
            return super().invoke(ctx)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nightshift.__version__, prog_name="nightshift")
@click.option("--verbose", is_flag=True, help="Show the log, and the trace of an unexpected error, on stderr.")
@click.pass_context
def cli(ctx: click.Context, verbose: bool) -> None:
    """The night crew's tools for the day: what cleanup would take, what is archived, whether it is sound, and the
    way back.
    """
    ctx.obj = verbose
