"""Describes each job for the runtime, for Slack and for the local tools. `functions/<job>/spec.py` defines `SPEC`.

`SPEC` is a `JobSpec`, which names functions and classes as `module:name`. `load_object` imports a named object, so that
reading a spec does not load the job's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Description of a job.

    Attributes:
        name: the job's name, which is also the name of its folder, and the key of its title on Slack.
        work: the function that runs the job, with the arguments `JobRun` and `RunServices`. Returns a `JobResult`.
        request: the pydantic model of the event keys that only this job has. `JobRun.request` is an instance.
        message: the function that renders the result for Slack, with the arguments result, `ReportFrame` and
            `MessageFormatter`. None: the message has only the end of the run, and whether the work is complete.
        needs_archive: whether the job requires ARCHIVE_BUCKET.
        quiet_setting: the field of `Settings` that, if true, suppresses messages of runs with nothing to do.
        layers: the Lambda layers of the function, lowest first, as in template.yaml.
        sample: the function that fills the database of `make invoke`. None: the database is empty.
        sample_run: the job that `make invoke` runs first, because this job needs that job's work.
    """

    name: str
    work: str
    request: str | None = None
    message: str | None = None
    needs_archive: bool = False
    quiet_setting: str | None = None
    layers: tuple[str, ...]
    sample: str | None = None
    sample_run: str | None = None


def load_spec(job: str) -> JobSpec:
    """Returns the spec of a job. Raises `LookupError` if there is no such job."""
    name = f"{job}.spec"
    if not job.isidentifier():
        raise LookupError(f"there is no job {job!r}")
    try:
        spec: JobSpec = import_module(name).SPEC
    except ModuleNotFoundError as exc:
        if exc.name not in (job, name):
            raise
        raise LookupError(f"there is no job {job!r}") from None
    return spec


def load_object(name: str) -> Any:
    """Returns the function or class that a spec names as `module:name`."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def list_jobs(folder: Path) -> list[str]:
    """Returns the names of the jobs with a spec in `folder`, sorted."""
    return sorted(spec.parent.name for spec in folder.glob("*/spec.py"))


def list_jobs_beside(job: str) -> list[str]:
    """Returns the names of the jobs in the same deployment as `job`, including `job`."""
    return list_jobs(Path(str(import_module(f"{job}.spec").__file__)).parents[1])
