"""`make invoke JOB=cleanup EVENT=events/cleanup.json`: one function, one event, in Lambda's own runtime.

Without EVENT it is the sample event, which fits the servers that are started for the call; on servers of one's own the
run stands for now.

The function gets the caller's environment. Where that names neither a database nor a bucket, both are started on this
machine for the one call (`local/stand_in.py`), with something in them to do, so that the command works on a fresh
checkout; for a restore a cleanup has archived some of it before, for a rehearsal there is a backup.
Exit status: 0 the function answered, 1 it failed, 2 the command was not understood, 130 it was interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from local.lambda_runtime import TASK_ROOT, LambdaRuntime
from nightshift.errors import InvalidEvent, NightshiftError
from nightshift.job_spec import list_jobs, load_object, load_spec
from nightshift.run import parse_event

DEPENDS_ON = ("DATABASE_URL", "DATABASE_SECRET_ARN", "ARCHIVE_BUCKET", "BACKUP_BUCKET")
"""One of these set: the caller has servers of their own, and no demo server may stand in for any of them."""


class Usage(NightshiftError):
    """The command line names no job or no event that exists."""


def main(arguments: list[str]) -> int:
    """Run the command; its exit status."""
    try:
        job, event = _read(arguments)
        with _environment(job, event) as env, LambdaRuntime(f"{job}.app.lambda_handler", env) as runtime:
            print(f"{job} runs from {runtime.artefact.label}", file=sys.stderr)
            result = runtime.invoke(json.dumps(event).encode())
    except Usage as error:
        print(error, file=sys.stderr)
        return 2
    except NightshiftError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(result.logs, file=sys.stderr)
    print(json.dumps(result.payload, ensure_ascii=False, indent=2))
    return 0 if result.error_type is None else 1


def _read(arguments: list[str]) -> tuple[str, object]:
    """The job's name and the event, both known to exist."""
    if len(arguments) not in (1, 2):
        raise Usage("usage: make invoke JOB=cleanup EVENT=events/cleanup.json")
    job = arguments[0]
    jobs = list_jobs(TASK_ROOT)
    if job not in jobs:
        raise Usage(f"there is no job {job!r}", hint=f"JOB is one of: {', '.join(jobs) or 'none yet'}")
    if len(arguments) == 1 and _has_servers():
        print("no EVENT is named: the run stands for now", file=sys.stderr)
        return job, {}
    path = Path(arguments[1]) if len(arguments) == 2 else TASK_ROOT.parent / "events" / f"{job}.json"
    try:
        print(f"the event is {path}", file=sys.stderr)
        return job, json.loads(path.read_bytes())
    except OSError as exc:
        raise Usage(f"the event cannot be read: {path} ({exc.strerror})", hint="EVENT is a JSON file") from exc
    except ValueError as exc:
        raise Usage(f"the event is not JSON: {path}", detail=str(exc)) from exc


def _has_servers() -> bool:
    """Returns whether the caller names servers of their own."""
    return any(os.environ.get(name) for name in DEPENDS_ON)


@contextmanager
def _environment(job: str, event: object) -> Iterator[Mapping[str, str]]:
    """The caller's variables, with servers of our own where they name none."""
    if _has_servers():
        yield os.environ
        return
    from local.stand_in import stand_in

    print(f"none of {', '.join(DEPENDS_ON)} is set", file=sys.stderr)
    moment = _moment_of(job, event)
    with stand_in(job, moment) as servers:
        env = {**os.environ, **servers}
        if before := load_spec(job).sample_run:
            _prepare(before, env, moment)
        yield env


def _prepare(job: str, env: Mapping[str, str], moment: datetime) -> None:
    """Run a job, so that another finds what it needs; Slack hears of the other one alone."""
    print(f"{job} runs first", file=sys.stderr)
    quiet = {name: value for name, value in env.items() if not name.startswith("SLACK_")}
    with LambdaRuntime(f"{job}.app.lambda_handler", quiet) as runtime:
        result = runtime.invoke({"scheduled_time": moment.isoformat()})
    if result.error_type is not None:
        raise NightshiftError(f"{job} failed", detail=result.logs)


def _moment_of(job: str, event: object) -> datetime:
    """The time that the event stands for: some rows of the stand-ins are due then."""
    now, request = datetime.now(UTC), load_spec(job).request
    try:
        return parse_event(job, event, None, now=now, request=load_object(request) if request else None).as_of
    except InvalidEvent:
        return now


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
