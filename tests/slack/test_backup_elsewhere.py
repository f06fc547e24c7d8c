"""How a backup is told that came back on a server that has not all of what the first one had."""

from __future__ import annotations

from dataclasses import replace

from tests.slack.test_backup import REHEARSED, RESTORED, told

OTHERS = ("tablespace fast does not exist here", "role app does not exist here")


def test_what_a_proof_does_not_cover() -> None:
    seen = told(replace(REHEARSED, environment=OTHERS), job="rehearse").splitlines()
    assert seen[1] == "✅ 아래 항목을 제외하고 복원을 확인했습니다."
    assert seen[-3:] == ["🧭 서버 환경 차이: 2건", *(f"• {one}" for one in OTHERS)]
    english = told(replace(REHEARSED, environment=OTHERS), "en", job="rehearse").splitlines()
    assert english[1] == "✅ Proven, except for what is listed below."
    assert english[-3] == "🧭 What this server or the role cannot have: 2"


def test_a_restore_on_another_server() -> None:
    seen = told(replace(RESTORED, environment=OTHERS), job="restore_backup").splitlines()
    assert seen[1] == "✅ 아래 항목을 제외하면 복원한 데이터가 백업과 일치합니다."
    failed = told(replace(RESTORED, environment=("x",), differences=("y",)), "en", job="restore_backup")
    assert "✅" not in failed and "• x" in failed
