"""A deployment whose users vote, and an event bus beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.event_bus import Event, EventBusServer
from nightshift.database.catalog import quote_literal
from nightshift.errors import BusError
from tests.support.child import JobChild
from tests.support.handler import Context, run_job
from tests.support.house import House
from tests.support.running import RunningHouse

DAY = "2025-10-16"
"""The day that a run of `AS_OF` reports."""
AS_OF = "2025-10-17T00:00:00Z"
"""Friday 09:00 in Seoul."""
NEXT_DAY = "2025-10-18T00:00:00Z"
KIND = "FeedbackThresholdExceeded"

GOOD, BAD = (87, 13), (59, 41)
"""Likes and dislikes: the example of the report, and a ratio of 0.41 on enough votes."""


@dataclass
class VotingHouse(RunningHouse):
    """A house with votes in `conversation_log`.

    Attributes:
        bus: what its runs send events to.
    """

    bus: EventBusServer = field(default_factory=EventBusServer)

    @property
    def on_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def create(self, time: str = "timestamptz", rating: str = "text") -> None:
        """Create the table, empty; with a topic and a document for each answer."""
        key = "integer" if self.on_sqlite else "bigint GENERATED ALWAYS AS IDENTITY"
        self.sql(
            f"CREATE TABLE conversation_log (id {key} PRIMARY KEY, feedback {rating}, created_at {time}, model text,"
            " document_id text, comment text)"
        )
        self.sql("CREATE INDEX log_created_at ON conversation_log (created_at)")

    def vote(self, when: str, likes: int = 0, dislikes: int = 0, **columns: str) -> None:
        """Add votes.

        Args:
            when: an SQL expression's text, or a local time in Seoul; a day means its noon.
            columns: values of other columns, and `like` and `dislike`: SQL of the values that mean these.
        """
        values = {"like": "'like'", "dislike": "'dislike'", **columns}
        words = {"like": values.pop("like"), "dislike": values.pop("dislike")}
        names = "".join(f", {name}" for name in values)
        others = "".join(f", {quote_literal(value)}" for value in values.values())
        for word, count in (("like", likes), ("dislike", dislikes)):
            rows = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT"
            if count:
                self.sql(
                    f"INSERT INTO conversation_log (feedback, created_at{names})"
                    f" {rows} {words[word]}, {self.moment(when)}{others} FROM n"
                )

    def moment(self, when: str) -> str:
        """SQL of a time; see `vote`."""
        if not when[:4].isdigit() or len(when) > 19:
            return when
        time = when if len(when) > 10 else f"{when} 12:00:00"
        return f"'{time}'" if self.on_sqlite else f"timestamptz '{time} Asia/Seoul'"

    def run(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Call the handler."""
        return run_job("feedback", self.env, {"scheduled_time": AS_OF, **event}, context)

    def fail(self, **event: Any) -> BusError:
        """Call the handler while the bus is in trouble; the error that it raises."""
        with pytest.raises(BusError) as raised:
            self.run(**event)
        return raised.value

    def child(self, **event: Any) -> JobChild:
        """A run in a process of its own."""
        child = JobChild(self.env, {"scheduled_time": AS_OF, **event}, job="feedback")
        self.children.append(child)
        return child

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions on record, oldest window first; none before the first run."""
        return self._own_table("nightshift_feedback_run", "window_start")

    def counted_days(self) -> dict[str, tuple[int, int]]:
        """The days that were counted, each with its likes and dislikes."""
        rows = self._own_table("nightshift_feedback_day", "day")
        return {row["day"]: (row["likes"], row["dislikes"]) for row in rows}

    def events(self) -> list[Event]:
        """The events that the bus took."""
        return self.bus.events

    def announced(self) -> list[str]:
        """The decisions that the bus was told of, once for each event."""
        return [event["detail"]["decision"] for event in self.events()]

    def message(self) -> str:
        """What the Slack reader sees of the last run."""
        return self.slack.messages[-1].seen


def voting(house: House) -> Iterator[VotingHouse]:
    """A house that votes, with its bus, for as long as the iterator lasts."""
    with EventBusServer() as bus:
        env = {**house.env, **bus.env, "FEEDBACK_CHART": "off"}
        built = VotingHouse(env, house.s3, house.slack, house.directory, bus=bus)
        yield built
        built.close()


@pytest.fixture
def voters(house: House) -> Iterator[VotingHouse]:
    """Users who vote, on PostgreSQL; their table is still to be made."""
    yield from voting(house)


@pytest.fixture
def bad_day(voters: VotingHouse) -> VotingHouse:
    """A day that starts re-embedding, with groups; nobody has decided on it."""
    voters.create()
    voters.env["FEEDBACK_GROUP"] = "model"
    voters.vote(DAY, 40, 4, model="coach-large")
    voters.vote(DAY, 19, 37, model="coach-small")
    return voters


@pytest.fixture
def sqlite_voters(sqlite_house: House) -> Iterator[VotingHouse]:
    """The same on SQLite."""
    yield from voting(sqlite_house)


@pytest.fixture(params=["voters", "sqlite_voters"], ids=["postgresql", "sqlite"])
def anybody(request: pytest.FixtureRequest) -> VotingHouse:
    """Once on PostgreSQL, and once on SQLite."""
    built: VotingHouse = request.getfixturevalue(request.param)
    return built
