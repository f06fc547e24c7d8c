"""`python -m benchmarks.feedback`: what does a report cost, against the same two counts in plain SQL?

A table of ten million votes over thirty days (`--days` for busier ones), with an index on their time. The yardstick
counts one day's likes, then its dislikes, over a connection that is open already. nightshift counts the same day, the
day before again for votes that came late, connects, looks its table up, decides and keeps the decision. Both take turns
on the same days, each day once, as in life. The first run ever has the days before that to count as well, and is told
by itself.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

import click

from benchmarks.arena import SERVER_SETTINGS
from local.chatlog import connect
from local.postgres import EmbeddedPostgres
from nightshift.charts.feedback import feedback_chart
from nightshift.results.feedback import DayVotes, VoteTotals
from nightshift.run_services import RunWiring

LAST = date(2025, 10, 16)
"""The last day that has votes; days are Seoul's."""
ZONE = "+09"

_TABLE = """
CREATE TABLE conversation_log (
    id bigint NOT NULL, message_id uuid NOT NULL, feedback text, model text NOT NULL, created_at timestamptz NOT NULL
)"""
_FILL = """
INSERT INTO conversation_log
SELECT i, md5(i::text)::uuid, CASE WHEN i % 100 < 13 THEN 'dislike' ELSE 'like' END, 'coach-' || i % 3,
       timestamptz '{end} 00:00{zone}' - interval '{days} days' * (1 - (i - 1)::float8 / {rows})
FROM generate_series(1, {rows}) i"""
_COUNT = """
SELECT count(*) FROM conversation_log
WHERE created_at >= timestamptz '{day} 00:00{zone}' AND created_at < timestamptz '{next} 00:00{zone}'
  AND feedback = '{rating}'"""


@dataclass(frozen=True, slots=True)
class Found:
    """Seconds; medians but for the first run.

    Attributes:
        two_counts: the yardstick.
        report: the handler's whole run, its record and its answer included, without a chart.
        with_chart: the same with the chart.
        first_run: of a deployment, without a chart: thirty days counted.
        ratio, chart_ratio, first_ratio: to the yardstick.
    """

    rows: int
    rows_a_day: int
    two_counts: float
    report: float
    with_chart: float
    first_run: float
    ratio: float
    chart_ratio: float
    first_ratio: float


def build(url: str, rows: int, days: int) -> None:
    """Fill the table in the server, and leave it as a table in use is: vacuumed and analysed."""
    end = LAST + timedelta(days=1)
    with closing(connect(url)) as connection:
        connection.run(_TABLE)
        connection.run(_FILL.format(end=end, zone=ZONE, days=days, rows=rows))
        connection.run("CREATE INDEX ON conversation_log (created_at)")
        connection.run("VACUUM ANALYZE conversation_log")


def measure(url: str, rows: int, rounds: int, spread: int) -> Found:
    """Take turns over the last days, oldest first."""
    days = [LAST - timedelta(days=back) for back in range(2 * rounds, -1, -1)]
    with closing(connect(url)) as connection:

        def two_counts(day: date) -> tuple[int, ...]:
            statement = _COUNT.replace("{zone}", ZONE).replace("{day}", f"{day}").replace("{next}", f"{_next(day)}")
            return tuple(connection.run(statement.format(rating=rating))[0][0] for rating in ("like", "dislike"))

        two_counts(days[0])  # reads the blocks of its day
        _settle(chart="off")
        first, _ = _timed(lambda: _report(days[0]))
        plain: list[float] = []
        ours: dict[str, list[float]] = {"off": [], "on": []}
        for number, day in enumerate(days[1:]):
            chart = "off" if number % 2 else "on"
            _settle(chart=chart)
            seconds, counted = _timed(lambda day=day: two_counts(day))  # type: ignore[misc]
            plain.append(seconds)
            seconds, answer = _timed(lambda day=day: _report(day))  # type: ignore[misc]
            ours[chart].append(seconds)
            if (answer["likes"], answer["dislikes"]) != counted or answer["decided_before"]:
                raise click.ClickException(f"{day}: {counted} by plain SQL, but {answer}")
            print(f"{day}: two counts {plain[-1]:.3f} s, report {seconds:.3f} s, chart {chart}", file=sys.stderr)
    yardstick, report, drawn = median(plain), median(ours["off"]), median(ours["on"])
    return Found(
        rows=rows,
        rows_a_day=rows // spread,
        two_counts=round(yardstick, 6),
        report=round(report, 6),
        with_chart=round(drawn, 6),
        first_run=round(first, 6),
        ratio=round(report / yardstick, 2),
        chart_ratio=round(drawn / yardstick, 2),
        first_ratio=round(first / yardstick, 2),
    )


def _settle(chart: str) -> None:
    """Give the handler its settings, as if its warm environment had always had them."""
    os.environ["FEEDBACK_CHART"] = chart
    handler = importlib.import_module("feedback.app").lambda_handler
    handler.wiring = RunWiring(os.environ)
    assert handler.wiring.settings.feedback_chart is (chart == "on")


def _report(day: date) -> dict[str, Any]:
    """The handler, as Lambda calls it in a warm environment."""
    handler = importlib.import_module("feedback.app").lambda_handler
    scheduled = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)  # 09:00 in Seoul
    answer: dict[str, Any] = handler({"scheduled_time": scheduled.isoformat()}, None)
    return answer


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    done = work()
    return time.perf_counter() - begun, done


def _next(day: date) -> date:
    return day + timedelta(days=1)


def _warm() -> None:
    """Load what is loaded on first use: imports, and the chart's fonts, are a cold start's and not a report's."""
    votes = VoteTotals(likes=1, dislikes=1)
    feedback_chart([DayVotes(day=LAST, votes=votes)], threshold=0.3, language="ko")


@click.command()
@click.option("--rows", type=click.IntRange(min=1000), default=10_000_000, show_default=True)
@click.option(
    "--days", type=click.IntRange(min=3), default=30, show_default=True, help="That the votes are spread over."
)
@click.option("--rounds", type=click.IntRange(1, 10), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(rows: int, days: int, rounds: int, as_json: bool) -> None:
    """Measure a report against the two counts that are its least."""
    if 2 * rounds >= days:
        raise click.UsageError(f"{rounds} rounds take {2 * rounds + 1} days")
    with EmbeddedPostgres(settings=SERVER_SETTINGS) as postgres:
        url = postgres.create_database("votes")
        build(url, rows, days)
        importlib.import_module("feedback.app")
        _warm()
        os.environ["DATABASE_URL"] = f"{url}?sslmode=disable"
        found = measure(url, rows, rounds, days)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(
        f"{found.rows:,} votes, {found.rows_a_day:,} a day: two plain counts {found.two_counts:.3f} s,"
        f" report {found.report:.3f} s = {found.ratio:.2f} ×, with its chart {found.with_chart:.3f} s"
        f" = {found.chart_ratio:.2f} ×; the first run ever {found.first_run:.3f} s = {found.first_ratio:.1f} ×"
    )


if __name__ == "__main__":
    main()
