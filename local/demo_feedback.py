"""The demo's chapter on `feedback` and `reembed`: a good morning, a bad one, and what the bad one sets going.

The votes of two days are reported; after the second, an event on the bus has the documents behind the disliked answers
embedded again. It is delivered twice, as may happen. What came of it is counted without the handlers, by SQL.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from local.chatlog import connect
from local.demo_slack import Channel
from local.documents import POLICY, create_documents
from local.event_bus import Event, EventBusServer
from local.feedback_data import SETTINGS, create_votes
from local.stage import Stage, equals
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from reembed.job import UNFINISHED

GOOD_MORNING = datetime(2025, 10, 17, tzinfo=UTC)
"""09:00 in Seoul."""
BAD_MORNING = GOOD_MORNING + timedelta(days=1)
GOOD, BAD = (87, 13), (59, 41)
"""Likes and dislikes of the day before each."""
HISTORY_DAYS = 30
DOCUMENTS, CORRECTED = 200, 12
EXCEEDED = "FeedbackThresholdExceeded"

CORRECT = """
UPDATE document SET content = content || ' (2025년 개정)', updated_at = :now WHERE id IN (
  SELECT DISTINCT document_id::bigint AS id FROM answer_feedback WHERE rating = 'dislike' AND created_at >= :since
  ORDER BY id LIMIT :most)
"""
CURRENT = """
SELECT count(*) FROM document d JOIN document_embedding e ON e.document_id = d.id
WHERE e.content_hash = encode(sha256(convert_to(d.title || E'\\n\\n' || d.content, 'UTF8')), 'hex')
"""


def play_feedback(stage: Stage, url: str, channel: Channel) -> bool:
    """The chapter; returns whether everything added up."""
    with closing(connect(url)) as connection:
        connection.run("CREATE EXTENSION vector")
    create_documents(url, DOCUMENTS, end=GOOD_MORNING)
    create_votes(url, _votes(), documents=[str(number) for number in range(1, DOCUMENTS + 1)])
    with EventBusServer() as bus, _environment(bus) as environ:
        stage.act(f"{DOCUMENTS} documents are embedded for the first time")
        _embed(stage, environ, {"scheduled_time": (GOOD_MORNING - timedelta(hours=3)).isoformat()})
        channel.show()
        stage.act("09:00 in Seoul: how users liked yesterday's answers")
        _ask(stage, environ, GOOD_MORNING)
        channel.show()

        stage.act(f"The next day goes badly; {CORRECTED} of the documents behind it are corrected")
        since = BAD_MORNING - timedelta(days=1, hours=9)
        with closing(connect(url)) as connection:
            connection.run(CORRECT, now=BAD_MORNING - timedelta(hours=1), since=since, most=CORRECTED)
        answers: list[dict[str, Any]] = []
        bus.subscribe(lambda event: answers.append(_embed(stage, environ, event)), (EXCEEDED, UNFINISHED))
        _ask(stage, environ, BAD_MORNING)
        channel.show()
        stage.act(f"{EXCEEDED}: re-embedding starts by itself")
        bus.deliver()
        channel.show()
        stage.act("The same event is delivered again")
        bus.repeat(bus.events[0])
        bus.deliver()
        channel.show()
    return _adds_up(stage, url, answers)


def _votes() -> dict[date, tuple[int, int]]:
    """A month of ordinary days, then the two that the chapter is about."""
    chance = random.Random(7)
    last = (BAD_MORNING - timedelta(days=1)).date()
    days = {last - timedelta(days=n): (chance.randint(70, 110), chance.randint(8, 18)) for n in range(2, HISTORY_DAYS)}
    return {**days, last - timedelta(days=1): GOOD, last: BAD}


@contextmanager
def _environment(bus: EventBusServer) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="nightshift-demo-") as directory:
        policy = Path(directory, "policies.toml")
        policy.write_text(POLICY, encoding="utf-8")
        own = {"NIGHTSHIFT_CONFIG": str(policy), "EMBEDDER": "local", "EMBEDDING_DIMENSION": "256"}
        # boto3 reads the process's own environment.
        os.environ.update(bus.env)
        yield {**os.environ, **SETTINGS, **own, "FEEDBACK_DASHBOARD_URL": "https://example.com/dashboard"}


def _ask(stage: Stage, environ: dict[str, str], morning: datetime) -> None:
    wiring = RunWiring(environ)
    event = {"scheduled_time": morning.isoformat()}
    answer = run_job("feedback", event, None, wiring)
    stage.say(f"{answer['status']}: {answer['likes']} likes, {answer['dislikes']} dislikes: {answer['state']}")


def _embed(stage: Stage, environ: dict[str, str], event: Event) -> dict[str, Any]:
    wiring = RunWiring(environ)
    answer = run_job("reembed", event, None, wiring)
    if answer["done_before"]:
        stage.say(f"{answer['status']}: done before")
    for table in answer["tables"]:
        looked = f"{table['looked_at']} documents looked at, {table['embedded']} embedded"
        stage.say(f"{answer['status']}: {looked}, {table['unchanged']} unchanged, by {table['model']}")
    return answer


def _adds_up(stage: Stage, url: str, answers: list[dict[str, Any]]) -> bool:
    """Show what is there; returns whether each document has one embedding, of its current text, made when it had to."""
    with closing(connect(url)) as connection:
        embedded = int(connection.run("SELECT count(*) FROM document_embedding")[0][0])
        current = int(connection.run(CURRENT)[0][0])
    first, again = answers
    once = first["tables"][0]["embedded"] == CORRECTED and again["done_before"]
    all_right = embedded == current == DOCUMENTS
    stage.act(f"{first['tables'][0]['embedded']} embedded again {equals(once)} the corrected ones, once")
    stage.act(f"{embedded} embeddings {equals(all_right)} one of its current text for each of {DOCUMENTS} documents")
    return once and all_right
