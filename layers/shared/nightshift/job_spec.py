"""Describes a job to the code that is not the job: `functions/<job>/spec.py` has one `JobSpec`, named `SPEC`.

A spec names functions and classes as `module:name`. They are imported on request, so that reading a spec loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Everything that the runtime, Slack and the local tools need to know about a job.

    Attributes:
        name: the job's name, which is also the name of its folder and of its Slack title.
        work: the function that does the work; it takes `JobRun` and `RunServices` and returns a `JobResult`.
        request: the pydantic model of the event keys that only this job has; `JobRun.request` is one of it.
        message: the function that renders the result for Slack; it takes the result, a `ReportFrame` and a
            `MessageFormatter`. None: the message says that the job ran, and whether it is complete.
        needs_archive: whether the job cannot run without ARCHIVE_BUCKET.
        quiet_setting: the field of `Settings` that, if true, suppresses messages of runs with nothing to do.
        layers: the Lambda layers of the function, lowest first, as in template.yaml.
        sample: the function that fills the database of `make invoke`. None: the database is empty.
        sample_run: the job that `make invoke` runs before, because this job needs the work of that one.
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
    """Returns the spec of a job.

    Raises:
        LookupError: there is no such job.
    """
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
    """Returns the jobs that have a folder with a spec in `folder`, sorted."""
    return sorted(spec.parent.name for spec in folder.glob("*/spec.py"))


def list_jobs_beside(job: str) -> list[str]:
    """Returns the jobs that are deployed with `job`, itself included."""
    return list_jobs(Path(str(import_module(f"{job}.spec").__file__)).parents[1])
