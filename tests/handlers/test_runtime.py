"""The emulator behaves as Lambda does, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.artefact import ROOT
from local.lambda_runtime import LambdaRuntime, RuntimeUnavailable, find_emulator

FUNCTIONS = Path(__file__).parent / "functions"
HANDLER = "echo.app.lambda_handler"


@pytest.fixture
def runtime() -> Iterator[LambdaRuntime]:
    with LambdaRuntime(HANDLER, {"COLOUR": "blue"}, 30, 512, task_root=FUNCTIONS) as running:
        yield running


def answer_of(runtime: LambdaRuntime, **event: object) -> dict[str, Any]:
    """The answer to an event that the function does not fail on."""
    result = runtime.invoke(event)
    assert result.error_type is None, result.logs
    answer: dict[str, Any] = result.payload
    return answer


def test_a_function_sees_what_lambda_shows_and_nothing_of_ours(
    runtime: LambdaRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_OWN", "secret")
    with LambdaRuntime(HANDLER, {"COLOUR": "blue"}, 30, 512, task_root=FUNCTIONS) as runtime:
        answer = answer_of(runtime, greeting="안녕")
    assert answer["event"] == {"greeting": "안녕"}
    assert answer["memory_mb"] == "512"
    assert 0 < answer["remaining_ms"] <= 30_000
    assert answer["directory"] == str(FUNCTIONS)
    assert answer["environment"]["COLOUR"] == "blue"
    assert answer["environment"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert answer["environment"]["AWS_LAMBDA_FUNCTION_NAME"] == "local-echo"
    assert not {"OUR_OWN", "HOME", "VIRTUAL_ENV"} & answer["environment"].keys()
    assert str(ROOT) not in answer["import_path"]


def test_an_environment_stays_warm(runtime: LambdaRuntime) -> None:
    first, second = runtime.invoke({}), runtime.invoke({})
    assert first.payload["pid"] == second.payload["pid"]
    assert first.payload["request_id"] != second.payload["request_id"]
    assert first.init_ms is not None
    assert second.init_ms is None


def test_logs_are_those_of_one_invocation_without_the_emulators_remarks(runtime: LambdaRuntime) -> None:
    runtime.invoke({"fail": "first"})
    result = runtime.invoke({})
    assert result.logs.splitlines()[1] == "a line of its own"
    assert result.logs.count(f"RequestId: {result.payload['request_id']}") == 3
    assert "first" not in result.logs
    assert "rapid" not in result.logs


def test_an_error_is_a_result_and_the_environment_lives_on(runtime: LambdaRuntime) -> None:
    before = answer_of(runtime)["pid"]
    result = runtime.invoke({"fail": "no such thing"})
    assert (result.error_type, result.error_message) == ("KeyError", "'no such thing'")
    assert set(result.payload) == {"errorType", "errorMessage", "requestId", "stackTrace"}
    assert "Traceback" in result.logs
    assert answer_of(runtime)["pid"] == before


@pytest.mark.parametrize("body", [b"garbage", b"", b'{"unfinished":', b"\xff\xfe"])
def test_bytes_that_are_no_json_never_reach_the_handler(runtime: LambdaRuntime, body: bytes) -> None:
    result = runtime.invoke(body)
    assert str(result.error_type).startswith("Runtime.")
    assert "a line of its own" not in result.logs


def test_a_function_that_hangs_is_killed_and_started_anew() -> None:
    with LambdaRuntime(HANDLER, {}, 4, task_root=FUNCTIONS) as runtime:
        before = answer_of(runtime)["pid"]
        result = runtime.invoke({"hang": True})
        assert result.error_type == "Sandbox.Timedout"
        assert result.error_message == "Task timed out after 4.00 seconds"
        assert not psutil.pid_exists(before)
        assert answer_of(runtime)["pid"] != before


def test_a_function_that_dies_is_started_anew(runtime: LambdaRuntime) -> None:
    result = runtime.invoke({"die": 3})
    assert result.error_type == "Runtime.ExitError"
    assert "exit status 3" in str(result.error_message)
    assert answer_of(runtime)["event"] == {}


def test_memory_beyond_the_cap_is_refused_and_the_environment_lives_on() -> None:
    with LambdaRuntime(HANDLER, {}, 30, 512, task_root=FUNCTIONS, capped=True) as runtime:
        before = answer_of(runtime, allocate_mb=200)["pid"]
        assert runtime.invoke({"allocate_mb": 600}).error_type == "MemoryError"
        assert answer_of(runtime)["pid"] == before
    with LambdaRuntime(HANDLER, {}, 30, 512, task_root=FUNCTIONS) as runtime:
        assert answer_of(runtime, allocate_mb=600)["memory_mb"] == "512"


def test_a_handler_that_is_not_there_is_named() -> None:
    with LambdaRuntime("nobody.app.lambda_handler", {}, task_root=FUNCTIONS) as runtime:
        result = runtime.invoke({})
    assert result.error_type == "Runtime.ImportModuleError"
    assert "nobody" in str(result.error_message)


def test_nobody_outside_this_machine_can_call(runtime: LambdaRuntime) -> None:
    emulator = psutil.Process(answer_of(runtime)["parent"])
    listening = [c for c in emulator.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 2
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


def test_nothing_is_left_afterwards() -> None:
    with LambdaRuntime(HANDLER, {}, task_root=FUNCTIONS) as runtime:
        answer = answer_of(runtime)
        emulator = psutil.Process(answer["parent"])
        ports = [c.laddr.port for c in emulator.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert not psutil.pid_exists(answer["pid"])
    assert not psutil.pid_exists(answer["parent"])
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


CALLER = f"""
import os, sys
from pathlib import Path
from local.lambda_runtime import LambdaRuntime
with LambdaRuntime({HANDLER!r}, {{}}, task_root=Path({str(FUNCTIONS)!r})) as runtime:
    answer = runtime.invoke({{}}).payload
    print(answer["pid"], answer["parent"], flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: str(how.name))
def test_nothing_outlives_a_caller_that_is_stopped(how: signal.Signals) -> None:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "layers" / "shared")))
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    with caller:
        assert caller.stdout is not None
        left = [psutil.Process(int(pid)) for pid in caller.stdout.readline().split()]
        assert len(left) == 2
        caller.send_signal(how)
        assert caller.wait() != 0
    psutil.wait_procs(left)
    assert not any(process.is_running() for process in left)


def test_without_an_emulator_the_error_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTSHIFT_RIE", str(tmp_path / "missing"))
    with pytest.raises(RuntimeUnavailable, match="make sam") as caught:
        find_emulator()
    assert "missing" in str(caught.value)


def test_an_emulator_that_does_not_start_is_told_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("NIGHTSHIFT_RIE", str(broken))
    with pytest.raises(RuntimeUnavailable, match="no such luck"), LambdaRuntime(HANDLER, {}, task_root=FUNCTIONS):
        pytest.fail("it started")
