"""`nightshift invoke`: a job's handler, called in this process as Lambda would call it, but without a deadline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from nightshift.cli import jobs
from nightshift.cli.failures import exit_code

EPILOG = """
\b
Environment: all that the job reads; the run is real: it writes, and tells Slack where SLACK_BOT_TOKEN is set.

\b
Exit status: 0 done, 1 failed, 2 not understood, 3 done in part, 4 refused.

\b
Examples:
  nightshift invoke cleanup --event events/cleanup.dry_run.json
  echo '{"dry_run": true}' | nightshift invoke cleanup --event -
  nightshift invoke cleanup --json | jq .status
"""


class Job(click.ParamType[str]):
    """The name of a folder under `functions/`."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in jobs.job_names():
            self.fail(f"there is no job {value!r}; there are: {', '.join(jobs.job_names()) or 'none'}", param, ctx)
        return str(value)

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in jobs.job_names() if name.startswith(incomplete)]


@click.command("invoke", short_help="Run a job once, in this process.", epilog=EPILOG)
@click.argument("job", type=Job())
@click.option(
    "--event",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A JSON file, or - for stdin. Default: the checkout's events/JOB.json, else {}.",
)
@click.option("--json", "as_json", is_flag=True, help="The answer on one line, and nothing else on stdout.")
@click.pass_context
def command(ctx: click.Context, job: str, source: Path | None, as_json: bool) -> None:
    """Run a job once, here and now, with an event of your choice, and print its answer as JSON."""
    from nightshift.cli import context, output

    event = _event(job, source)
    with context.backstage(verbose=ctx.obj):
        answer = jobs.load(job, "app").lambda_handler(event, None)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        output.print_json(answer)
    ctx.exit(exit_code(answer["status"]))


def _event(job: str, source: Path | None) -> object:
    if source is None:
        usual = jobs.CHECKOUT / "events" / f"{job}.json"
        text = usual.read_text(encoding="utf-8") if usual.is_file() else "{}"
    elif str(source) == "-":
        text = sys.stdin.read()
    else:
        text = source.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint="--event") from None
