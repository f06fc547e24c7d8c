"""A function that does as its event says."""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from typing import Any


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Tell what a function can see; or fail, hang, die, or take memory."""
    print("a line of its own")
    if "fail" in event:
        raise KeyError(event["fail"])
    if "hang" in event:
        threading.Event().wait()
    if "die" in event:
        os._exit(event["die"])
    if "allocate_mb" in event:
        event["allocated"] = len(b"." * (event["allocate_mb"] << 20))
    if "import" in event:
        event["imported"] = {name: _origin(name) for name in event["import"]}
    return {
        "event": event,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "environment": dict(os.environ),
        "import_path": sys.path,
        "python": list(sys.version_info[:2]),
        "directory": os.getcwd(),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "memory_mb": context.memory_limit_in_mb,
        "request_id": context.aws_request_id,
    }


def _origin(name: str) -> str | None:
    """The file that a module comes from; None: it is built in."""
    return import_module(name).__file__
