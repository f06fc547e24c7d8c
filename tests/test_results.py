"""Facts of a job: one status for many tables, and the answer's JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import NightshiftError
from nightshift.results import GRAVITY, CleanupResult, Estimate, Refusal, RunRefused, Status, TableResult, gravest

CUTOFF = datetime(2025, 9, 15, tzinfo=UTC)


@given(st.lists(st.sampled_from(list(Status))))
def test_the_gravest_wins(statuses: list[Status]) -> None:
    status = gravest(statuses)

    assert status is (Status.NOTHING if not statuses else min(statuses, key=GRAVITY.index))
    assert gravest([*statuses, Status.FAILED]) is Status.FAILED
    assert set(GRAVITY) == set(Status)


def result(*statuses: Status) -> CleanupResult:
    return CleanupResult(tables=tuple(TableResult(table=f"t{n}", status=s) for n, s in enumerate(statuses)))


def test_a_run_is_complete_where_nothing_is_left_to_do() -> None:
    assert result().complete and result().status is Status.NOTHING
    assert result(Status.OK, Status.NOTHING).complete
    for grave in (Status.FAILED, Status.REFUSED, Status.PARTIAL, Status.DRY_RUN):
        assert not result(Status.NOTHING, grave).complete
    assert not RunRefused(reason="busy").complete


def test_a_table_s_json_says_what_is_known() -> None:
    full = TableResult(
        table="public.log",
        status=Status.PARTIAL,
        cutoff=CUTOFF,
        archived_rows=10,
        deleted_rows=10,
        objects=2,
        bytes=99,
        seconds=4.0,
        oldest_overdue=CUTOFF,
        partitions_dropped=1,
        vacuumed=True,
        refusal=Refusal(guard="g", message="m", hint="h"),
        estimate=Estimate(rows=1, bytes=2, objects=3, seconds=4.44, share=0.123456, usd=0.00000049),
        warnings=("w",),
        error=NightshiftError("broken", detail="d"),
    )

    assert json.loads(json.dumps(full.to_json())) == {
        "table": "public.log",
        "status": "partial",
        "cutoff": "2025-09-15T00:00:00+00:00",
        "archived_rows": 10,
        "deleted_rows": 10,
        "objects": 2,
        "bytes": 99,
        "seconds": 4.0,
        "rows_per_second": 2,
        "oldest_overdue": "2025-09-15T00:00:00+00:00",
        "partitions_dropped": 1,
        "vacuumed": True,
        "refusal": {"guard": "g", "message": "m", "hint": "h"},
        "estimate": {"rows": 1, "bytes": 2, "objects": 3, "seconds": 4.4, "share": 0.1235, "usd": 0.0},
        "error": "broken",
        "warnings": ["w"],
    }
    bare = TableResult(table="t", status=Status.NOTHING).to_json()
    assert set(bare) >= {"table", "cutoff", "archived_rows", "deleted_rows", "objects", "bytes"}
    assert not {"refusal", "estimate", "error", "warnings", "vacuumed", "partitions_dropped"} & set(bare)
    assert bare["rows_per_second"] == 0


def test_an_error_reads_message_detail_hint() -> None:
    assert str(NightshiftError("m", detail="d", hint="h")) == "m\nd\nhint: h"
    assert str(NightshiftError("m")) == "m"
