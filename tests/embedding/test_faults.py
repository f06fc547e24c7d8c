"""A poisoned document blocks nothing, a model that fails loses nothing, and what is told twice is done once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from local.chatlog import connect
from local.event_bus import Trouble
from nightshift.errors import BusError, EmbedderError, InvalidSettings
from tests.support.embedding import COLUMN, INTO, VERSIONED, DocumentScene
from tests.support.telling import POISON

WINDOW = {"start": "2025-10-14T00:00:00+09:00", "end": "2025-10-15T00:00:00+09:00", "zone": "Asia/Seoul"}
VOTES: dict[str, Any] = {
    "table": "public.conversation_log",
    "likes": 59,
    "dislikes": 41,
    "total": 100,
    "ratio": 0.41,
    "threshold": 0.3,
    "interval": {"low": 0.318, "high": 0.508, "confidence": 0.95},
    "worst": [{"group": "면접", "likes": 1, "dislikes": 30, "total": 31, "ratio": 0.967742}],
}


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("policy", [COLUMN, INTO])
def test_a_poisoned_document_is_set_aside(anywhere: DocumentScene, policy: str) -> None:
    kind = "BLOB" if anywhere.sqlite else "vector(4)"
    anywhere.fill(20, column=kind if policy == COLUMN else None)
    anywhere.sql(f"UPDATE document SET content = '{POISON} ' || id WHERE id IN (3, 8, 20)")
    table = anywhere.run_table()
    assert (table["status"], table["embedded"], table["poisoned"], table["left"]) == ("ok", 17, 3, 0)
    assert table["examples"] == [{"id": n, "reason": "ValidationException: poisoned"} for n in ("3", "8", "20")]
    anywhere.assert_done(without=[3, 8, 20])
    anywhere.embedder.texts.clear()

    assert anywhere.run_table()["status"] == "nothing"
    assert anywhere.embedder.texts == []
    anywhere.sql("UPDATE document SET content = 'healed' WHERE id = 3")
    assert anywhere.run_table()["embedded"] == 1
    anywhere.sql(f"UPDATE document SET content = '{POISON}' WHERE id = 4")
    assert anywhere.run_table()["poisoned"] == 1
    anywhere.assert_done(without=[4, 8, 20])
    anywhere.assert_sound()

    forced = anywhere.run_table(force=True, scheduled_time="2025-10-16T00:00:00Z")
    assert (forced["embedded"], forced["poisoned"]) == (17, 3)
    assert {key: row["attempts"] for key, row in anywhere.ledger_of().items() if row["error"]} == {4: 2, 8: 2, 20: 2}


def test_a_row_that_the_database_refuses(documents: DocumentScene) -> None:
    documents.fill(20, column="vector(4)")
    documents.sql("ALTER TABLE document ADD CHECK (embedding IS NULL OR id <> 7)")
    table = documents.run_table()
    assert (table["status"], table["embedded"], table["poisoned"]) == ("ok", 19, 1)
    assert table["examples"] == [{"id": "7", "reason": "the database does not take its embedding (23514)"}]
    documents.assert_done(without=[7])
    assert documents.run_table()["status"] == "nothing"


def test_documents_that_somebody_has_locked(documents: DocumentScene) -> None:
    documents.fill(20, column="vector(4)")
    with closing(connect(documents.url)) as other:
        other.run("BEGIN")
        other.run("SELECT 1 FROM document WHERE id IN (3, 12) FOR UPDATE")
        answer = documents.run()
        other.run("ROLLBACK")
    (table,) = answer["tables"]
    assert (answer["status"], table["embedded"], table["left"]) == ("partial", 18, 2)
    assert table["warnings"] == ["2 documents were left: somebody else has them locked"]
    documents.assert_done(without=[3, 12])
    documents.assert_sound()
    assert documents.run_table()["embedded"] == 2
    documents.assert_done()


def test_throttled_until_the_deadline(anywhere: DocumentScene) -> None:
    """What the model has done is kept, and an event has the next run go on, until all is done."""
    anywhere.fill(50)
    detail: dict[str, Any] = {"decision": "d1", "window": WINDOW, **VOTES, "scope": "stale"}
    answers = []

    def invoke(event: dict[str, Any]) -> None:
        anywhere.embedder.patience = 21
        answers.append(anywhere.run(**event["detail"], scheduled_time=event["time"]))

    anywhere.bus.subscribe(invoke, ["ReembedUnfinished"])
    anywhere.embedder.patience = 21
    first = anywhere.run(**detail)
    assert (first["status"], first["continues"], first["tables"][0]["left"]) == ("partial", True, 29)
    assert anywhere.bus.deliver() == 2

    assert [answer["tables"][0]["embedded"] for answer in answers] == [21, 8]
    assert [answer["as_of"] for answer in answers] == [first["as_of"]] * 2
    sent = [event["detail"] for event in anywhere.bus.events]
    window = {**WINDOW, "start": sent[0]["window"]["start"], "end": sent[0]["window"]["end"]}
    assert sent == [{**detail, "window": window, "continuation": n} for n in (1, 2)]
    assert len(anywhere.embedder.texts) == 50
    anywhere.assert_done()
    anywhere.assert_sound()


def test_the_bus_does_not_hear_of_it(documents: DocumentScene) -> None:
    """The run fails, Lambda tries it again, and it goes on from there."""
    documents.fill(20)
    documents.embedder.patience = 10
    documents.bus.fail_next(Trouble.DENIED)
    with pytest.raises(BusError):
        documents.run()
    documents.embedder.patience = 100
    assert documents.run_table()["embedded"] == 10
    documents.assert_done()


def test_an_event_delivered_twice(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    detail: dict[str, Any] = {"decision": "d1", "window": WINDOW, **VOTES}
    first = anywhere.run(**detail)
    anywhere.sql("UPDATE document SET content = 'new'")
    second = anywhere.run(**detail)
    assert (first["done_before"], first["status"], first["tables"][0]["embedded"]) == (False, "ok", 20)
    assert (second["done_before"], second["status"], second["tables"]) == (True, "nothing", [])
    assert len(anywhere.embedder.texts) == 20
    assert anywhere.run(**detail | {"decision": "d2"})["tables"][0]["embedded"] == 20


def test_a_decision_that_was_not_finished_is_taken_up_again(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    detail: dict[str, Any] = {"decision": "d1", "window": WINDOW, **VOTES}

    def fail(texts: Sequence[str]) -> None:
        raise EmbedderError("no access")

    anywhere.embedder.before = fail
    with pytest.raises(EmbedderError):
        anywhere.run(**detail)
    anywhere.embedder.before = lambda texts: None
    assert anywhere.run(**detail)["tables"][0]["embedded"] == 20


def test_the_model_fails_half_way(anywhere: DocumentScene) -> None:
    anywhere.fill(20)

    def fail(texts: Sequence[str]) -> None:
        if len(anywhere.embedder.texts) >= 16:
            raise EmbedderError("no access any more")

    anywhere.embedder.before = fail
    with pytest.raises(EmbedderError) as caught:
        anywhere.run()
    result: Any = caught.value.result
    assert [(table.status.value, table.embedded) for table in result.tables] == [("failed", 16)]
    anywhere.assert_sound()
    anywhere.embedder.before = lambda texts: None
    assert anywhere.run_table()["embedded"] == 4


VOTES_TABLE = (
    "CREATE TABLE conversation_log (id int PRIMARY KEY, feedback text, document text, created_at {moment});"
    "INSERT INTO conversation_log VALUES (1, 'dislike', '3', '2025-10-14 05:00:00'),"
    " (2, 'dislike', '4', '2025-10-14 05:00:00'), (3, 'like', '5', '2025-10-14 05:00:00'),"
    " (4, 'dislike', '6', '2025-10-11 05:00:00'), (5, 'dislike', NULL, '2025-10-14 05:00:00'),"
    " (6, 'dislike', '99', '2025-10-14 05:00:00')"
)


def test_documents_behind_disliked_answers(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.script(VOTES_TABLE.format(moment="text" if anywhere.sqlite else "timestamp"))
    anywhere.env["FEEDBACK_DOCUMENT"] = "document"
    detail: dict[str, Any] = {"decision": "d1", "window": WINDOW, **VOTES}
    table = anywhere.run(**detail)["tables"][0]
    assert (table["scope"], table["looked_at"], table["embedded"]) == ("disliked", 2, 2)
    assert sorted(anywhere.embedder.texts) == ["text 3", "text 4"]

    table = anywhere.run(**detail | {"decision": "d2"})["tables"][0]
    assert (table["status"], table["unchanged"]) == ("nothing", 2)
    forced: dict[str, Any] = {"scope": "disliked", "window": WINDOW, "force": True}
    assert [anywhere.run(**forced)["tables"][0]["embedded"] for _ in range(2)] == [2, 0]
    assert anywhere.run()["tables"][0]["embedded"] == 18
    anywhere.assert_done()
    with pytest.raises(InvalidSettings, match="no window") as raised:
        anywhere.run(scope="disliked")
    assert 'send "window": {"start": …, "end": …}, or another scope' in str(raised.value.hint)


def test_disliked_documents_are_not_enough_for_another_model(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.script(VOTES_TABLE.format(moment="text" if anywhere.sqlite else "timestamp"))
    anywhere.env["FEEDBACK_DOCUMENT"] = "document"
    anywhere.run()
    anywhere.embedder.model = "model-b"
    table = anywhere.run(window=WINDOW)["tables"][0]
    assert (table["scope"], table["embedded"], table["switched"]) == ("all", 20, True)


def test_one_table_fails_the_other_is_done(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.script("CREATE TABLE other (id int PRIMARY KEY, content text); INSERT INTO other VALUES (1, 'x')")
    second = INTO.replace("document", "other")
    anywhere.policies(INTO.replace('"content"', '"contents"') + second)
    answer = anywhere.run()
    assert [(table["table"], table["status"]) for table in answer["tables"]] == [
        ("document", "refused"),
        ("other" if anywhere.sqlite else "public.other", "ok"),
    ]
    assert (answer["status"], answer["complete"]) == ("refused", False)


def test_one_table_is_refused_and_the_other_goes_on(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    anywhere.policies(INTO.replace("document", "nowhere") + INTO)
    anywhere.embedder.patience = 12
    answer = anywhere.run()
    assert [table["status"] for table in answer["tables"]] == ["refused", "partial"]
    assert (answer["status"], answer["continues"], len(anywhere.bus.events)) == ("refused", True, 1)


def test_a_large_text_and_an_odd_one(anywhere: DocumentScene) -> None:
    anywhere.fill(3, policy=INTO + VERSIONED)
    odd = '한글 😀 \\ " {} , % :name\t\n'
    anywhere.sql(f"UPDATE document SET content = '{odd}' WHERE id = 1")
    anywhere.sql(f"UPDATE document SET content = '{'가' * 200_000}' WHERE id = 2")
    anywhere.run_table()
    anywhere.assert_done()
    assert {odd, "가" * 200_000} < set(anywhere.embedder.texts)
