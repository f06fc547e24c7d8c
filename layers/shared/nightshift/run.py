"""Parses the event of an invocation into a `JobRun`.

`as_of` is the *scheduled* time, never the time of delivery. Thus a retry or a late delivery of an event computes the
same cutoff. An event is e.g. `{"scheduled_time": "2025-10-15T00:00:00Z", "dry_run": false}`, alone or in one of the
envelopes that `envelopes` accepts.

An unknown key is refused, because a run with `{"dry-run": true}` must not delete anything. A job with its own keys,
such as `restore`, supplies a model of these keys.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from nightshift.envelopes import unwrap_event
from nightshift.errors import InvalidEvent

CLOCK_SKEW = timedelta(minutes=5)
"""Maximum distance of a scheduled time into the future. Clocks may differ, but schedules do not run early."""

M = TypeVar("M", bound=BaseModel)

_UNKNOWN_KEY = ": unknown key"

LOCAL_BUDGET_S = 24 * 3600.0
"""Maximum duration of a run without Lambda's context, in seconds."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that nightshift uses."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class JobRun:
    """Facts of the current run, for its job.

    Attributes:
        job: the job's name, which is the name of its folder under `functions/`.
        as_of: scheduled time of the run; an aware time in UTC. The job computes cutoffs from this time.
        dry_run: whether the run only computes and reports, and writes nothing.
        force: whether the run continues if the guard for abnormal volume would refuse.
        deadline: `time.monotonic()` value by which all work must have ended.
        attempt: number of the recorded run for this job and `as_of`, beginning with 1.
        run_id: ID of this run in the ledger and in the run history.
        request: the event's keys that only this job has, as the job's model; None: the job has no such keys.
    """

    job: str
    as_of: datetime
    dry_run: bool = False
    force: bool = False
    deadline: float = field(default_factory=lambda: time.monotonic() + LOCAL_BUDGET_S)
    attempt: int = 1
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    request: Any = None

    def remaining(self) -> float:
        """Returns the time before the deadline, in seconds; negative after the deadline."""
        return self.deadline - time.monotonic()


class _Input(BaseModel):
    """Keys that the event of every job may have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduled_time: datetime | None = None
    dry_run: StrictBool = False
    force: StrictBool = False
    schedule_arn: str | None = None


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM stop a run like Ctrl-C: by `KeyboardInterrupt`, after which open work is rolled back and recorded.

    Without this context, SIGTERM would end the process immediately. This end is as safe, but is not reported.
    Only the main thread of a process may handle signals. In another thread, the context changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt = signal.getsignal(signal.SIGINT)
    before = signal.signal(signal.SIGTERM, interrupt if callable(interrupt) else signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parse_event(
    job: str,
    event: object,
    context: LambdaContext | None,
    *,
    now: datetime,
    request: type[BaseModel] | None = None,
) -> JobRun:
    """Returns the `JobRun` for an event.

    Args:
        context: Lambda's context; None: a local run, with `LOCAL_BUDGET_S` as its time limit.
        now: aware time of the invocation, and the default of the scheduled time.
        request: the model of the keys that only this job has.

    Raises:
        InvalidEvent: the event has an unknown form, an unknown key, an invalid value, or a scheduled time in the
            future.
    """
    given, asked = _parse_input(unwrap_event(event), request)
    as_of = given.scheduled_time or now
    if as_of.tzinfo is None:
        raise InvalidEvent(
            "scheduled_time has no time zone",
            detail=f"scheduled_time: {as_of.isoformat()}",
            hint='write it like "2025-10-15T00:00:00Z"',
        )
    try:
        as_of = as_of.astimezone(UTC)
    except OverflowError as exc:
        raise InvalidEvent("scheduled_time is out of range", detail=f"scheduled_time: {as_of}") from exc
    if as_of > now + CLOCK_SKEW:
        raise InvalidEvent(
            "scheduled_time lies in the future",
            detail=f"scheduled_time: {as_of.isoformat()}, now: {now.isoformat(timespec='seconds')}",
            hint="a future time would move the cutoff past rows that are not due; leave it out to use now",
        )
    budget = LOCAL_BUDGET_S if context is None else context.get_remaining_time_in_millis() / 1000
    return JobRun(
        job=job,
        as_of=as_of,
        dry_run=given.dry_run,
        force=given.force,
        deadline=time.monotonic() + budget,
        request=asked,
    )


def _parse_input(given: Mapping[str, Any], request: type[BaseModel] | None) -> tuple[_Input, BaseModel | None]:
    if _is_number(given.get("scheduled_time")):
        # pydantic would guess, by the size of the number, between seconds and milliseconds since 1970.
        raise InvalidEvent("scheduled_time is a number", hint='write it like "2025-10-15T00:00:00Z"')
    own = set(request.model_fields) if request else set()
    problems: list[str] = []
    common = _checked(_Input, {k: v for k, v in given.items() if k not in own}, problems)
    # The job's own keys are validated even if other keys are invalid, so that one error lists all problems.
    asked = _checked(request, {k: v for k, v in given.items() if k in own}, problems) if request else None
    if problems:
        known = ", ".join([*_Input.model_fields, *(request.model_fields if request else ())])
        unknown = any(problem.endswith(_UNKNOWN_KEY) for problem in problems)
        raise InvalidEvent(
            f"the event has {'keys' if unknown else 'values'} that are not understood",
            detail="\n".join(problems[:20]),
            hint=f"known keys: {known}",
        )
    assert common is not None  # otherwise `problems` is not empty
    return common, asked


def _checked(model: type[M], given: Mapping[str, Any], problems: list[str]) -> M | None:
    """Returns the validated keys as `model`; if a key is invalid, appends each error to `problems` and returns None."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False, include_context=False):
            name = ".".join(str(part) for part in error["loc"])[:80] or "event"
            unknown = error["type"] == "extra_forbidden"
            problems.append(name + (_UNKNOWN_KEY if unknown else f": {error['msg'].removeprefix('Value error, ')}"))
        return None


def _is_number(value: object) -> bool:
    """Returns whether `value` is a number, or the text of a number."""
    if not isinstance(value, (int, float, str)):
        return False
    try:
        float(value)
    except (ValueError, OverflowError):
        return isinstance(value, int)
    return True
