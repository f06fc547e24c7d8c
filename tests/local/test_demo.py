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


def numbers(pattern: str, line: str) -> list[int]:
    found = re.fullmatch(pattern, line)
    assert found is not None, line
    return [int(number.replace(",", "")) for number in found.groups()]


def test_it_plays_to_the_end_and_every_row_is_accounted_for(demo: subprocess.Popen[str]) -> None:
    shown, errors = demo.communicate()
    assert demo.returncode == 0, errors
    assert errors == ""
    assert "\x1b" not in shown
    sums, _, verdict = shown.strip().splitlines()[-3:]
    before, left, archived = numbers(r"([\d,]+) rows before = ([\d,]+) rows left \+ ([\d,]+) rows archived", sums)
    assert before == left + archived == 200_000
    returning, restored = numbers(r"([\d,]+) rows archived = ([\d,]+) rows restored, value by value", verdict)
    assert archived == returning == restored > 0
    assert "DB Cleanup Report" in shown
    assert "DB Restore Report" in shown
    assert "attached: conversation_log_backup_20250915.csv" in shown
    assert "백업할 오래된 로그가 없습니다" in shown
    assert "dt=2025-09-14" in shown


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
