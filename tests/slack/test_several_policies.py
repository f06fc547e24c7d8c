"""What the reader sees of a run of `expire_jobs` over several tables."""

from __future__ import annotations

from dataclasses import replace

from nightshift.errors import StoreError
from nightshift.results.common import RunStatus
from nightshift.results.expiry import ExpiredTable
from tests.slack.expiry_facts import CART, EXPIRED, NOTHING_EXPIRED, PARTIAL, REFUSED, STUCK, swept, told
from tests.slack.facts import LOST, lines


def test_of_several_policies_each_has_its_line() -> None:
    session = ExpiredTable(
        table="session", status=RunStatus.OK, expired=2, deleted_rows={"session_event": 9, "session": 2}
    )
    assert told(swept(CART, NOTHING_EXPIRED, session)).splitlines() == lines("""
        🧹 만료 작업 정리: 파일 496개 삭제 · 09:00 KST
        • shop.cart 3건
        • session 2건 · 하위 9행 (session_event 9)
    """)


def test_a_policy_with_nothing_due_takes_no_line() -> None:
    assert told(swept(NOTHING_EXPIRED, EXPIRED)) == told(swept(EXPIRED))


def test_many_policies_are_counted() -> None:
    tables = [replace(CART, table=f"shop.t{n}", deleted_rows={}) for n in range(12)]
    seen = told(swept(*tables)).splitlines()
    assert (len(seen), seen[-2:]) == (12, ["• shop.t9 3건", "… 외 2개 테이블"])


def test_of_several_policies_trouble_comes_first_and_files_come_once() -> None:
    first, *tables = told(swept(CART, PARTIAL, REFUSED, files=STUCK)).split("\n\n")
    assert first.splitlines() == lines("""
        🧹 만료 작업 정리: 파일 480개 삭제 · 09:00 KST
        ❌ 파일 13개를 삭제하지 못했습니다. 다시 시도합니다.
        - AccessDenied: 12개 (job-files)
        - SlowDown: 1개 (job-thumbs)
        ⏳ 삭제 대기 중인 파일: 20개 (실패 13개 포함)
    """)
    assert [table.split(" ")[1] for table in tables] == ["session", "job", "shop.cart"]
    assert tables[0].splitlines()[1].startswith("⛔ ")
    assert len(tables[1].splitlines()) == 5
    assert tables[2] == "• shop.cart 3건"


def test_a_failure_of_one_policy_among_several() -> None:
    failed = replace(NOTHING_EXPIRED, status=RunStatus.FAILED, error=LOST)
    other = replace(failed, table="session", error=StoreError("another thing", hint="do that"))
    _, first, *tables = told(LOST, "en", done=swept(CART, failed, other)).split("\n\n")
    assert first.splitlines() == lines("""
        ❌ Stopped by the error above. This was done before:
        - 496 files deleted
    """)
    assert tables == [
        "❌ session 0 rows\n❌ Failed: another thing\n- What to do: do that",
        "❌ job 0 rows",
        "• shop.cart 3 rows",
    ]
