"""`make demo` plays to the end, adds up, and stops cleanly when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.jobs import ROWS_A_JOB
from tests.support.child import IMPORT_PATH, ROOT


@pytest.fixture
def demo(clean_environment: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """The demo, its stdout a pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(IMPORT_PATH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def numbers(pattern: str, shown: str) -> list[int]:
    """What stands for the groups of a pattern in the one line that fits it."""
    (found,) = re.finditer(rf"^{pattern}$", shown, re.MULTILINE)
    return [int(number.replace(",", "")) for number in found.groups()]


def test_it_plays_to_the_end_and_every_row_is_accounted_for(demo: subprocess.Popen[str]) -> None:
    shown, errors = demo.communicate()
    assert demo.returncode == 0, errors
    assert errors == ""
    assert "\x1b" not in shown
    before, left, archived = numbers(r"([\d,]+) rows before = ([\d,]+) rows left \+ ([\d,]+) rows archived", shown)
    assert before == left + archived == 200_000
    returning, restored = numbers(r"([\d,]+) rows archived = ([\d,]+) rows restored, value by value", shown)
    assert archived == returning == restored > 0
    assert "DB Cleanup Report" in shown
    assert "DB Restore Report" in shown
    assert "attached: conversation_log_backup_20250915.csv" in shown
    assert "백업할 오래된 로그가 없습니다" in shown
    assert "dt=2025-09-14" in shown
    expired, rows, files = numbers(r"  ok: ([\d,]+) jobs, ([\d,]+) rows, ([\d,]+) files in .*", shown)
    assert (rows, files) == (expired * sum(ROWS_A_JOB.values()), expired * ROWS_A_JOB["job_file"])
    assert f"🧹 만료 작업 정리: job {expired}건 · 하위 {rows - expired:,}행 (" in shown
    assert f" · 파일 {files}개 삭제 · 10:00 KST" in shown
    left, living = numbers(r"([\d,]+) rows left = those of the (\d+) living jobs", shown)
    assert left == living * sum(ROWS_A_JOB.values()) > 0
    assert "- 부정 비율: 13.0%\n- 상태: ✅ 정상 유지\n" in shown
    assert "- 부정 비율: 41.0%\n- 상태: 🔁 재학습 시작\n" in shown
    assert "attached: feedback_2025-10-17.png" in shown
    (corrected,) = numbers(r"(\d+) embedded again = the corrected ones, once", shown)
    assert f"- 새로 임베딩: {corrected}건" in shown
    embeddings, documents = numbers(r"(\d+) embeddings = one of its current text for each of (\d+) documents", shown)
    assert embeddings == documents > corrected > 0
    assert "🗄️ 백업 완료: backup_2025_10_21_0000" in shown
    assert "🧪 백업 복원 리허설: backup_2025_10_21_0000\n✅ 복원을 확인했습니다." in shown
    points, transfers, start = numbers(r"([\d,]+) points after ([\d,]+) transfers = ([\d,]+) at the start", shown)
    assert points == start > 0
    assert transfers > 0
    assert re.search(r"^\d+ tables restored = as they are now, value by value$", shown, re.MULTILINE)
    assert "refused: backup_2025_10_22_0000 is damaged" in shown
    assert numbers(r"([\d,]+) files left = those that living jobs name", shown) == [living * ROWS_A_JOB["job_file"]]


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_the_run_leaves_no_server_behind(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    ports: list[str] = []
    for line in demo.stdout:
        ports += re.findall(r"127\.0\.0\.1:(\d+)", line)
        if "committed" in line:
            break
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate()
    assert (demo.returncode, errors) == (1, "stopped; the servers and their data are gone\n")
    assert len(ports) == 3
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)))
