"""The timestamp column as a number line: points, moments and days agree with each other and with PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nightshift.rows.parquet import by_day
from nightshift.rows.timestamp_column import Kind, TimestampColumn, parse_text
from tests.support.house import House

ZONES = [
    *("Asia/Seoul", "UTC", "America/New_York", "America/Sao_Paulo", "Africa/Cairo", "America/Havana"),
    *("America/St_Johns", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Monrovia", "Asia/Kathmandu", "America/Juneau"),
]
CLOCKS_WENT_BACK_OVER_MIDNIGHT = {"America/St_Johns", "Pacific/Kwajalein", "America/Juneau"}
KINDS: tuple[Kind, ...] = get_args(Kind)
SECONDS_A_UNIT = {
    "timestamptz": 1e-6,
    "timestamp": 1e-6,
    "text": 1e-6,
    "date": 86_400.0,
    "epoch_s": 1.0,
    "epoch_ms": 1e-3,
    "epoch_us": 1e-6,
    "epoch_ns": 1e-9,
}

axes = st.builds(
    lambda kind, zone: TimestampColumn("at", kind, ZoneInfo(zone)), st.sampled_from(KINDS), st.sampled_from(ZONES)
)


def between(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Moments of these years."""
    return st.datetimes().map(
        lambda wall: wall.replace(year=first + wall.year % (last - first), day=min(wall.day, 28), tzinfo=UTC)
    )


moments, recent = between(2, 9998), between(1960, 2040)


@given(axes, moments)
def test_a_moment_s_point_is_the_last_not_after_it(axis: TimestampColumn, moment: datetime) -> None:
    assume(axis.kind not in ("timestamp", "text"))  # a wall clock does not tell one moment from another
    point = axis.to_epoch(moment)
    this, following = axis.to_datetime(point), axis.to_datetime(point + 1)

    assert this is not None and following is not None
    assert this <= moment
    if axis.kind != "date":
        assert axis.to_epoch(this) == point
        assert moment < following or axis.kind == "epoch_ns", "Python's moments end at the microsecond"


@given(axes, moments)
def test_a_wall_clock_reads_as_it_does_in_the_zone(axis: TimestampColumn, moment: datetime) -> None:
    local = moment.astimezone(axis.zone)
    if axis.kind in ("timestamp", "text"):
        seen = axis.to_datetime(axis.to_epoch(moment))
        assert seen is not None
        assert seen.replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0)
    if axis.kind in ("timestamp", "text", "date"):
        assert axis.to_day(axis.to_epoch(moment)) == local.date()


@given(axes, recent, st.integers(0, 3 * 86_400))
@example(
    TimestampColumn("at", "timestamptz", ZoneInfo("America/St_Johns")), datetime(2010, 11, 7, 2, 31, tzinfo=UTC), 0
)
@example(
    TimestampColumn("at", "timestamptz", ZoneInfo("Pacific/Apia")), datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC), 1
)
@example(
    TimestampColumn("at", "epoch_s", ZoneInfo("Pacific/Kwajalein")), datetime(1969, 9, 30, 13, 30, tzinfo=UTC), 3600
)
def test_days_tile_the_line(axis: TimestampColumn, moment: datetime, seconds: int) -> None:
    """Every point lies in one day; the next day begins later, and there; days never run backwards."""
    point, later = axis.to_epoch(moment), axis.to_epoch(moment + timedelta(seconds=seconds))
    following = axis.next_day(point)

    assert following is not None
    assert following > point
    assert axis.to_day(following - 1) == axis.to_day(point) < axis.to_day(following)
    assert axis.day_start(axis.to_day(point)) <= point
    assert axis.next_day(following - 1) == following
    assert (axis.to_day(later) > axis.to_day(point)) == (later >= following) or later < point


