"""A function in Lambda's own runtime, on this machine and without Docker.

AWS's runtime interface emulator (the binary that ships in aws-sam-cli's wheel) starts AWS's Python runtime client, as
the service does: a clean environment, the handler found by name, a context with a deadline, errors as JSON, a process
that stays warm. It runs the built artefact where this machine can (`local/artefact.py`). What it does not do: the
process is not frozen between two calls, and IAM, retries and queues do not exist. `sam local invoke` was rejected
because it needs Docker; a runtime of our own, because it would agree with us.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.artefact import ARCHITECTURES, FUNCTIONS, ROOT, Artefact, best
from local.guardian import Guarded
from nightshift.errors import NightshiftError

TASK_ROOT = FUNCTIONS

START_ATTEMPTS = 3
"""Between our choice of a port and the emulator's bind, somebody else may take it."""
START_PATIENCE_S = 30.0
ANSWER_PATIENCE_S = 30.0
"""Beyond the function's own timeout; the emulator itself answers when that has passed."""
POLL_S = 0.01

_PATH = "/2015-03-31/functions/function/invocations"
_EMULATORS_OWN_LINE = re.compile(r"^\d\d \w{3} \d{4} [\d:,]+ \[\w+\] \(rapid\) ")
_INIT_REPORT = re.compile(r"\(rapid\) INIT REPORT\(durationMs: ([\d.]+)\)")
_IN_DIRECTORY = 'cd "$0" && exec "$@"'
_WITH_MEMORY = 'ulimit -d "$0" && exec "$@"'


