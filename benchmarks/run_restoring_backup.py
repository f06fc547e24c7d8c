"""Contestant: the whole of `restore_backup`, through the handler that Lambda calls.

A dry run before loads what is loaded on first use: imports are excluded for every contestant.
"""

from __future__ import annotations

import importlib
from typing import Any

import nightshift.backup.restore  # noqa: F401 - loads Arrow, which the frame does without
from benchmarks.stopwatch import report


def call(**event: Any) -> dict[str, Any]:
    """The handler's answer."""
    answer: dict[str, Any] = importlib.import_module("restore_backup.app").lambda_handler(event, None)
    return answer


def run() -> int:
    answer = call(backup="newest")
    if not answer["complete"] or answer["differences"]:
        raise SystemExit(f"not complete: {answer}")
    return int(answer["rows"])


if __name__ == "__main__":
    call(backup="newest", dry_run=True)
    report(run)
