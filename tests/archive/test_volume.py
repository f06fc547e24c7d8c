"""The brake on abnormal volume: what it lets through, and what it asks the operator about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.archive.guards import USUAL_SHARE, USUAL_SHARE_FROM_ROWS, Volume, usual_volume
from tests.support.house import House

counts = st.integers(0, 10**10)


@pytest.mark.parametrize(
    ("volume", "refused"),
    [
        (Volume(due=10_000_000, total=10_000_000, limit=None, first_time=True), False),
        (Volume(due=99_999, total=99_999, limit=None, first_time=False), False),
        (Volume(due=100_000, total=200_000, limit=None, first_time=False), False),
        (Volume(due=100_001, total=200_000, limit=None, first_time=False), True),
        (Volume(due=3, total=10, limit=0.3, first_time=True), False),
        (Volume(due=4, total=10, limit=0.3, first_time=True), True),
        (Volume(due=10, total=10, limit=1.0, first_time=False), False),
        (Volume(due=0, total=0, limit=0.1, first_time=False), False),
    ],
    ids=[
        *("the first run works off a backlog", "small tables swing", "half is usual", "more than half is not"),
        *("a third is allowed", "a third is allowed, even the first time", "all is allowed", "an empty table"),
    ],
)
def test_examples(volume: Volume, refused: bool) -> None:
    refusal = usual_volume("log", volume)

    assert (refusal is not None) == refused
    if refusal is not None:
        assert refusal.guard == "abnormal_volume"
        assert f"{volume.due:,} of {volume.total:,}" in refusal.message


@given(counts, counts, st.none() | st.floats(0.001, 1), st.booleans())
def test_more_rows_are_never_less_abnormal(due: int, kept: int, limit: float | None, first_time: bool) -> None:
    volume = Volume(due, due + kept, limit, first_time)
    more = Volume(due + 1, due + 1 + kept, limit, first_time)

    if usual_volume("log", volume) is not None:
        assert usual_volume("log", more) is not None
        assert due > (limit or USUAL_SHARE) * (due + kept)
        assert limit is not None or due >= USUAL_SHARE_FROM_ROWS


def test_after_a_first_complete_run_the_usual_share_counts(house: House) -> None:
    """Nobody set a limit: the first run takes all, a later one that would take most of a large table asks."""
    house.sql("CREATE TABLE log (created_at timestamptz)")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    house.sql("INSERT INTO log VALUES ('2025-01-01')")
    assert house.run()["status"] == "ok"
    house.sql("INSERT INTO log SELECT timestamptz '2025-01-01 09:00' FROM generate_series(1, 100001)")

    (refused,) = house.run()["tables"]
    assert refused["refusal"]["guard"] == "abnormal_volume"
    assert house.value("SELECT count(*) FROM log") == 100_001

    assert house.run_table(force=True)["archived_rows"] == 100_001
