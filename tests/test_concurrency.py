"""Workers: the first failure ends all, and so do the deadline and Ctrl-C; no thread outlives the pool."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from nightshift.concurrency import WorkerPool

SOON = 0.005


def _work_until_over(pool: WorkerPool, ended: list[str]) -> None:
    while not pool.is_over():
        time.sleep(SOON)
    ended.append(threading.current_thread().name)


def test_a_failure_stops_the_others_and_is_raised() -> None:
    pool, ended, turns = WorkerPool("unit", time.monotonic() + 60), list[str](), iter(range(3))

    def work() -> None:
        if next(turns) == 1:
            raise ValueError("a row")
        _work_until_over(pool, ended)

    with pytest.raises(ValueError, match="a row"):
        pool.run(work, 3)
    assert len(ended) == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("unit")]


def test_the_deadline_ends_all_without_an_error() -> None:
    pool, ended = WorkerPool("unit", time.monotonic() + 0.05), list[str]()
    pool.run(lambda: _work_until_over(pool, ended), 2)
    assert len(ended) == 2


def test_ctrl_c_ends_all_and_is_raised() -> None:
    pool, ended = WorkerPool("unit", time.monotonic() + 60), list[str]()
    main = threading.get_ident()

    def work() -> None:
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(main, signal.SIGINT)
        _work_until_over(pool, ended)

    with pytest.raises(KeyboardInterrupt):
        pool.run(work, 1)
    assert len(ended) == 1


def test_nothing_is_started_that_takes_longer_than_is_left() -> None:
    pool = WorkerPool("unit", time.monotonic() + 60)
    assert pool.has_time()
    pool.record_duration(10)
    assert pool.has_time()
    pool.record_duration(31)
    assert not pool.has_time()
    assert not pool.is_over()


def test_a_timeout_is_never_zero() -> None:
    pool = WorkerPool("unit", time.monotonic() - 5)
    assert pool.seconds_left() == 1.0
    assert pool.seconds_left(0.001) == 0.001
    assert not pool.has_time()
