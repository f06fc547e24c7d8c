"""What the reader sees of a run over several tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from nightshift.errors import StoreError
from nightshift.results.common import RunStatus
from tests.slack.facts import CSV, CUTOFF, DONE, KEY, LOST, NOTHING, PARTIAL, PREVIEW, REFUSED, cleaned, lines, told


def test_several_tables_stand_below_a_summary_trouble_first() -> None:
    tables = [
        replace(DONE, table="public.a", keys=(KEY,), objects=1),
        replace(NOTHING, table="public.b"),
        replace(REFUSED, table="public.c"),
        replace(PARTIAL, table="public.d"),
        replace(NOTHING, table="public.e"),
    ]
    csv = replace(CSV, table="public.a")
    paragraphs = told(cleaned(*tables, attachments=(csv,))).split("\n\n")
    assert paragraphs[0].splitlines() == lines("""
        💾 DB Cleanup Report
        - 백업 수: 248 rows (테이블 3개)
        - 보관 용량: 26.4 KB
        - 실행 시간: 2025-10-15 09:00:00 KST
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15) public.b, public.e
    """)
    assert [paragraph.splitlines()[0] for paragraph in paragraphs[1:]] == ["🗃️ public.c", "🗃️ public.d", "🗃️ public.a"]
    assert ["📎" in paragraph for paragraph in paragraphs[1:]] == [False, False, True]


def test_several_previews_are_summed_up() -> None:
    seen = told(cleaned(PREVIEW, replace(PREVIEW, table="public.b")), dry_run=True)
    assert "- 백업 예정: 2,468 rows (테이블 2개)\n- 예상 용량: 10.0 MB" in seen


def test_quiet_tables_share_a_line_per_cutoff_and_keep_their_warnings() -> None:
    older = replace(NOTHING, table="public.z", cutoff=CUTOFF - timedelta(days=60), warnings=("no index",))
    quiet = [replace(NOTHING, table=f"t{n}") for n in range(7)]
    assert told(cleaned(*quiet, older)).splitlines() == lines("""
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15) t0, t1, t2, t3, t4 외 2개
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-07-17) public.z
        ⚠️ no index
    """)


def test_tables_that_do_not_fit_are_counted() -> None:
    tables = [replace(DONE, table=f"public.table_{n}") for n in range(200)]
    seen = told(cleaned(*tables))
    shown = seen.count("🗃️")
    assert shown > 10
    assert seen.endswith(f"… 외 {200 - shown}개 테이블")
    assert told(cleaned(*tables), "en").endswith("more tables")


def test_a_failure_of_one_table_among_several() -> None:
    other = StoreError("another thing", hint="do that")
    nothing_done = replace(NOTHING, status=RunStatus.FAILED, error=LOST)
    tables = [replace(DONE, table="public.a"), nothing_done, replace(nothing_done, table="public.c", error=other)]
    paragraphs = told(LOST, "en", done=cleaned(*tables, replace(NOTHING, table="public.d"))).split("\n\n")
    assert paragraphs[1].splitlines() == lines("""
        - Backed up: 124 rows (3 tables)
        - Archive size: 13.2 KB
        ✅ No old logs to back up. (cutoff: 2025-09-15) public.d
    """)
    assert paragraphs[2].splitlines() == lines("""
        🗃️ public.conversation_log
        ❌ Stopped by the error above. This was done before:
        - Backup file: none
        - Backed up: 0 rows
        - Cutoff date: 2025-09-15
    """)
    assert paragraphs[3].splitlines()[:3] == ["🗃️ public.c", "❌ Failed: another thing", "- What to do: do that"]
    assert paragraphs[4].splitlines()[0] == "🗃️ public.a"
