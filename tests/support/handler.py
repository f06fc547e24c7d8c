"""Calls a handler as Lambda would: its module's `lambda_handler`, its wiring built anew from the given environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from time import monotonic
from typing import Any


@dataclass
class Context:
    """Lambda's context object, with a deadline."""

    seconds: float = 900.0
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    function_name: str = "nightshift-cleanup"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:ap-northeast-2:123456789012:function:nightshift-cleanup"
    born: float = field(default_factory=monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.born + self.seconds - monotonic()) * 1000))


@contextmanager
def environ_of(variables: Mapping[str, str]) -> Iterator[None]:
    """The process environment with these variables set on top, as it was before afterwards."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_job(job: str, env: Mapping[str, str], event: object, context: Context | None = None) -> dict[str, Any]:
    """Invoke `<job>.app.lambda_handler` in this process and return its answer.

    Raises:
        Exception: whatever the handler raises; a failed run does.
    """
    app = import_module(f"{job}.app")
    with environ_of(env):
        app.lambda_handler.wiring = None
        try:
            answer: dict[str, Any] = app.lambda_handler(event, context)
        finally:
            app.lambda_handler.wiring = None
    return answer


def run_cleanup(env: Mapping[str, str], event: object | None = None, context: Context | None = None) -> dict[str, Any]:
    """`run_job("cleanup", …)`."""
    return run_job("cleanup", env, {} if event is None else event, context)
