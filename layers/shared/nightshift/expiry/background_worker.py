"""Empties the outbox in a thread of its own, while rows are deleted in another."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from nightshift.expiry.outbox_worker import OutboxWorker

SWITCH_S = 0.0005
"""Time that a thread may compute while others wait. Python's own 5 ms are as long as most answers of the database take:
the thread that deletes rows would wait for the ones that write XML after every statement, for half of the run."""


class BackgroundOutboxWorker:
    """A drain in a thread of its own, for as long as the context lasts.

    Raises:
        the drain's exception, on leaving, unless another one is raised already.
    """

    def __init__(self, drain: OutboxWorker) -> None:
        self._drain = drain
        self._changed = threading.Condition()
        self._news = 0
        self._interval = sys.getswitchinterval()
        self._over = False
        self._pool = ThreadPoolExecutor(1, "drain")

    def __enter__(self) -> BackgroundOutboxWorker:
        sys.setswitchinterval(SWITCH_S)
        self._future = self._pool.submit(self._follow)
        self.wake_worker()  # earlier runs may have left files
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._drain.stop_worker()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._pool.shutdown()
        sys.setswitchinterval(self._interval)
        if kind is None:
            self._future.result()

    def wake_worker(self) -> None:
        """Something was put into the outbox."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        seen = 0
        while news := self._next(seen):
            seen = news
            self._drain.work_off_batches()

    def _next(self, seen: int) -> int:
        """Wait for news after those `seen`; 0 where there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._news > seen)
            return 0 if self._over else self._news
