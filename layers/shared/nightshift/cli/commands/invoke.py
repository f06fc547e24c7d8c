"""`nightshift invoke`: calls a job's handler in this process, as Lambda calls the handler."""

from __future__ import annotations

import json
import logging
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from nightshift.cli.failures import exit_code
from nightshift.cli.jobs import find_jobs
from nightshift.cli.options import timeout_option

EPILOG = """
\b
Environment: all that the job reads. The run is real: it writes, and reports to Slack if SLACK_BOT_TOKEN is set.

\b
Exit status: 0 done, 1 failed, 2 not understood, 3 done in part, 4 refused.

\b
Examples:
  nightshift invoke cleanup --event events/cleanup.dry_run.json
  echo '{"dry_run": true}' | nightshift invoke cleanup --event -
  nightshift invoke cleanup --json | jq .status
  nightshift invoke backup --timeout 28800
"""


class JobParameter(click.ParamType[str]):
    """Type of the argument JOB: the name of a folder under `functions/`."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in find_jobs():
            self.fail(f"there is no job {value!r}; there are: {', '.join(find_jobs()) or 'none'}", param, ctx)
        return str(value)

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in find_jobs() if name.startswith(incomplete)]


@click.command("invoke", short_help="Run a job once, in this process.", epilog=EPILOG)
@click.argument("job", type=JobParameter())
@click.option(
    "--event",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A JSON file, or - for stdin. Default: {}, a run that stands for now.",
)
@timeout_option(14_400, "Time after which the job ends; the next run continues.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer on one line, and nothing else on stdout.")
@click.pass_context
def invoke_command(ctx: click.Context, job: str, source: Path | None, timeout: int, as_json: bool) -> None:
    """Run a job once in this process, and print its answer as JSON.

    During the run, stderr shows the time and the last step every ten seconds.
    """
    from nightshift.cli import context, output
    from nightshift.cli.progress import TimeAllowance, signs_of_life
    from nightshift.runtime import logger

    event = _event(source)
    log = logging.getLogger(logger.name)
    with context.redirect_output(verbose=ctx.obj), signs_of_life(job, log):
        answer = import_module(f"{job}.app").lambda_handler(event, TimeAllowance(time.monotonic() + timeout))
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        output.print_json(answer)
    ctx.exit(exit_code(answer["status"]))


def _event(source: Path | None) -> object:
    if source is None:
        return {}
    text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint="--event") from None