@given(st.sampled_from(ZONES), recent)
def test_a_day_is_the_local_date_unless_clocks_went_back_over_midnight(zone: str, moment: datetime) -> None:
    axis = TimestampColumn("at", "timestamptz", ZoneInfo(zone))
    day, local = axis.to_day(axis.to_epoch(moment)), moment.astimezone(axis.zone).date()

    if zone in CLOCKS_WENT_BACK_OVER_MIDNIGHT:
        assert local <= day <= local + timedelta(days=1)
    else:
        assert day == local


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", [-(10**17), 10**18])
def test_points_beyond_the_calendar(kind: Kind, point: int) -> None:
    axis = TimestampColumn("at", kind, ZoneInfo("Asia/Seoul"))
    point *= 1000 if kind == "epoch_ns" else 1

    assert axis.to_datetime(point) is None
    assert axis.to_day(point) == (date.min if point < 0 else date.max)
    assert (axis.next_day(point) is None) == (point > 0)


LITERALS = {
    "timestamptz": "timestamptz",
    "timestamp": "timestamp",
    "date": "date",
    "epoch_s": "bigint",
    "epoch_ms": "bigint",
    "epoch_us": "bigint",
}


def test_postgresql_reads_every_literal_as_its_point(house: House) -> None:
    """`literal` and `point_sql` are each other's inverse on the server, from 4713 BC on."""
    points = [
        -2 * 10**17,
        -62_135_596_800_000_001,
        -62_135_596_800_000_000,
        -1,
        0,
        1,
        1757862000123456,
        253_402_300_799_999_999,
    ]
    for kind, type_ in LITERALS.items():
        axis = TimestampColumn("at", kind, ZoneInfo("Asia/Seoul"))  # type: ignore[arg-type]
        here = [point // 86_400_000_000 if kind == "date" else point for point in points]
        columns = ", ".join(
            f"{axis.point_sql(axis.literal_sql(point))}, pg_typeof({axis.literal_sql(point)})::text" for point in here
        )
        ((*found,),) = house.sql(f"SELECT {columns}")
        assert found[::2] == here
        assert set(found[1::2]) <= {house.value(f"SELECT '{type_}'::regtype::text"), "integer"}


@given(st.datetimes())
def test_sqlite_s_text_reads_back(wall: datetime) -> None:
    axis = TimestampColumn("at", "text", ZoneInfo("Asia/Seoul"))
    point = parse_text(wall.isoformat(sep=" "))

    assert point is not None
    assert parse_text(axis.literal_sql(point).strip("'")) == point


@given(st.text())
def test_any_text_is_a_time_or_is_not(text: str) -> None:
    assert parse_text(text) is None or isinstance(parse_text(text), int)


@given(st.data())
def test_slices_part_the_rows_by_day(data: st.DataObject) -> None:
    """Every row in one slice, its own day's; slices in order, rows in each in order."""
    axis = data.draw(axes.filter(lambda a: a.kind != "text"))
    center = axis.to_epoch(data.draw(recent))
    days = round(4 * 86_400 / SECONDS_A_UNIT[axis.kind])
    points = data.draw(st.lists(st.integers(center - days, center + days), max_size=40))
    type_ = {"timestamptz": pa.timestamp("us", "UTC"), "timestamp": pa.timestamp("us"), "date": pa.date32()}
    storage = pa.int32() if axis.kind == "date" else pa.int64()
    column = pa.array(points, storage).cast(type_.get(axis.kind, storage))
    table = pa.table({"n": range(len(points)), "at": column})

    slices = list(by_day(table, axis))

    numbers = [n for part in slices for n in part.rows.column("n").to_pylist()]
    assert sorted(numbers) == list(range(len(points)))
    assert [points[n] for n in numbers] == sorted(points)
    assert len({part.day for part in slices}) == len(slices)
    for part in slices:
        mine = [points[n] for n in part.rows.column("n").to_pylist()]
        assert {axis.to_day(point) for point in mine} == {part.day}
        assert (part.first, part.last) == (mine[0], mine[-1])
