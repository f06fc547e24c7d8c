"""Facts of a job: one status for many tables, and the answer's JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import NightshiftError
from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.cleanup import CleanupEstimate, CleanupResult, TableResult
from nightshift.results.common import SEVERITY, GuardRefusal, RunRefused, RunStatus, worst_status

CUTOFF = datetime(2025, 9, 15, tzinfo=UTC)


@given(st.lists(st.sampled_from(list(RunStatus))))
def test_the_gravest_wins(statuses: list[RunStatus]) -> None:
    status = worst_status(statuses)

    assert status is (RunStatus.NOTHING if not statuses else min(statuses, key=SEVERITY.index))
    assert worst_status([*statuses, RunStatus.FAILED]) is RunStatus.FAILED
    assert set(SEVERITY) == set(RunStatus)


def result(*statuses: RunStatus) -> CleanupResult:
    return CleanupResult(tables=tuple(TableResult(table=f"t{n}", status=s) for n, s in enumerate(statuses)))


def test_a_run_is_complete_where_nothing_is_left_to_do() -> None:
    assert result().complete and result().status is RunStatus.NOTHING
    assert result(RunStatus.OK, RunStatus.NOTHING).complete
    for grave in (RunStatus.FAILED, RunStatus.REFUSED, RunStatus.PARTIAL, RunStatus.DRY_RUN):
        assert not result(RunStatus.NOTHING, grave).complete
    assert not RunRefused(reason="busy").complete


def test_a_table_s_json_says_what_is_known() -> None:
    full = TableResult(
        table="public.log",
        status=RunStatus.PARTIAL,
        cutoff=CUTOFF,
        archived_rows=10,
        deleted_rows=10,
        objects=2,
        bytes=99,
        seconds=4.0,
        oldest_overdue=CUTOFF,
        partitions_dropped=1,
        vacuumed=True,
        refusal=GuardRefusal(guard="g", message="m", hint="h"),
        estimate=CleanupEstimate(rows=1, bytes=2, objects=3, seconds=4.44, share=0.123456, usd=0.00000049),
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
    bare = TableResult(table="t", status=RunStatus.NOTHING).to_json()
    assert set(bare) >= {"table", "cutoff", "archived_rows", "deleted_rows", "objects", "bytes"}
    assert not {"refusal", "estimate", "error", "warnings", "vacuumed", "partitions_dropped"} & set(bare)
    assert bare["rows_per_second"] == 0


def test_an_error_reads_message_detail_hint() -> None:
    assert str(NightshiftError("m", detail="d", hint="h")) == "m\nd\nhint: h"
    assert str(NightshiftError("m")) == "m"


REFUSAL = GuardRefusal(guard="g", message="m", hint="h")
WHOLE = BackupResult(name="backup_2025_09_15_0000", bytes=100, previous_bytes=200)


def test_how_a_backup_ended() -> None:
    assert (WHOLE.status, WHOLE.complete) == (RunStatus.OK, True)
    assert (replace(WHOLE, left=1).status, replace(WHOLE, left=1).complete) == (RunStatus.PARTIAL, False)
    assert (replace(WHOLE, already=True).status, replace(WHOLE, already=True).complete) == (RunStatus.NOTHING, True)
    assert BackupResult().status is RunStatus.NOTHING
    preview = replace(WHOLE, dry_run=True, left=1)
    assert (preview.status, preview.complete) == (RunStatus.DRY_RUN, False)
    assert replace(preview, refusal=REFUSAL).status is RunStatus.REFUSED


def test_a_backup_has_shrunk_where_it_is_less_than_half() -> None:
    assert not WHOLE.shrunk
    assert replace(WHOLE, bytes=99).shrunk
    assert not replace(WHOLE, bytes=0, previous_bytes=None).shrunk, "there was none before"
    assert not replace(WHOLE, bytes=0, name=None).shrunk


def test_a_backup_s_json() -> None:
    full = replace(WHOLE, snapshot_time=CUTOFF, proven_at=CUTOFF, missing=("a",), warnings=("b",), refusal=REFUSAL)
    said = json.loads(json.dumps(full.to_json()))
    assert (said["snapshot_time"], said["proven_at"]) == ("2025-09-15T00:00:00+00:00",) * 2
    assert (said["missing"], said["warnings"], said["refusal"]["guard"]) == (["a"], ["b"], "g")
    assert not {"missing", "warnings", "refusal"} & set(WHOLE.to_json())


def test_how_a_restored_backup_ended() -> None:
    restored = RestoredBackup(name="backup_2025_09_15_0000", scratch=True, proven=True)
    assert (restored.status, restored.complete) == (RunStatus.OK, True)
    for doubtful in (replace(restored, differences=("rows",)), replace(restored, left_tables=1)):
        assert (doubtful.status, doubtful.complete) == (RunStatus.PARTIAL, False)
    assert RestoredBackup().status is RunStatus.NOTHING
    assert replace(restored, dry_run=True).status is RunStatus.DRY_RUN
    said = json.loads(json.dumps(replace(restored, refusal=REFUSAL, warnings=("w",)).to_json()))
    assert (said["proven"], said["refusal"]["guard"], said["warnings"]) == (True, "g", ["w"])
