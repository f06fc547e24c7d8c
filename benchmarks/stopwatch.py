"""What every contestant's process reports about itself: seconds, peak memory, rows. Standard library only.

The peak is VmHWM, the process's own high-water mark. `ru_maxrss` was rejected: a process that is forked and
exec'ed inherits its parent's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one contestant.

    Attributes:
        seconds: from call to answer; process start and imports excluded.
        peak_mb: peak resident memory of the contestant's process, MB (10^6 bytes).
        rows: how many it says it moved.
    """

    seconds: float
    peak_mb: float
    rows: int


def peak_mb(pid: int | str = "self") -> float:
    """Peak resident memory of a living process, MB; Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(f"no VmHWM for process {pid}")


def report(run: Callable[[], int]) -> None:
    """Time `run`, which returns a number of rows, and write the result to the file that the last argument names."""
    begun = time.perf_counter()
    rows = run()
    seconds = time.perf_counter() - begun
    Path(sys.argv[-1]).write_text(json.dumps(asdict(Measured(seconds, peak_mb(), rows))))
