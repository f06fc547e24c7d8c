"""Threads that share one job: each runs the same function until the work is done, time is over, or a thread fails.

Each thread opens its own connection and takes the next piece of work from a queue of its caller. A thread that fails
stops the others: they find `is_over()` at their next batch, and roll back. KeyboardInterrupt and SIGTERM arrive in the
thread that waits, and stop them the same way. No thread outlives `run()`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

LEAST_SECONDS = 1.0
"""Smallest assumed duration of a piece of work, in seconds; see `has_time`."""


class WorkerPool:
    """Runs a function in several threads, once. Thread-safe."""

    def __init__(self, name: str, deadline: float) -> None:
        """Args:
        name: prefix of the threads' names.
        deadline: `time.monotonic()` value after which the work is over.
        """
        self._name = name
        self._deadline = deadline
        self._stopped = threading.Event()
        self._slowest = LEAST_SECONDS
        self._lock = threading.Lock()

    def run(self, work: Callable[[], None], threads: int) -> None:
        """Call `work` in each thread, and wait until all have returned.

        Raises:
            BaseException: the first failed thread's, in the order of their start.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix=self._name) as executor:
            try:
                for future in [executor.submit(self._call, work) for _ in range(threads)]:
                    future.result()
            finally:
                self.stop()

    def _call(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the work as soon as possible, without an error."""
        self._stopped.set()

    def is_over(self) -> bool:
        """Returns whether a running piece of work must end: the pool is stopped, or the deadline has passed."""
        return self._stopped.is_set() or time.monotonic() > self._deadline

    def seconds_left(self, least: float = LEAST_SECONDS) -> float:
        """Returns the time until the deadline, `least` at the least: a timeout of 0 is none."""
        return max(least, self._deadline - time.monotonic())

    def has_time(self) -> bool:
        """Returns whether a piece may still be started: it must have twice the time that the slowest one took."""
        return not self._stopped.is_set() and self._deadline - time.monotonic() > 2 * self._slowest

    def record_duration(self, seconds: float) -> None:
        """Take a finished piece into account; see `has_time`."""
        with self._lock:
            self._slowest = max(self._slowest, seconds)
