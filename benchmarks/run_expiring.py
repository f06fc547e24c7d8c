"""Contestant: the whole of `expire_jobs`, through the handler that Lambda calls, its memory looked at all the while.

Arguments: a time at which nothing was due yet, the time to expire jobs at, and the file for the result. A first run, at
the former, loads what is loaded on first use: imports are excluded for every contestant, and what the job never
loads must not count as its memory. Whether the right rows and files are gone is not asked of the answer:
`benchmarks/expiring.py` looks for itself.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3  # noqa: F401 - the first run has nothing to delete, and would not load it

from benchmarks.stopwatch import peak_mb

JOB = "expire_jobs"
SAMPLE_S = 0.02
SHARES = (25, 50, 75, 100)
"""Per cent of the run's time at which its memory is told."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the handler.

    Attributes:
        seconds: from call to answer; process start and imports excluded.
        peak_mb: peak resident memory, MB (10^6 bytes).
        resident_mb: resident memory at each of `SHARES`, MB.
    """

    seconds: float
    peak_mb: float
    resident_mb: list[float]


class Memory(threading.Thread):
    """Writes down the process's resident memory every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.look()

    def look(self) -> None:
        """One sample: when, and MB."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append((time.perf_counter(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6))

    def stop(self) -> None:
        self._done.set()
        self.join()
        self.look()

    def at(self, share: int) -> float:
        """MB when this share of the time had passed, per cent."""
        begun, ended = self.samples[0][0], self.samples[-1][0]
        moment = begun + (ended - begun) * share / 100
        return round([mb for when, mb in self.samples if when <= moment][-1], 1)


def run(before: str, due: str) -> Run:
    handler = importlib.import_module(f"{JOB}.app").lambda_handler
    _complete(handler({"scheduled_time": before}, None))
    memory = Memory()
    memory.look()
    memory.start()
    begun = time.perf_counter()
    answer = handler({"scheduled_time": due}, None)
    seconds = time.perf_counter() - begun
    memory.stop()
    _complete(answer)
    return Run(seconds, peak_mb(), [memory.at(share) for share in SHARES])


def _complete(answer: Mapping[str, Any]) -> None:
    if not answer["complete"]:
        raise SystemExit(f"not complete: {answer}")


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(asdict(run(*sys.argv[1:3]))))