class RuntimeUnavailable(NightshiftError):
    """The emulator could not be found or started, or ended without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeResult:
    """What came of one invocation.

    Attributes:
        payload: the function's answer, or the error object that Lambda would put on the failure queue.
        error_type: class of the exception, `Sandbox.Timedout`, `Runtime.ExitError`, …; None: the function answered.
        error_message: the exception's text.
        logs: what the function and the runtime wrote, without the emulator's own remarks.
        init_ms: start-up time where this call was a cold start; None: the environment was warm.
    """

    payload: Any
    error_type: str | None = None
    error_message: str | None = None
    logs: str = ""
    init_ms: float | None = None


class LambdaRuntime:
    """One execution environment of one function, for as long as the context lasts; it cannot outlive this process.

    Args:
        handler: as the template names it, e.g. `cleanup.app.lambda_handler`.
        env: the function's variables. Nothing else of our own environment reaches the function but PATH.
        timeout_s: after which the function is killed, whole seconds, 1 to 900.
        memory_mb: what the function believes to have.
        artefact: what it runs from; None: the best that this machine can do, with the layers of the handler's job,
            built now if need be.
        task_root: where the handler's modules lie, the working directory; None: the artefact's.
        capped: let the function have no more than `memory_mb`. Lambda counts resident pages and kills; here the limit
            is on private writable memory (RLIMIT_DATA), touched or not, and what goes beyond it gets a `MemoryError`.

    Attributes:
        artefact: what the function runs from.

    Raises:
        BuildFailed: the artefact could be run here, but not be built.
        RuntimeUnavailable: on entering, there is no emulator for this machine, or it did not start.
    """

    def __init__(
        self,
        handler: str,
        env: Mapping[str, str],
        timeout_s: int = 900,
        memory_mb: int = 1769,
        *,
        artefact: Artefact | None = None,
        task_root: Path | None = None,
        capped: bool = False,
    ) -> None:
        self.artefact = artefact or best(handler.split(".", 1)[0])
        self._handler = handler
        self._timeout_s = timeout_s
        self._cap_kb = memory_mb * 1024 if capped else None
        self._task_root = task_root or self.artefact.task_root
        path = env.get("PATH") or os.environ.get("PATH", os.defpath)
        self._env = {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "AWS_LAMBDA_FUNCTION_NAME": f"local-{handler.split('.', 1)[0]}",
            **env,
            "PATH": os.pathsep.join([*map(str, self.artefact.programs), path]),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "PYTHONPATH": os.pathsep.join(str(path) for path in (self._task_root, *self.artefact.layers)),
        }
        self._one_at_a_time = threading.Lock()  # a second call at the same time crashes the emulator

    def __enter__(self) -> Self:
        emulator, last_words = find_emulator(), ""
        for _attempt in range(START_ATTEMPTS):
            self._start(emulator)
            try:
                if self._await_ready():
                    return self
                last_words = self._log_since(0)[-2000:]
            except BaseException:
                self._stop()
                raise
            self._stop()
        raise RuntimeUnavailable("the Lambda emulator did not start", detail=last_words)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def invoke(self, event: bytes | Mapping[str, object]) -> InvokeResult:
        """Invoke the function and wait for it. A function that fails is a result, not an exception.

        Args:
            event: an object, or the very bytes to send, which need not be JSON.

        Raises:
            RuntimeUnavailable: the emulator ended without an answer.
        """
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        with self._one_at_a_time:
            start = self._log.stat().st_size
            connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=self._timeout_s + ANSWER_PATIENCE_S
            )
            try:
                connection.request("POST", _PATH, body)
                answer = connection.getresponse().read().decode()
            except (OSError, http.client.HTTPException) as exc:
                detail = self._log_since(start)[-2000:]
                raise RuntimeUnavailable("the Lambda emulator ended without an answer", detail=detail) from exc
            finally:
                connection.close()
            return _result(answer, self._log_since(start))

    def _start(self, emulator: Path) -> None:
        self._work = Path(tempfile.mkdtemp(prefix="nightshift-lambda-"))
        self._log = self._work / "function.log"
        self._port, runtime_api_port = _free_ports()
        command = [str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{runtime_api_port}"]
        command += ["/bin/sh", "-c", _WITH_MEMORY, str(self._cap_kb)] if self._cap_kb else []
        command += [str(self.artefact.python), "-m", "awslambdaric", self._handler]
        self._server = Guarded(
            ["/bin/sh", "-c", _IN_DIRECTORY, str(self._task_root), *command],
            log=self._log,
            env=self._env,
            remove=[self._work],
        )

    def _stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._work, ignore_errors=True)

    def _await_ready(self) -> bool:
        """Returns whether the emulator listens; False where it ended, as it does when its port is taken."""
        give_up = time.monotonic() + START_PATIENCE_S
        while self._server.running and time.monotonic() < give_up:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return True
            time.sleep(POLL_S)
        return False

    def _log_since(self, offset: int) -> str:
        with self._log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")


def find_emulator() -> Path:
    """The emulator's binary: `$NIGHTSHIFT_RIE`, or the one in `.venv-sam` that fits this machine.

    Raises:
        RuntimeUnavailable: there is none.
    """
    if chosen := os.environ.get("NIGHTSHIFT_RIE"):
        candidates = [Path(chosen).absolute()]
    else:
        machine = ARCHITECTURES.get(platform.machine().lower())
        inside = f"lib/python3.*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
        candidates = list((ROOT / ".venv-sam").glob(inside)) if sys.platform == "linux" else []
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise RuntimeUnavailable(
        "there is no Lambda emulator for this machine",
        detail=f"{platform.system()} {platform.machine()}; looked at: {', '.join(map(str, candidates)) or 'nothing'}",
        hint="make sam installs the one for Linux; or point NIGHTSHIFT_RIE at an aws-lambda-rie",
    )


def _result(answer: str, log: str) -> InvokeResult:
    init = _INIT_REPORT.search(log)
    lines = log.replace("\r", "\n").splitlines()  # the runtime ends the lines of a stack trace with \r
    logs = "\n".join(line for line in lines if not _EMULATORS_OWN_LINE.match(line))
    payload, error_type, error_message = _parse(answer)
    return InvokeResult(
        payload=payload,
        error_type=error_type,
        error_message=error_message,
        logs=logs,
        init_ms=float(init[1]) if init else None,
    )


def _parse(answer: str) -> tuple[Any, str | None, str | None]:
    """The payload, and the error's type and message where the function failed."""
    try:
        payload = json.loads(answer)
    except ValueError:
        # A plain sentence is how the emulator tells of a timeout; Lambda gives it this type.
        kind = "Sandbox.Timedout" if answer.startswith("Task timed out") else "Runtime.MalformedAnswer"
        payload = {"errorType": kind, "errorMessage": answer}
    if isinstance(payload, dict) and "errorType" in payload and "errorMessage" in payload:
        return payload, str(payload["errorType"]), str(payload["errorMessage"])
    return payload, None, None


def _free_ports() -> tuple[int, int]:
    """Two ports that were free a moment ago."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
