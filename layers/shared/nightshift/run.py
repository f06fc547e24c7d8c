"""Parses the event of an invocation into a `JobRun`.

`as_of` is the *scheduled* time, never the time of delivery: a retry or a late delivery of the same event
computes the same cutoff. The keys are `{"scheduled_time": "2025-10-15T00:00:00Z", "dry_run": false, …}`, bare or in one
of the envelopes that `envelopes` knows.

An unknown key is refused by name: `{"dry-run": true}` must not delete anything. A job with keys of its own, such as
`restore`, supplies a model of them.
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
"""Largest distance of a scheduled time into the future: clocks differ, schedules do not run early."""

M = TypeVar("M", bound=BaseModel)

_UNKNOWN_KEY = ": unknown key"

LOCAL_BUDGET_S = 24 * 3600.0
"""Seconds a run may take where no Lambda context sets a deadline."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that nightshift uses."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class JobRun:
    """Facts of the current run, for its job.

    Attributes:
        job: the job's name, as its folder under `functions/` is called.
        as_of: aware UTC time that the run stands for; cutoffs derive from it.
        dry_run: compute and report, write nothing.
        force: carry on where the guard for abnormal volume would refuse.
        deadline: `time.monotonic()` value after which nothing may be under way.
        attempt: 1 for the first run recorded for this job and `as_of`, 2 for the next, …
        run_id: names this invocation in the ledger and the run history.
        request: the job's own part of the event, as its model; None for jobs that have none.
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
        """Seconds left before the deadline; negative once it has passed."""
        return self.deadline - time.monotonic()


class _Input(BaseModel):
    """The keys an event may carry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduled_time: datetime | None = None
    dry_run: StrictBool = False
    force: StrictBool = False
    schedule_arn: str | None = None


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does: by `KeyboardInterrupt`, which undoes what is under way and is recorded.

    By itself SIGTERM would end the process on the spot: as safe, but nothing would be reported. Only a process's main
    thread may listen to signals; in another thread nothing changes.
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
    """Turn an event into a `JobRun`.

    Args:
        job: the job's name.
        event: what Lambda passed to the handler.
        context: Lambda's context, or None for a local run without a deadline.
        now: aware time of the invocation; stands in where the event names no time.
        request: the model of the job's own keys.

    Raises:
        InvalidEvent: the event is of no known shape, names an unknown key, or lies in the future.
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
        # pydantic would read a number as epoch seconds or milliseconds, by size: a guess, so refused.
        raise InvalidEvent("scheduled_time is a number", hint='write it like "2025-10-15T00:00:00Z"')
    own = set(request.model_fields) if request else set()
    problems: list[str] = []
    common = _checked(_Input, {k: v for k, v in given.items() if k not in own}, problems)
    # The job's part is looked at even if the rest is wrong: one error names everything.
    asked = _checked(request, {k: v for k, v in given.items() if k in own}, problems) if request else None
    if problems:
        known = ", ".join([*_Input.model_fields, *(request.model_fields if request else ())])
        unknown = any(problem.endswith(_UNKNOWN_KEY) for problem in problems)
        raise InvalidEvent(
            f"the event has {'keys' if unknown else 'values'} that are not understood",
            detail="\n".join(problems[:20]),
            hint=f"known keys: {known}",
        )
    assert common is not None  # else there is a problem
    return common, asked


def _checked(model: type[M], given: Mapping[str, Any], problems: list[str]) -> M | None:
    """Validate; appends each error to `problems`."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False, include_context=False):
            name = ".".join(str(part) for part in error["loc"])[:80] or "event"
            unknown = error["type"] == "extra_forbidden"
            problems.append(name + (_UNKNOWN_KEY if unknown else f": {error['msg'].removeprefix('Value error, ')}"))
        return None


def _is_number(value: object) -> bool:
    """Returns whether it is a number, or text that reads as one."""
    if not isinstance(value, (int, float, str)):
        return False
    try:
        float(value)
    except (ValueError, OverflowError):
        return isinstance(value, int)
    return True
