"""Time that is over loses nothing: the next run goes on from there, unless nothing was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from local.chatlog import connect
from nightshift.errors import NightshiftError
from tests.support.embedding import DocumentScene
from tests.support.handler import Context
from tests.support.running import OURS


def test_force_goes_on_where_it_was(anywhere: DocumentScene) -> None:
    anywhere.fill(50)
    anywhere.run_table()
    anywhere.embedder.texts.clear()
    later: dict[str, Any] = {"scheduled_time": "2025-10-16T00:00:00Z", "force": True}
    anywhere.embedder.patience = 30
    assert anywhere.run_table(**later)["left"] == 20
    (event,) = anywhere.bus.events
    assert event["detail"] == {"scope": "stale", "continuation": 1, "force": True}
    anywhere.embedder.patience = 100
    answer = anywhere.run(**event["detail"], scheduled_time=event["time"])
    assert (answer["status"], answer["tables"][0]["embedded"]) == ("ok", 20)
    assert sorted(anywhere.embedder.texts) == sorted(f"text {n}" for n in range(1, 51))


def test_a_run_that_gets_nothing_done_fails(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.embedder.patience = 0
    with pytest.raises(NightshiftError, match="nothing was embedded") as caught:
        anywhere.run()
    assert "20 documents are left" in str(caught.value)
    assert "a larger Timeout, a smaller EMBEDDING_BATCH" in str(caught.value.hint)
    assert anywhere.bus.events == []


def test_documents_without_text_are_something_done(anywhere: DocumentScene) -> None:
    """They are not met again: the next run begins behind them."""
    anywhere.fill(20)
    anywhere.script("UPDATE document SET content = ' ' WHERE id <= 10")
    anywhere.embedder.patience = 0
    answer = anywhere.run()
    assert (answer["status"], answer["tables"][0]["left"]) == ("partial", 10)
    (event,) = anywhere.bus.events
    anywhere.embedder.patience = 100
    assert anywhere.run(**event["detail"], scheduled_time=event["time"])["tables"][0]["embedded"] == 10


def test_no_time_at_all(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    with pytest.raises(NightshiftError, match="nothing was embedded"):
        anywhere.run(Context(seconds=3))
    assert anywhere.embedder.texts == []


def test_there_is_no_time_to_count_what_is_left(documents: DocumentScene) -> None:
    """The server ends the count, as it does by the time-out of a statement: something is left in any case."""
    documents.fill(1500)
    documents.embedder.patience = 8
    waiting = "wait_event_type = 'Lock' AND query LIKE '%count(*)%'"
    cancelled: list[bool] = []

    def cancel() -> None:
        with closing(connect(documents.url)) as third:
            while not cancelled:
                found = third.run(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {OURS} AND {waiting}")
                cancelled.extend(done for (done,) in found or ())
                time.sleep(0.005)
        other.run("ROLLBACK")

    canceller = threading.Thread(target=cancel)

    def lock(texts: Sequence[str]) -> None:
        if documents.embedder.patience < 1:
            other.run("BEGIN")
            other.run("LOCK TABLE document IN ACCESS EXCLUSIVE MODE")
            canceller.start()

    documents.embedder.before = lock
    with closing(connect(documents.url)) as other:
        table = documents.run_table()
        canceller.join()
    assert cancelled == [True]
    assert (table["status"], table["embedded"], table["left"]) == ("partial", 8, 1000 - 8 + 1)
