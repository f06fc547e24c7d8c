"""Defines the command `nightshift`, which imports a subcommand on its first use, and reports all failures alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

import nightshift
from nightshift.cli.failures import StoppedByUser, as_answer, handle_errors

COMMANDS = ("plan", "archives", "verify", "restore", "backups", "restore-backup", "invoke", "completion")
"""Commands in the order of the help text. Each command is a module under `commands/`, with `_` for `-`."""

EPILOG = """
\b
Environment, as the functions read it:
  DATABASE_URL              postgresql://… or sqlite:///…; or DATABASE_SECRET_ARN
  ARCHIVE_BUCKET            the archive's bucket; ARCHIVE_PREFIX (archive)
  BACKUP_BUCKET             the backups' bucket (ARCHIVE_BUCKET); BACKUP_PREFIX (backup)
  NIGHTSHIFT_CONFIG         the policy file: a path, s3://… or ssm:/…
  TIMEZONE                  of days and moments without a zone (Asia/Seoul)
  AWS_PROFILE, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, …   as boto3 reads them

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


class CommandGroup(click.Group):
    """Group that imports a command on its first use, and reports a failure as one message and an exit status."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"nightshift.cli.commands.{name}"), f"{name}_command")
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **more: Any,
    ) -> Any:
        """Runs a command line. With `--json`, a failure is also printed as a JSON object on stdout."""
        words = sys.argv[1:] if args is None else list(args)
        if not standalone_mode or "--json" not in words:
            return super().main(args, prog_name, complete_var, standalone_mode, **more)
        try:
            sys.exit(super().main(args, prog_name, complete_var, False, **more) or 0)
        except click.Abort:
            failure: click.ClickException = StoppedByUser("interrupted")
        except click.ClickException as exc:
            failure = exc
        failure.show()
        click.echo(json.dumps(as_answer(failure), ensure_ascii=False, indent=2))
        sys.exit(failure.exit_code)

    def invoke(self, ctx: click.Context) -> object:
        with handle_errors(verbose=bool(ctx.params.get("verbose"))):
            return super().invoke(ctx)


@click.group(cls=CommandGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nightshift.__version__, prog_name="nightshift")
@click.option("--verbose", is_flag=True, help="Show the log, and the trace of an unexpected error, on stderr.")
@click.pass_context
def cli(ctx: click.Context, verbose: bool) -> None:
    """Plan cleanup, list and verify the archive, restore rows and backups, and run a job."""
    ctx.obj = verbose
