"""Runs a function in several threads until the work is done, the deadline has passed, or a thread fails.

Each thread opens a separate connection, and takes the next piece of work from a queue of the caller. A failed thread
stops the other threads: at the next batch, `is_over()` returns True, and the thread rolls back. KeyboardInterrupt and
SIGTERM arrive in the waiting main thread, and stop the threads in the same way. No thread outlives `run()`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

LEAST_SECONDS = 1.0
"""Minimum of the assumed duration of a piece of work, in seconds; see `has_time`."""


class WorkerPool:
    """Threads that run the same function. The methods are thread-safe. A pool runs only once."""

    def __init__(self, name: str, deadline: float) -> None:
        """`name` is the prefix of the threads' names, and `deadline` a `time.monotonic()` value."""
        self._name = name
        self._deadline = deadline
        self._stopped = threading.Event()
        self._slowest = LEAST_SECONDS
        self._lock = threading.Lock()

    def run(self, work: Callable[[], None], threads: int) -> None:
        """Calls `work` in each thread, and waits until all calls have returned.

        Raises:
            BaseException: the exception of the first failed thread, in the order in which the threads were started.
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
        """Ends the work as soon as possible, without an error."""
        self._stopped.set()

    def is_over(self) -> bool:
        """Returns whether a running piece of work must end: the pool is stopped, or the deadline has passed."""
        return self._stopped.is_set() or time.monotonic() > self._deadline

    def seconds_left(self, least: float = LEAST_SECONDS) -> float:
        """Returns the seconds until the deadline, at least `least`, because a timeout of 0 means no timeout."""
        return max(least, self._deadline - time.monotonic())

    def has_time(self) -> bool:
        """Returns whether a piece of work may be started: twice the duration of the slowest piece must be left."""
        return not self._stopped.is_set() and self._deadline - time.monotonic() > 2 * self._slowest

    def record_duration(self, seconds: float) -> None:
        """Records the duration of a finished piece of work, in seconds; see `has_time`."""
        with self._lock:
            self._slowest = max(self._slowest, seconds)
